"""Measures one run: loads a file in a fresh engine, warms up, times prefill and decode, reads the memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from slm_atlas.bench.energy import Energy, measure_energy, meter
from slm_atlas.bench.memory import absent, memory_samples
from slm_atlas.bench.protocol import (
    IMPROVEMENT,
    MAX_WARMUP_PASSES,
    SETTLED_PASSES,
    SWEEP_TOKENS,
    WARMUP_TOKENS,
    BenchSettings,
)
from slm_atlas.bench.sustained import Pass, measure_sustained
from slm_atlas.engines import Engine, LoadReport, LoadSettings
from slm_atlas.errors import EngineRefused, UserError
from slm_atlas.store.records import Sample

TEXT = "The river was high after the rain, and nobody from the village crossed it before noon that day. "
"""A sentence of about 20 tokens; TTFT is timed on as many of them as make the prompt."""


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
        UserError: the prompt is empty, or depth, prompt and answer do not fit the context.
        EngineError: the engine refused, died or hung.
    """
    _check(settings)
    if settings.evict:
        evict(path)
    load = engine.load(load_settings(path, settings))
    tokens = random_tokens(load.n_vocab, settings, seed)
    if settings.depth:
        engine.prefill(np.random.default_rng(seed).integers(0, load.n_vocab, settings.depth).tolist())
    samples = [Sample(metric="load_s", index=0, value=load.load_s), *warm_up(engine, tokens, settings)]
    decoded = 0
    for repetition in range(settings.repetitions):
        prompt, answer = next(tokens)
        elapsed = engine.prefill(prompt, depth=settings.depth)
        samples.append(Sample(metric="prefill_s", index=repetition, value=elapsed))
        for elapsed in engine.decode(answer):
            samples.append(Sample(metric="decode_s", index=decoded, value=elapsed))
            decoded += 1
    memory = engine.memory()
    samples += [*memory_samples(memory), *_first_tokens(engine, settings)]
    energy = _energy(engine, *next(tokens)) if settings.energy else Energy([], {})
    sustained = measure_sustained(engine, settings, load.n_vocab, seed=seed) if settings.sustained_s else Pass([], {})
    missing = absent(memory) | memory.absent | energy.absent | sustained.absent
    return Measurement(samples + energy.samples + sustained.samples, load, missing)


def _energy(engine: Engine, prompt: list[int], answer: list[int]) -> Energy:
    source = meter()
    return Energy([], {"energy": source}) if isinstance(source, str) else measure_energy(engine, source, prompt, answer)


def _check(settings: BenchSettings) -> None:
    if settings.n_prompt < 1:
        raise UserError("A prompt has one token at least.", "--prompt 50")
    if settings.n_gen < 0 or settings.depth < 0:
        raise UserError("Neither an answer nor a depth has less than no tokens.", "--generate 50")
    if problem := misfit(settings):
        raise UserError(f"{problem[0].upper()}{problem[1:]}.", f"--context {fitting_context(settings)}")


def misfit(settings: BenchSettings) -> str | None:
    """That what is asked does not fit the context, in words; None where it does.

    >>> misfit(BenchSettings(n_prompt=50, n_gen=50, context=60)), misfit(BenchSettings())
    ('100 tokens do not fit a context of 60', None)
    """
    if settings.total > settings.context:
        return f"{settings.total} tokens do not fit a context of {settings.context}"
    if settings.sustained_s and _least(settings) > settings.context:
        return f"a context of {settings.context} is too small for sustained use"
    return None


def fitting_context(settings: BenchSettings) -> int:
    """A context that is large enough for what is asked."""
    return max(settings.total, 2 * _least(settings) if settings.sustained_s else 0)


def _least(settings: BenchSettings) -> int:
    """Tokens of the shortest sweep of sustained use."""
    return settings.depth + settings.n_prompt + SWEEP_TOKENS


def evict(path: str) -> None:
    """Ask the system to drop a file from its page cache; what does not know how to, does nothing."""
    if not hasattr(os, "posix_fadvise"):
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)


def _first_tokens(engine: Engine, settings: BenchSettings) -> list[Sample]:
    """User-visible TTFT of a text about as long as the prompt; none for a model that has no tokenizer."""
    try:
        text = engine.detokenize(engine.tokenize(TEXT * (1 + settings.n_prompt // 20))[: settings.n_prompt])
        found = [engine.first_token(text) for _ in range(settings.repetitions)]
    except EngineRefused:
        return []
    return [
        Sample(metric=metric, index=index, value=value)
        for index, first in enumerate(found)
        for metric, value in (("ttft_s", first.seconds), ("ttft_prompt_tokens", first.prompt_tokens))
    ]


def load_settings(path: str, settings: BenchSettings) -> LoadSettings:
    """How a file is loaded to be measured so."""
    return LoadSettings(
        path=path,
        context=settings.context,
        micro_batch=settings.micro_batch,
        threads=settings.threads,
        kv_type=settings.kv_type,
        flash_attention=settings.flash_attention,
    )


def random_tokens(n_vocab: int, settings: BenchSettings, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    """Endless pairs of a prompt and an answer: fresh tokens each time, since repeated ones could be cached."""
    rng = np.random.default_rng(seed)
    while True:
        tokens = rng.integers(0, n_vocab, settings.n_prompt + settings.n_gen).tolist()
        yield tokens[: settings.n_prompt], tokens[settings.n_prompt :]


def warm_up(engine: Engine, tokens: Iterator[tuple[list[int], list[int]]], settings: BenchSettings) -> list[Sample]:
    """Repeat the measured shape until it gets no faster; the number of passes, and the first of them (cold)."""
    prefills: list[float] = []
    decodes: list[float] = []
    cold: list[float] = []
    while len(prefills) < MAX_WARMUP_PASSES:
        prompt, answer = next(tokens)
        prefills.append(engine.prefill(prompt, depth=settings.depth))
        times = engine.decode(answer[:WARMUP_TOKENS])
        cold = cold or times
        decodes.append(sum(times))
        if settled(prefills) and settled(decodes):
            break
    first = [Sample(metric="cold_decode_s", index=index, value=value) for index, value in enumerate(cold)]
    passes = Sample(metric="warmup_passes", index=0, value=len(prefills))
    return [Sample(metric="cold_prefill_s", index=0, value=prefills[0]), *first, passes]


def settled(times: Sequence[float]) -> bool:
    """Whether the last passes have not improved on the best before them.

    >>> settled([9.0, 5.0, 5.1, 4.9]), settled([9.0, 5.0, 4.0]), settled([5.0, 5.0])
    (True, False, False)
    """
    before, last = times[:-SETTLED_PASSES], times[-SETTLED_PASSES:]
    return bool(before) and min(last) >= (1 - IMPROVEMENT) * min(before)
