"""What makes the numbers of a machine doubtful, by its state before and after a run: a sentence each."""

from __future__ import annotations

from slm_atlas.bench.host import HostState
from slm_atlas.units import MIB, format_bytes, format_seconds

MAX_STEAL_SHARE = 0.01
"""Of the processor's time. On a quiet machine a run differs from its repetition by 1 or 2 %; this is of that order."""
MIN_STEAL_TICKS = 5
"""A tick is 10 ms: fewer say more of the clock than of the neighbours."""
MAX_FOREIGN_SHARE = 0.05
"""Of the processor's time, that other programs took while a run was made: more than two runs of one model differ by."""
MIN_FOREIGN_S = 0.1
"""Ten ticks: the system's count of one core may be off by a tick or two."""
MAX_CPU_PRESSURE = 10.0
"""Percent of the last 10 s in which some thread waited for a core. Our own threads are no more than the cores, so they
wait only for someone else's."""
MAX_MEMORY_PRESSURE = 1.0
"""Percent of the last 10 s in which some thread waited for memory: none does while there is enough."""
MAX_LOAD_PER_CORE = 1.25
"""Our own threads fill the cores, a load of one a core; the margin is for the parent process and the kernel."""
MAX_SWAP_GROWTH_BYTES = 16 * MIB
"""An idle program's pages may leave at any time; more than this means that memory ran short."""
MAX_FREQUENCY_DROP = 0.10
"""Clocks wander by a few percent; a tenth is a limit of heat or power."""
MAX_QUOTA_SHARE = 0.01
"""Of a run's time, that some of its threads were kept from running since a container's share was used up."""
MAX_TEMPERATURE_C = 85.0
"""Small boards slow down from 80 to 85 degrees, laptops from about 95."""


def noise(before: HostState, after: HostState) -> list[str]:
    """What makes a measurement between two moments doubtful, a sentence each; empty when nothing does."""
    return disturbances(before, after) + unrest(after)


def disturbances(before: HostState, after: HostState) -> list[str]:
    """What took the machine from a run between two moments, a sentence each: a run to be repeated.

    Only what was counted from the one moment to the other: load and pressure look back, to what was before the run.
    """
    found = (check(before, after) for check in (_foreign, _steal, _quota, _swap, _frequency))
    return [sentence for sentence in found if sentence]


def unrest(state: HostState) -> list[str]:
    """What would make a measurement at this moment doubtful, a sentence each."""
    found = []
    if (state.cpu_pressure or 0) > MAX_CPU_PRESSURE:
        found.append(f"Threads waited for a core in {state.cpu_pressure:.0f} % of the last 10 s: other programs run.")
    if (state.load_1min or 0) > MAX_LOAD_PER_CORE * state.logical_cores:
        found.append(f"The load of the last minute is {state.load_1min:.1f} on {state.logical_cores} cores.")
    if (state.memory_pressure or 0) > MAX_MEMORY_PRESSURE:
        found.append(f"Threads waited for memory in {state.memory_pressure:.0f} % of the last 10 s: memory is short.")
    if (state.temperature_c or 0) > MAX_TEMPERATURE_C:
        found.append(f"The hottest sensor shows {state.temperature_c:.0f} °C: the processor may slow itself down.")
    if state.on_battery:
        found.append("The machine runs from its battery: the processor may be slowed to save power.")
    return found


def _foreign(before: HostState, after: HostState) -> str | None:
    busy, own = _passed(before.busy_s, after.busy_s), _passed(before.own_s, after.own_s)
    elapsed = _passed(before.clock_s, after.clock_s)
    if busy is None or own is None or not elapsed:
        return None
    foreign, whole = busy - own, elapsed * after.logical_cores
    if foreign < MIN_FOREIGN_S or foreign <= MAX_FOREIGN_SHARE * whole:
        return None
    return f"Other programs took {min(foreign / whole, 1):.0%} of the processor's time."


def _quota(before: HostState, after: HostState) -> str | None:
    waited, elapsed = _passed(before.throttled_s, after.throttled_s), _passed(before.clock_s, after.clock_s)
    if waited is None or not elapsed or waited <= MAX_QUOTA_SHARE * elapsed:
        return None
    return f"Threads waited {format_seconds(waited)} because the container's share of the processor was used up."


def _passed(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def stolen_share(before: HostState, after: HostState) -> float | None:
    """The share of the processor's time that other virtual machines took between two moments; None: it is not said."""
    stolen = _passed(before.steal_ticks, after.steal_ticks)
    total = _passed(before.total_ticks, after.total_ticks)
    return stolen / total if stolen is not None and total else None


def _steal(before: HostState, after: HostState) -> str | None:
    stolen, share = _passed(before.steal_ticks, after.steal_ticks), stolen_share(before, after)
    if stolen is None or share is None or stolen < MIN_STEAL_TICKS or share <= MAX_STEAL_SHARE:
        return None
    return f"Another virtual machine took {100 * share:.1f} % of the processor's time (steal)."


def _swap(before: HostState, after: HostState) -> str | None:
    growth = after.swap_used_bytes - before.swap_used_bytes
    if growth <= MAX_SWAP_GROWTH_BYTES:
        return None
    return f"{format_bytes(growth)} of memory went to swap: memory ran short."


def _frequency(before: HostState, after: HostState) -> str | None:
    if before.frequency_mhz is None or after.frequency_mhz is None:
        return None
    if after.frequency_mhz >= (1 - MAX_FREQUENCY_DROP) * before.frequency_mhz:
        return None
    return f"The processor's clock fell from {before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz."
