"""The energy of a token, where the processor counts it and lets an ordinary user read the count (RAPL on Linux).

A pass of its own after the times and the memory were measured: what the machine draws when idle, with the model loaded,
is measured first and taken off; each phase is repeated until the counter's step is less than a fiftieth of what was
counted. What cannot be known is absent with the reason: nothing is estimated from a nominal power. Graphics cards are
not read: the engine runs on the processor alone. macOS and virtual machines show no counter to an ordinary user.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from slm_atlas.engines import Engine
from slm_atlas.store.records import Sample

MAX_STEP_SHARE = 0.02
"""A counter's step may be so much of what it counted."""
MIN_PHASE_S = 5.0
"""Each phase lasts so long at least; the idle one just so long."""
MAX_PHASE_S = 60.0
"""A phase that needs longer to be told from the counter's steps is given up."""
READING_S = 1.0
"""Work that needs no preparation is repeated so long between two readings of the counter."""
_COUNTED = ("package", "dram")
"""Zones that do not contain one another: cores and graphics are part of a package."""
_MICRO = 1e-6


class Meter(Protocol):
    """Counts energy."""

    step_j: float
    """The smallest amount that it tells apart."""

    def joules(self) -> float:
        """What was used since the meter was made."""
        ...


class Zone(NamedTuple):
    """One counter of the processor."""

    name: str
    """`package-0`, `dram`, ..."""
    counter: Path
    """The file that holds it, in millionths of a joule."""
    range_j: float
    """It starts again from zero here."""


class Rapl:
    """The sum of the processor's counters, each of which starts again from zero now and then.

    Args:
        zones: the counters, at least one.
        clock: what time it is, in seconds.
    """

    def __init__(self, zones: Sequence[Zone], clock: Callable[[], float] = time.perf_counter) -> None:
        self._zones, self._total = zones, 0.0
        self._last = [_joules(zone.counter) for zone in zones]
        self.step_j = 0.0
        self.step_j = self._smallest_step(clock)

    def joules(self) -> float:
        """What was used since the meter was made; to be asked more often than a counter starts again (minutes)."""
        now = [_joules(zone.counter) for zone in self._zones]
        for zone, before, after in zip(self._zones, self._last, now, strict=True):
            self._total += after - before if after >= before else after - before + zone.range_j
        self._last = now
        return self._total

    def _smallest_step(self, clock: Callable[[], float]) -> float:
        """The least change seen in 50 ms: a counter is updated about once a millisecond."""
        end, steps, before = clock() + 0.05, [], self.joules()
        while clock() < end:
            after = self.joules()
            if after > before:
                steps.append(after - before)
            before = after
        return min(steps, default=0.0)


def meter(root: Path = Path("/")) -> Rapl | str:
    """The machine's meter, or why there is none.

    Args:
        root: where the system's files are.
    """
    folder = root / "sys/class/powercap"
    found = [zone for zone in map(_zone, sorted(folder.glob("*-rapl:*"))) if zone]
    if not found:
        return "the system has no energy counter (no RAPL zone in /sys/class/powercap)"
    try:
        return Rapl(found)
    except (OSError, ValueError) as error:
        return f"the energy counter cannot be read: {error} (root alone may, on most systems)"


def _zone(folder: Path) -> Zone | None:
    try:
        name = (folder / "name").read_text().strip()
        most = int((folder / "max_energy_range_uj").read_text()) * _MICRO
    except (OSError, ValueError):
        return None
    return Zone(name, folder / "energy_uj", most) if name.startswith(_COUNTED) else None


def _joules(counter: Path) -> float:
    return int(counter.read_text()) * _MICRO


class Energy(NamedTuple):
    """What an energy pass gave."""

    samples: list[Sample]
    """`idle_w`, `prefill_token_j` and `decode_token_j`, as far as they could be measured."""
    absent: dict[str, str]
    """Those that could not, each with the reason."""


def measure_energy(
    engine: Engine,
    source: Meter,
    prompt: Sequence[int],
    answer: Sequence[int],
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Energy:
    """Measure the energy of a token in prefill and in decode, on an engine that is loaded and warm.

    Args:
        engine: the engine.
        source: the meter.
        prompt: tokens of a prefill.
        answer: tokens decoded after it; none: decode is not measured.
        clock: what time it is, in seconds.
        sleep: waits.
    """
    start, before = clock(), source.joules()
    sleep(MIN_PHASE_S)
    idle_w = (source.joules() - before) / (clock() - start)
    phases = {"prefill_token_j": _Phase(None, lambda: engine.prefill(prompt), len(prompt))}
    if answer:
        phases["decode_token_j"] = _Phase(lambda: engine.prefill(prompt), lambda: engine.decode(answer), len(answer))
    samples, absent = [Sample(metric="idle_w", index=0, value=idle_w)], {}
    for metric, phase in phases.items():
        spent = _spent(source, phase, clock)
        net_j = spent.joules - idle_w * spent.seconds
        reason = _doubt(net_j, spent, source.step_j)
        if reason:
            absent[metric] = reason
        else:
            samples.append(Sample(metric=metric, index=0, value=net_j / (phase.tokens * spent.times)))
    return Energy(samples, absent)


class _Phase(NamedTuple):
    """Work that is repeated, and what must come before each repetition and does not count."""

    prepare: Callable[[], object] | None
    work: Callable[[], object]
    tokens: int


class _Spent(NamedTuple):
    """What a phase took, over all its repetitions; each reading is exact to a step of the counter."""

    joules: float = 0.0
    seconds: float = 0.0
    times: int = 0
    readings: int = 0


def _spent(source: Meter, phase: _Phase, clock: Callable[[], float]) -> _Spent:
    """The energy of a phase, repeated until it can be told from the counter's steps."""
    spent = _Spent()
    while spent.seconds < MIN_PHASE_S or (
        spent.readings * source.step_j > MAX_STEP_SHARE * spent.joules and spent.seconds < MAX_PHASE_S
    ):
        if phase.prepare:
            phase.prepare()
        start, before, times = clock(), source.joules(), 0
        while times == 0 or (phase.prepare is None and clock() - start < READING_S):
            phase.work()
            times += 1
        spent = _Spent(
            spent.joules + source.joules() - before,
            spent.seconds + clock() - start,
            spent.times + times,
            spent.readings + 1,
        )
    return spent


def _doubt(net_j: float, spent: _Spent, step_j: float) -> str | None:
    """Why the energy of a phase is not known."""
    if net_j <= 0:
        return f"no more was used in {spent.seconds:.0f} s than by the idle machine"
    if step_j <= 0:
        return "the counter did not move"
    share = spent.readings * step_j / net_j
    if share > MAX_STEP_SHARE:
        return f"the counter's steps are {share:.0%} of what was used in {spent.seconds:.0f} s"
    return None
