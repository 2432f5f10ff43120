"""Measures one run: loads a file in a fresh engine, warms up, times prefill and decode, reads the memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from slm_atlas.bench.memory import memory_samples
from slm_atlas.bench.protocol import IMPROVEMENT, MAX_WARMUP_PASSES, SETTLED_PASSES, BenchSettings
from slm_atlas.engines import Engine, LoadReport, LoadSettings
from slm_atlas.errors import UserError
from slm_atlas.store.records import Sample


class Measurement(NamedTuple):
    """What one run gave."""

    samples: list[Sample]
    """Its numbers."""
    load: LoadReport
    """What the engine granted."""
    absent: dict[str, str]
    """Why a number is missing, by its name."""


def measure(engine: Engine, path: str, settings: BenchSettings, *, seed: int) -> Measurement:
    """Measure one run on an engine whose process has done nothing yet.

    Args:
        engine: a fresh engine.
        path: the model file.
        settings: what is asked.
        seed: of the random tokens, so that the arms of a comparison may see the same.

    Raises:
        UserError: the prompt is empty, or prompt and answer do not fit the context.
        EngineError: the engine refused, died or hung.
    """
    if settings.n_prompt < 1:
        raise UserError("A prompt has one token at least.", "--prompt 50")
    if settings.n_prompt + settings.n_gen > settings.context:
        total = settings.n_prompt + settings.n_gen
        raise UserError(f"{total} tokens do not fit a context of {settings.context}.", f"--context {total}")
    load = engine.load(_load_settings(path, settings))
    tokens = _random_tokens(load.n_vocab, settings, seed)
    passes = _warm_up(engine, tokens, settings)
    samples = [Sample(metric="load_s", index=0, value=load.load_s)]
    samples.append(Sample(metric="warmup_passes", index=0, value=passes))
    decoded = 0
    for repetition in range(settings.repetitions):
        prompt, answer = next(tokens)
        samples.append(Sample(metric="prefill_s", index=repetition, value=engine.prefill(prompt)))
        for elapsed in engine.decode(answer):
            samples.append(Sample(metric="decode_s", index=decoded, value=elapsed))
            decoded += 1
    memory = engine.memory()
    return Measurement(samples + memory_samples(memory), load, memory.absent)


def _load_settings(path: str, settings: BenchSettings) -> LoadSettings:
    return LoadSettings(
        path=path,
        context=settings.context,
        micro_batch=settings.micro_batch,
        threads=settings.threads,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
    )


def _random_tokens(n_vocab: int, settings: BenchSettings, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Endless pairs of a prompt and an answer: fresh tokens each time, since repeated ones could be cached."""
    rng = np.random.default_rng(seed)
    while True:
        tokens = rng.integers(0, n_vocab, settings.n_prompt + settings.n_gen).tolist()
        yield tokens[: settings.n_prompt], tokens[settings.n_prompt :]


def _warm_up(engine: Engine, tokens: Iterator[tuple[list[int], list[int]]], settings: BenchSettings) -> int:
    """Repeat the measured shape until it gets no faster; the number of passes it took."""
    prefills: list[float] = []
    decodes: list[float] = []
    while len(prefills) < MAX_WARMUP_PASSES:
        prompt, answer = next(tokens)
        prefills.append(engine.prefill(prompt))
        decodes.append(sum(engine.decode(answer)))
        if settled(prefills) and settled(decodes):
            break
    return len(prefills)


def settled(times: Sequence[float]) -> bool:
    """Whether the last passes have not improved on the best before them.

    >>> settled([9.0, 5.0, 5.1, 4.9]), settled([9.0, 5.0, 4.0]), settled([5.0, 5.0])
    (True, False, False)
    """
    before, last = times[:-SETTLED_PASSES], times[-SETTLED_PASSES:]
    return bool(before) and min(last) >= (1 - IMPROVEMENT) * min(before)
