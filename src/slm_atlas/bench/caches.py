"""The processor's caches, which decide how fast a working set of a given size can be read.

Linux says what they are. In a virtual machine that is what the hypervisor reports: a last level of hundreds of MiB is
the whole socket's, and others use it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from slm_atlas.units import parse_bytes

MEMORY = "memory"
"""The level beyond all caches."""


class Cache(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A cache that one core sees."""

    level: int
    """1, 2, 3, ..."""
    size_bytes: int
    """What it holds."""
    shared_by: int
    """Cores that share it."""


def caches(root: Path = Path("/")) -> tuple[Cache, ...]:
    """The data caches of the first core, small to large; empty where the system does not say.

    Args:
        root: where the system's files are.
    """
    folders = (root / "sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*")
    found = (_cache(folder) for folder in folders)
    return tuple(sorted((cache for cache in found if cache), key=lambda cache: cache.level))


def _cache(folder: Path) -> Cache | None:
    try:
        texts = {name: (folder / name).read_text().strip() for name in ("level", "type", "size", "shared_cpu_list")}
        if texts["type"] == "Instruction":
            return None
        shared_by = max(1, parse_cpu_list(texts["shared_cpu_list"]))
        return Cache(level=int(texts["level"]), size_bytes=parse_bytes(texts["size"]), shared_by=shared_by)
    except (OSError, ValueError):
        return None


def parse_cpu_list(text: str) -> int:
    """How many cores a list of the kernel names.

    >>> parse_cpu_list("0-3,8"), parse_cpu_list("5"), parse_cpu_list("")
    (5, 1, 0)

    Raises:
        ValueError: it is not such a list.
    """
    count = 0
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        count += int(last or first) - int(first) + 1
    return count


def level_of(working_set_bytes: int, threads: int, found: Sequence[Cache]) -> str | None:
    """The smallest level that holds a working set spread over threads; None where the caches are not known.

    >>> small, large = Cache(level=2, size_bytes=2**21, shared_by=1), Cache(level=3, size_bytes=2**25, shared_by=8)
    >>> [level_of(size, 2, [small, large]) for size in (2**22, 2**23, 2**26)]
    ['L2', 'L3', 'memory']
    """
    for cache in found:
        if working_set_bytes <= cache.size_bytes * math.ceil(threads / cache.shared_by):
            return f"L{cache.level}"
    return MEMORY if found else None
