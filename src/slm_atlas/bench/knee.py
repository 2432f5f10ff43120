"""The knee: the fewest threads that are about as fast as any, found by short probes of the very model.

More threads than that wait for memory, or for each other. A model's knee depends on its shape and types, so the
machine's calibration alone does not tell it; a probe takes a second or two a model and number of threads.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import msgspec

from slm_atlas.bench.calibrate import thread_counts
from slm_atlas.bench.latency import load_settings, random_tokens
from slm_atlas.bench.protocol import BenchSettings
from slm_atlas.engines import Engine
from slm_atlas.errors import EngineError

TOLERANCE = 0.03
"""How much slower than the fastest the knee may be: about what two runs of one model differ by."""
ROUNDS = 2
"""Fresh processes at each number of threads, in turn; the better counts, since what disturbs only slows."""
PASSES = 3
"""Prefills and decodes timed in a process, after one that warms it up."""
TOKENS = 16
"""Most tokens decoded in a pass."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How fast a model was at a number of threads."""

    threads: int
    """Threads."""
    prefill_s: float
    """Seconds of the prompt, the least of all passes."""
    decode_s: float
    """Seconds of a token, the least of the passes' medians; 0 where none is asked for."""


class Knee(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many threads a model is measured with, and why."""

    threads: int
    """The fewest that are within `TOLERANCE` of the fastest, for prompt and answer together."""
    n_prompt: int
    """Tokens of the prompt."""
    n_gen: int
    """Tokens of the answer."""
    cores: int
    """Most threads that were tried."""
    probes: tuple[Probe, ...]
    """What was measured."""
    disturbed: tuple[str, ...] = ()
    """What took the machine from the probes: the knee may be too low."""


def find_knee(
    start: Callable[[int], AbstractContextManager[Engine]], path: str, settings: BenchSettings, cores: int
) -> Knee:
    """Probe a model at 1, 2, 4, ... threads and all cores, each time in a fresh process.

    Args:
        start: starts an engine for a number of threads.
        path: the model file.
        settings: what will be asked of it.
        cores: most threads.

    Raises:
        EngineError: the engine declined or died at every number of threads.
    """
    counts = thread_counts(cores)
    found: list[Probe] = []
    failed: EngineError | None = None
    for number in range(ROUNDS):
        for threads in counts if number % 2 == 0 else counts[::-1]:
            try:
                with start(threads) as engine:
                    found.append(_probe(engine, path, msgspec.structs.replace(settings, threads=threads), number))
            except EngineError as error:
                failed = error
    if failed is not None and not found:
        raise failed
    probes = _best(found)
    chosen = fewest(probes, settings.n_gen)
    return Knee(threads=chosen, n_prompt=settings.n_prompt, n_gen=settings.n_gen, cores=cores, probes=probes)


def fewest(probes: Iterable[Probe], n_gen: int) -> int:
    """The fewest threads whose prompt and answer take hardly longer than the fastest.

    >>> fewest([Probe(threads=t, prefill_s=1.0 / t, decode_s=max(0.01, 0.02 / t)) for t in (1, 2, 4)], 1000)
    2
    """
    seconds = {probe.threads: probe.prefill_s + n_gen * probe.decode_s for probe in probes}
    return min(threads for threads, value in seconds.items() if value <= (1 + TOLERANCE) * min(seconds.values()))


def _probe(engine: Engine, path: str, settings: BenchSettings, seed: int) -> Probe:
    load = engine.load(load_settings(path, settings))
    tokens = random_tokens(load.n_vocab, settings, seed)
    prefills, decodes = [], []
    for _ in range(1 + PASSES):
        prompt, answer = next(tokens)
        prefills.append(engine.prefill(prompt))
        times = engine.decode(answer[:TOKENS])
        decodes.append(statistics.median(times) if times else 0.0)
    return Probe(threads=settings.threads, prefill_s=min(prefills[1:]), decode_s=min(decodes[1:]))


def _best(found: Iterable[Probe]) -> tuple[Probe, ...]:
    """One probe a number of threads: the least of each phase."""
    by_threads: dict[int, list[Probe]] = {}
    for probe in found:
        by_threads.setdefault(probe.threads, []).append(probe)
    return tuple(
        Probe(
            threads=threads,
            prefill_s=min(probe.prefill_s for probe in probes),
            decode_s=min(probe.decode_s for probe in probes),
        )
        for threads, probes in sorted(by_threads.items())
    )
