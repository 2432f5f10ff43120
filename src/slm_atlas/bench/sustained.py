"""Sustained use: decodes for minutes in a saw-tooth, so that time goes on while the depth of the cache repeats.

A sweep begins at the depth of the run's prompt, decodes equal chunks of tokens and is cut back; a round is one sweep,
or as many as make it last long enough. What differs within a round is the growing KV cache, what differs between rounds
at the same depth is the machine. `insights/sustained.py` takes the two apart.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from slm_atlas.bench.disturbing import stolen_share
from slm_atlas.bench.host import HostState, host_state
from slm_atlas.bench.protocol import SWEEP_CHUNKS, SWEEP_TOKENS, BenchSettings
from slm_atlas.engines import Engine
from slm_atlas.errors import EngineRefused
from slm_atlas.store.records import Sample

ROUNDS = 40
"""Rounds that the asked time is divided into: enough to tell a change should the machine become twice as slow, and few
enough to store, and for a sweep to reach some depth."""
MAX_ROUNDS = 2 * ROUNDS
"""The pass ends after so many, should the machine have become faster."""
MAX_SWEEP_S = 60.0
"""Longest sweep, by the speed at the start: four calls of the engine, each far below a worker's deadline."""
PROBE_TOKENS = 8
"""Tokens decoded to learn the speed."""
REST_SHARE = 1 / 6
"""The machine rests before the pass for this share of the asked time: what ran before has used up its burst."""
MAX_REST_S = 60.0
"""A processor's allowance for short bursts is back after some tens of seconds."""
_ABSENT = {
    "sustained_temperature_c": "the system shows no temperature of the processor",
    "sustained_frequency_mhz": "the system does not tell the processor's clock",
    "sustained_steal_share": "the system does not count what other virtual machines take",
}


class Sweep(NamedTuple):
    """The shape of the saw-tooth."""

    start: int
    """Tokens in the cache when a sweep begins."""
    chunk: int
    """Tokens of each of its chunks."""
    repeats: int
    """Sweeps of a round."""

    def depth(self, chunk: int) -> float:
        """Tokens in the cache before a chunk's token, on average."""
        return self.start + chunk * self.chunk + (self.chunk - 1) / 2


class Pass(NamedTuple):
    """What the pass gave."""

    samples: list[Sample]
    """Of each chunk `sustained_token_s`, `sustained_depth`, `sustained_at_s`; of each round, what the machine says."""
    absent: dict[str, str]
    """Why a number is missing, by its name."""


class _Watch:
    """Seconds since the pass began; an engine whose clock is simulated is ahead of ours, and its own counts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._start, self._counted = clock, clock(), 0.0

    def count(self, seconds: float) -> None:
        self._counted += seconds

    def now(self) -> float:
        return max(self._clock() - self._start, self._counted)


def sweep_of(token_s: float, settings: BenchSettings) -> Sweep:
    """The saw-tooth that divides the asked time into rounds, as far as the context lets it.

    Args:
        token_s: seconds of a token.
        settings: what is asked; `sustained_s` is positive, and a sweep of `SWEEP_TOKENS` fits the context.
    """
    start = settings.depth + settings.n_prompt
    round_s = settings.sustained_s / ROUNDS
    wanted = int(min(round_s, MAX_SWEEP_S) / token_s)
    tokens = min(settings.context - start, max(SWEEP_TOKENS, wanted))
    chunk = tokens // SWEEP_CHUNKS
    return Sweep(start, chunk, max(1, round(round_s / (SWEEP_CHUNKS * chunk * token_s))))


def measure_sustained(
    engine: Engine,
    settings: BenchSettings,
    n_vocab: int,
    *,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
    look: Callable[[], HostState] = host_state,
) -> Pass:
    """Decode for `settings.sustained_s` seconds on an engine that is loaded.

    Args:
        engine: the engine.
        settings: what is asked.
        n_vocab: tokens there are.
        seed: of the random tokens.
        clock: what time it is, in seconds.
        sleep: waits.
        look: how the machine is doing; asked between rounds alone.
    """
    rng = np.random.default_rng(seed)

    def draw(count: int) -> list[int]:
        tokens: list[int] = rng.integers(0, n_vocab, count).tolist()
        return tokens

    cached = draw(settings.depth + settings.n_prompt)
    sleep(min(MAX_REST_S, REST_SHARE * settings.sustained_s))
    engine.prefill(cached)
    watch = _Watch(clock)
    probe = engine.decode(draw(PROBE_TOKENS))
    watch.count(sum(probe))
    sweep = sweep_of(statistics.median(probe), settings)
    samples: list[Sample] = []
    state, number = look(), 0
    while watch.now() < settings.sustained_s and number < MAX_ROUNDS:
        samples += _round(engine, cached, sweep, draw, watch, number)
        before, state = state, look()
        samples += _readings(before, state, number)
        number += 1
    return Pass(samples, _absent(samples))


def _round(
    engine: Engine,
    cached: Sequence[int],
    sweep: Sweep,
    draw: Callable[[int], list[int]],
    watch: _Watch,
    number: int,
) -> list[Sample]:
    """Three numbers a chunk: the median of its tokens' times, their depth, and when they ran, over all sweeps."""
    times: list[list[float]] = [[] for _ in range(SWEEP_CHUNKS)]
    ends: list[list[float]] = [[] for _ in range(SWEEP_CHUNKS)]
    for _ in range(sweep.repeats):
        watch.count(_restart(engine, cached))
        for chunk in range(SWEEP_CHUNKS):
            found = engine.decode(draw(sweep.chunk))
            watch.count(sum(found))
            times[chunk] += found
            ends[chunk].append(watch.now() - sum(found) / 2)
    return [
        Sample(metric=metric, index=number * SWEEP_CHUNKS + chunk, value=value)
        for chunk in range(SWEEP_CHUNKS)
        for metric, value in (
            ("sustained_token_s", statistics.median(times[chunk])),
            ("sustained_depth", sweep.depth(chunk)),
            ("sustained_at_s", statistics.fmean(ends[chunk])),
        )
    ]


def _restart(engine: Engine, cached: Sequence[int]) -> float:
    """Cut the cache back to these tokens; the seconds it took.

    One token is read anew, so that nearly all the time is spent on decoding; an engine that cannot cut its cache back
    reads all of them.
    """
    try:
        return engine.prefill(list(cached[-1:]), depth=len(cached) - 1)
    except EngineRefused:
        return engine.prefill(list(cached))


def _readings(before: HostState, after: HostState, number: int) -> list[Sample]:
    """What the machine says at the end of a round; nothing of what it does not say."""
    values = {
        "sustained_temperature_c": after.temperature_c,
        "sustained_frequency_mhz": after.frequency_mhz,
        "sustained_steal_share": stolen_share(before, after),
    }
    return [Sample(metric=name, index=number, value=value) for name, value in values.items() if value is not None]


def _absent(samples: Sequence[Sample]) -> dict[str, str]:
    measured = {sample.metric for sample in samples}
    return {metric: reason for metric, reason in _ABSENT.items() if metric not in measured}
