"""What a program may use, and what became of it."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from slm_atlas.units import GIB, MIB


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one program may use.

    lm-eval's `code_eval` gives a program 3 s on the clock, which a busy or slow machine turns into wrong failures (one
    of MBPP's own solutions computes for 2 s here): so time counts on the processor, and the clock ends what sleeps.
    """

    cpu_s: int = 5
    """Seconds of processor time, of each process."""
    wall_s: float = 30.0
    """Seconds on the clock, all in all."""
    memory_bytes: int = 1 * GIB
    """Address space of each process."""
    processes: int = 8
    """Processes and threads beside the first. Before Linux 5.14 all of the user's count, so that there is none."""
    file_bytes: int = 16 * MIB
    """Size of a file."""
    folder_bytes: int = 64 * MIB
    """Size of all files, which lie in memory."""
    open_files: int = 64
    """Open files of each process."""
    output_bytes: int = 16 * MIB
    """Bytes it may print; the end is kept."""


class Outcome(StrEnum):
    """How a program ended."""

    PASSED = "passed"
    """Its last line was reached."""
    FAILED = "failed"
    """It ended before its last line: an exception, an exit, a signal."""
    TIMED_OUT = "timed out"
    """It took more time than allowed, and was killed."""
    MEMORY = "out of memory"
    """It asked for more memory than allowed."""
    REFUSED = "refused"
    """It was not run."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a program."""

    outcome: Outcome
    """How it ended."""
    reason: str = ""
    """The last line of its exception, or what ended it; empty where it passed."""
    wall_s: float = 0.0
    """Seconds on the clock, start of Python included."""
    output: str = ""
    """The end of what it printed, on either stream; bytes that are not UTF-8 are replaced."""
