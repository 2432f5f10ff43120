"""How much memory a run can have: what the system, the control group, or the user's limit leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from slm_atlas.engines.usage import ROOT, number, parse_groups


class Room(NamedTuple):
    """Memory that can still be had."""

    bytes: int
    """How much."""
    what: str
    """Whose limit it is, as it follows the number: `are available`."""


class _Files(NamedTuple):
    """Where a version of the control groups keeps its numbers."""

    limit: str
    used: str
    cache: tuple[str, ...]
    """Lines of `memory.stat` that count pages of files, which the group gives up when it needs memory."""


_FILES = {
    "": _Files("memory.max", "memory.current", ("inactive_file", "active_file")),
    "memory": _Files("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}
"""Of cgroup v2, whose line in /proc/self/cgroup names no controller, and of v1."""


def room(memory_limit_bytes: int | None = None, *, root: Path = ROOT) -> Room:
    """The least of what the system has available, what each control group of this process leaves, and the limit given.

    Pages of files count as available, as the kernel counts them: they are dropped when memory is wanted.

    Args:
        memory_limit_bytes: most bytes the engine's process may map; None: no limit.
        root: where the system's files are.
    """
    found = [Room(int(psutil.virtual_memory().available), "are available"), *_groups(root)]
    if memory_limit_bytes is not None:
        found.append(Room(memory_limit_bytes, "are allowed (--memory-limit)"))
    return min(found)


def _groups(root: Path) -> Iterator[Room]:
    """What the control group and those around it leave; none where there is no limit."""
    try:
        text = (root / "proc/self/cgroup").read_text(errors="replace")
    except OSError:
        return
    for controller, group in parse_groups(text):
        files = _FILES.get(controller)
        # In a container, the group named may lie outside of what is mounted; the container's own is the mount's root.
        base = root / "sys/fs/cgroup" / controller
        path = base / group.lstrip("/")
        for folder in (path, *path.parents) if files else ():
            left = _left(folder, files) if files else None
            if left is not None:
                yield Room(left, "are left in the control group")
            if folder == base:
                break


def _left(folder: Path, files: _Files) -> int | None:
    limit, used = number(folder / files.limit), number(folder / files.used)
    if limit is None or used is None:
        return None
    return max(0, limit - used + _cached(folder / "memory.stat", files.cache))


def _cached(path: Path, names: tuple[str, ...]) -> int:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines if len(line.split()) == 2)
    return sum(int(counts[name]) for name in names if counts.get(name, "").isdigit())
