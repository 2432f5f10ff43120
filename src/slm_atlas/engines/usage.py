"""What the operating system counted of this process: page faults, context switches, resident weights, its group's peak.

Linux says all of it, macOS the counts alone. What is not said is absent with the reason, never zero.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from slm_atlas.engines.values import Reading, Usage

ROOT = Path("/")
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ [0-9a-f]+ \S+ \d+ +(.*)$")
_PEAKS = {"": "memory.peak", "memory": "memory.max_usage_in_bytes"}
"""The file with a group's peak: of cgroup v2, whose line names no controller, and of v1."""


def usage(model: str, root: Path = ROOT) -> Usage:
    """What was counted until now.

    Args:
        model: path of the model file, whose mapped pages are looked for; empty: none is loaded.
        root: where the system's files are.
    """
    return Usage(
        minor_faults=_counted("ru_minflt"),
        major_faults=_counted("ru_majflt"),
        voluntary_switches=_counted("ru_nvcsw"),
        involuntary_switches=_counted("ru_nivcsw"),
        weights_resident_bytes=_on_linux(lambda: weights_resident(model, root)),
        group_peak_bytes=_on_linux(lambda: group_peak(root)),
    )


def weights_resident(model: str, root: Path = ROOT) -> Reading:
    """Bytes of a mapped file that are in memory, for this process."""
    if not model:
        return Reading(reason="no model is loaded")
    try:
        text = (root / "proc/self/smaps").read_text(errors="replace")
    except OSError as error:
        return Reading(reason=f"/proc/self/smaps cannot be read: {error.strerror}")
    found = parse_smaps(text, str(Path(model).resolve()))
    return Reading(reason="the file is not mapped: its weights were copied") if found is None else Reading(value=found)


def parse_smaps(text: str, path: str) -> int | None:
    r"""Resident bytes of all mappings of a file, from the text of /proc/self/smaps; None where it is not mapped.

    >>> parse_smaps("7f00-7f10 r--s 00000000 fe:00 42   /a b.gguf\nSize: 64 kB\nRss:    12 kB\n", "/a b.gguf")
    12288
    """
    total, inside, found = 0, False, False
    for line in text.splitlines():
        mapping = _MAPPING.match(line)
        if mapping:
            inside = mapping[1].removesuffix(" (deleted)") == path
            found = found or inside
        elif inside and line.startswith("Rss:"):
            words = line.split()
            total += int(words[1]) * 1024 if len(words) > 1 and words[1].isdigit() else 0
    return total if found else None


def group_peak(root: Path = ROOT) -> Reading:
    """The most memory that the control group of this process ever held; others may be in that group."""
    try:
        text = (root / "proc/self/cgroup").read_text(errors="replace")
    except OSError as error:
        return Reading(reason=f"/proc/self/cgroup cannot be read: {error.strerror}")
    for controller, group in parse_groups(text):
        file = _PEAKS.get(controller)
        # In a container, the group named may lie outside of what is mounted; the container's own is the mount's root.
        folder = root / "sys/fs/cgroup" / controller
        for place in (folder / group.lstrip("/"), folder) if file else ():
            value = number(place / str(file))
            if value is not None:
                return Reading(value=value)
    return Reading(reason="the control group has no memory peak (it is the root group, or an old kernel's)")


def parse_groups(text: str) -> list[tuple[str, str]]:
    r"""Controller and path of each group, from the text of /proc/self/cgroup.

    >>> parse_groups("4:memory:/a\n2:cpu,cpuacct:/\n0::/user.slice\n")
    [('memory', '/a'), ('cpu', '/'), ('cpuacct', '/'), ('', '/user.slice')]
    """
    fields = [line.split(":", 2) for line in text.splitlines()]
    return [(name, parts[2]) for parts in fields if len(parts) == 3 for name in parts[1].split(",")]


def _counted(name: str) -> Reading:
    try:
        import resource
    except ImportError:
        return Reading(reason=f"{sys.platform} does not count it for a process")
    return Reading(value=int(getattr(resource.getrusage(resource.RUSAGE_SELF), name)))


def _on_linux(read: Callable[[], Reading]) -> Reading:
    return read() if sys.platform == "linux" else Reading(reason=f"{sys.platform} does not say")


def number(path: Path) -> int | None:
    """The whole number that is all of a file; None where there is no such file, or no number (`max`) in it."""
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
