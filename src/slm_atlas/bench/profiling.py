"""Profiles one run: in a fresh process, plain passes for the total and passes with every node timed, in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from slm_atlas.bench.latency import load_settings, random_tokens, warm_up
from slm_atlas.bench.operators import Observed, observe
from slm_atlas.bench.parts import parts_of
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.engines import Engine, PhaseProfile, Profile
from slm_atlas.errors import UserError


class Profiled(NamedTuple):
    """What one run gave."""

    prefill: Observed
    """A pass is the prompt."""
    decode: Observed
    """A pass is a token."""
    last: Profile
    """The last passes, with each node where that was asked for."""


def profile(
    engine: Engine, path: str, settings: BenchSettings, *, seed: int, depth: int | None = None, events: bool = False
) -> Profiled:
    """Profile one run on an engine whose process has done nothing yet.

    Args:
        engine: a fresh engine.
        path: the model file.
        settings: what is asked; `repetitions` of plain and timed passes each.
        seed: of the random tokens.
        depth: tokens in the cache before decode begins; None: the prompt.
        events: keep each node of the last passes.

    Raises:
        UserError: a prompt or an answer is empty, or they do not fit the context.
        EngineError: the engine refused (one that cannot time nodes does), died or hung.
    """
    check(settings, depth)
    before = settings.n_prompt if depth is None else depth
    load = engine.load(msgspec.structs.replace(load_settings(path, settings), batch=settings.micro_batch))
    tokens = random_tokens(load.n_vocab, settings, seed)
    deep = random_tokens(load.n_vocab, msgspec.structs.replace(settings, n_prompt=before), seed + 1)
    profiles = [_timed(engine, next(tokens)[0], next(deep), events=False)]  # its context is another, and still cold
    warm_up(engine, tokens, settings)
    plain_prefill: list[float] = []
    plain_decode: list[float] = []
    for _ in range(settings.repetitions):
        plain_prefill.append(engine.prefill(next(tokens)[0]))
        read, answer = next(deep)
        engine.prefill(read)
        plain_decode += engine.decode(answer)
        profiles.append(_timed(engine, next(tokens)[0], next(deep), events=events))
    parts = parts_of(Path(path))
    return Profiled(
        observe(plain_prefill, [each.prefill for each in profiles[1:]], parts),
        observe(plain_decode, [each.decode for each in profiles[1:]], parts),
        profiles[-1],
    )


def check(settings: BenchSettings, depth: int | None) -> None:
    """Refuse what `profile` cannot do.

    Raises:
        UserError: a prompt or an answer is empty, or they do not fit the context.
    """
    before = settings.n_prompt if depth is None else depth
    if settings.n_prompt < 1 or before < 1:
        raise UserError("A prompt has one token at least.", "--prompt 50")
    if settings.n_gen < 1:
        raise UserError("Decode has one token at least.", "--generate 50")
    needed = max(settings.n_prompt, before + settings.n_gen)
    if needed > settings.context:
        raise UserError(f"{needed} tokens do not fit a context of {settings.context}.", f"--context {needed}")


def _timed(engine: Engine, prompt: Sequence[int], deep: tuple[list[int], list[int]], *, events: bool) -> Profile:
    """Prefill of the prompt, and decode of the answer after what is read before it."""
    read, answer = deep
    if len(read) == len(prompt):
        return engine.profile(read, answer, events=events)
    decode: PhaseProfile = engine.profile(read, answer, events=events).decode
    return Profile(prefill=engine.profile(prompt, [], events=events).prefill, decode=decode)
