"""What the operating system says of this process: cores it may use, memory it holds and held."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

import psutil

_CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""A container's share of the processor (Linux, cgroup v2)."""


def usable_cores() -> int:
    """Cores this process may use: its affinity where the system has one, and no more than a container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        share = parse_cpu_max(_CPU_MAX.read_text())
    except OSError:
        return cores
    return cores if share is None else min(cores, share)


def parse_cpu_max(text: str) -> int | None:
    """Whole cores that a container's share amounts to, at least one; None where it has no limit.

    >>> parse_cpu_max("200000 100000"), parse_cpu_max("50000 100000"), parse_cpu_max("max 100000")
    (2, 1, None)
    """
    quota, _, period = text.strip().partition(" ")
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return max(1, int(quota) // int(period))


def resident_bytes() -> int:
    """Resident set of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)


def peak_resident_bytes() -> int:
    """Peak resident set of this process, in bytes: VmHWM of Linux, else `ru_maxrss`.

    `ru_maxrss` alone will not do on Linux: a child inherits its parent's peak through fork and exec.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies, where it can (Linux).

    A parent killed with -9 closes its pipes, but a child deep in native code would not look at them for minutes, and
    would disturb whatever is measured next.
    """
    if sys.platform == "linux":
        set_death_signal = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def die_first() -> None:
    """Have the system, when it runs out of memory, kill this process before any other (Linux).

    A model that is too large then costs its own run, and not the study, the user's editor or the desktop.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def limit_memory(limit_bytes: int) -> None:
    """Let this process map no more than so many bytes; mapped files count."""
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
