"""Which cores the threads of an engine are pinned to: one thread a physical core, the fast cores first (Linux).

Read from `/sys/devices/system/cpu`: siblings of a core, its capacity (`cpu_capacity`, Arm) and the hybrid processors'
lists of kinds (`/sys/devices/cpu_core`, `cpu_atom`, Intel). What the system does not say makes all cores alike.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

ROOT = Path("/")
NOT_HERE = "this system does not let a process choose its cores"


class _Core(NamedTuple):
    """What a logical core is sorted by, the first chosen first."""

    sibling: int
    """Its place among the logical cores of its physical core: the second is chosen when each core has one thread."""
    slowness: int
    """Larger for a slower kind of core."""
    package: int
    """Its socket."""
    number: int
    """Its number."""


def affinity() -> list[int] | None:
    """The logical cores this process may use; None where the system does not say."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def choose_cores(threads: int, root: Path = ROOT) -> list[int] | str:
    """A logical core for each of so many threads, or why there is none."""
    usable = affinity()
    if usable is None:
        return NOT_HERE
    chosen = ranked(usable, root)[:threads]
    return chosen if len(chosen) == threads else f"{threads} threads and {len(usable)} cores"


def ranked(usable: Collection[int], root: Path = ROOT) -> list[int]:
    """Logical cores in the order in which threads should take them."""
    slow = set(parse_list(_read(root / "sys/devices/cpu_atom/cpus")))
    return [core.number for core in sorted(_core(number, number in slow, root) for number in usable)]


def parse_list(text: str) -> list[int]:
    """The numbers in one of the kernel's lists.

    >>> parse_list("0-2,5"), parse_list("")
    ([0, 1, 2, 5], [])
    """
    numbers: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            numbers += range(int(first), int(last or first) + 1)
    return numbers


def pin(cores: Collection[int]) -> None:
    """Keep this process to some cores, and each of its engine's threads to one of them.

    Before the engine is loaded: its OpenMP runtime reads the places once.
    """
    os.sched_setaffinity(0, cores)
    os.environ |= {"OMP_PROC_BIND": "true", "OMP_PLACES": ",".join(f"{{{core}}}" for core in cores)}


def unpin(cores: Collection[int] | None) -> None:
    """Let the calling thread run on all these cores: one that a pinned thread starts would stay on that one's."""
    if cores is not None:
        os.sched_setaffinity(0, cores)


def _core(number: int, slow: bool, root: Path) -> _Core:
    folder = root / f"sys/devices/system/cpu/cpu{number}"
    siblings = parse_list(_read(folder / "topology/thread_siblings_list"))
    capacity = _read(folder / "cpu_capacity").strip()
    package = _read(folder / "topology/physical_package_id").strip()
    return _Core(
        sibling=siblings.index(number) if number in siblings else 0,
        slowness=-int(capacity) if capacity.isdecimal() else int(slow),
        package=int(package) if package.isdecimal() else 0,
        number=number,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
