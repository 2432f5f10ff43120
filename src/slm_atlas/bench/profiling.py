"""Profiles one run: in a fresh process, plain passes for the total and passes with every node timed, in turn."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import msgspec

from slm_atlas.bench.latency import load_settings, random_tokens, warm_up
from slm_atlas.bench.operators import observe
from slm_atlas.bench.parts import parts_of
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.engines import Engine, LoadReport, Profile
from slm_atlas.errors import UserError
from slm_atlas.store.profiles import to_samples
from slm_atlas.store.records import Sample


class Profiled(NamedTuple):
    """What one run gave."""

    samples: list[Sample]
    """Both phases: see `slm_atlas.store.profiles`."""
    load: LoadReport
    """What the engine granted."""
    last: Profile
    """The last passes, each node of them."""


def profile(engine: Engine, path: str, settings: BenchSettings, *, seed: int) -> Profiled:
    """Profile one run on an engine whose process has done nothing yet.

    Args:
        engine: a fresh engine.
        path: the model file.
        settings: what is asked; `repetitions` of plain and timed passes each.
        seed: of the random tokens.

    Raises:
        UserError: a prompt or an answer is empty, or they do not fit the context.
        EngineError: the engine refused (one that cannot time nodes does), died or hung.
    """
    check(settings)
    load = engine.load(msgspec.structs.replace(load_settings(path, settings), batch=settings.micro_batch))
    tokens = random_tokens(load.n_vocab, settings, seed)
    before = next(random_tokens(load.n_vocab, msgspec.structs.replace(settings, n_prompt=settings.depth), seed + 1))[0]
    # The first timed pass is thrown away: its context is another, and still cold.
    profiles = [engine.profile(*next(tokens), before=before)]
    if before:
        engine.prefill(before)
    warm_up(engine, tokens, settings)
    plain_prefill: list[float] = []
    plain_decode: list[float] = []
    for _ in range(settings.repetitions):
        prompt, answer = next(tokens)
        plain_prefill.append(engine.prefill(prompt, depth=settings.depth))
        plain_decode += engine.decode(answer)
        profiles.append(engine.profile(*next(tokens), before=before, events=True))
    parts = parts_of(Path(path))
    prefill = observe(plain_prefill, [each.prefill for each in profiles[1:]], parts)
    decode = observe(plain_decode, [each.decode for each in profiles[1:]], parts)
    return Profiled([*to_samples("prefill", prefill), *to_samples("decode", decode)], load, profiles[-1])


def check(settings: BenchSettings) -> None:
    """Refuse what `profile` cannot do.

    Raises:
        UserError: a prompt or an answer is empty, nothing is repeated, or they do not fit the context.
    """
    if settings.n_prompt < 1 or settings.repetitions < 1:
        raise UserError("A prompt has one token at least, and is read once at least.", "--prompt 50")
    if settings.n_gen < 1 or settings.depth < 0:
        raise UserError("Decode has one token at least, at a depth of none or more.", "--generate 50")
    needed = settings.depth + settings.n_prompt + settings.n_gen
    if needed > settings.context:
        raise UserError(f"{needed} tokens do not fit a context of {settings.context}.", f"--context {needed}")


def trace_titles(settings: BenchSettings) -> tuple[str, str]:
    """What the two phases of the last pass are."""
    at = f" after {settings.depth}" if settings.depth else ""
    return (
        f"prefill of {settings.n_prompt} tokens{at}",
        f"token {settings.depth + settings.n_prompt + settings.n_gen}",
    )
