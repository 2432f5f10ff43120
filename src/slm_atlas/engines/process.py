"""What the operating system says of this process: cores it may use, memory it holds and held."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

import psutil


def usable_cores() -> int:
    """Cores this process may run on (its affinity, where the system has one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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


def limit_memory(limit_bytes: int) -> None:
    """Let this process map no more than so many bytes; mapped files count."""
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
