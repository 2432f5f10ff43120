"""The physical gate: a number that would need more bandwidth or arithmetic than this machine has is not stored as true.

On a machine that `slm calibrate` has measured, the ceilings are those of the engine's own kernels, by the size of what
is read, and the margins are small. On any other they are measured with numpy when a session begins; an engine may read
faster, and its integer tiles do more work a cycle than numpy's floats, so the margins are large. Either way a ceiling
is a lower bound of what the hardware can do: the gate is for numbers that are impossible, not for surprising ones.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

from slm_atlas.bench.calibration import Calibration, Use
from slm_atlas.store.records import Sample

BANDWIDTH_MARGIN = 4.0
"""A sum in numpy reads 8 bytes an addition; caches and wider loads read faster."""
COMPUTE_MARGIN = 32.0
"""8-bit tiles (AMX) do 32 times the operations of 32-bit vectors (AVX-512) in a cycle."""
CALIBRATED_MARGIN = 1.5
"""Where a calibration was not disturbed. The kernels are the same, so this is for the machine alone: its clock may have
been lower then, and matrices larger than those measured may run a little better. A calibration that other programs
disturbed may be too low by far more (threads that wait for each other in a busy loop lost nine tenths of their speed
beside other programs here); its figures are used with the margins of the quick measurement."""
ALIKE = 0.9
"""Working sets of different types are not equal to the byte: those that differ by less are of one level."""
_REPEATS = 5
_ARRAY_BYTES = 64 * 2**20
_MATRIX = 1024


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How fast a working set of some size was read."""

    size_bytes: int
    """The working set, read over and over."""
    bytes_per_s: float
    """Bytes read in a second, at best."""


class Ceilings(msgspec.Struct, frozen=True, kw_only=True):
    """The fastest this machine was seen to read and to multiply."""

    read_bytes_per_s: float
    """Bytes read from memory in a second, all threads together."""
    flops: float
    """Floating-point operations in a second."""
    levels: tuple[Level, ...] = ()
    """Reading by size of the working set, where the machine is calibrated."""
    bandwidth_margin: float = BANDWIDTH_MARGIN
    """A run may read so many times faster."""
    compute_margin: float = COMPUTE_MARGIN
    """A run may compute so many times faster."""
    calibrated_at: str | None = None
    """When the machine was calibrated; None: measured quickly, when the session began."""

    def read_limit(self, size_bytes: float) -> float:
        """The fastest reading of a working set: of the levels as large, and the next smaller one.

        A larger working set is never read faster than a smaller one, since it lies further away.

        >>> levels = (Level(size_bytes=10, bytes_per_s=9.0), Level(size_bytes=100, bytes_per_s=2.0))
        >>> ceilings = Ceilings(read_bytes_per_s=1.0, flops=1.0, levels=levels)
        >>> ceilings.read_limit(5), ceilings.read_limit(50), ceilings.read_limit(500)
        (9.0, 9.0, 2.0)
        """
        below = max((level.size_bytes for level in self.levels if level.size_bytes <= size_bytes), default=0)
        rates = [level.bytes_per_s for level in self.levels if level.size_bytes >= ALIKE * below]
        return max(rates, default=self.read_bytes_per_s)

    def of(self, work: Work) -> Ceilings:
        """What a run of some work is checked against; stands in the run's notes."""
        return msgspec.structs.replace(self, read_bytes_per_s=self.read_limit(work.decode_bytes), levels=())


def measure_ceilings(threads: int) -> Ceilings:
    """Measure them with numpy; takes about a third of a second.

    Args:
        threads: threads that may run at once.
    """
    parts = np.array_split(np.ones(_ARRAY_BYTES // 8), threads)
    left, right = np.ones((2, _MATRIX, _MATRIX), dtype=np.float32)
    with ThreadPoolExecutor(threads) as pool:
        read_s = _best(lambda: list(pool.map(np.sum, parts)))
    multiply_s = _best(lambda: left @ right)
    return Ceilings(read_bytes_per_s=_ARRAY_BYTES / read_s, flops=2 * _MATRIX**3 / multiply_s)


def _best(action: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        action()
        times.append(time.perf_counter() - start)
    return min(times)


def calibrated(quick: Ceilings, known: Calibration | None) -> Ceilings:
    """The ceilings of a calibration, raised where the quick measurement saw more; else the quick ones."""
    if known is None or not known.figures:
        return quick
    reads = [figure for figure in known.figures if figure.use is not Use.PREFILL]
    levels = [_raised(Level(size_bytes=figure.weight_bytes, bytes_per_s=figure.bytes_per_s), quick) for figure in reads]
    return Ceilings(
        read_bytes_per_s=max([quick.read_bytes_per_s, *(level.bytes_per_s for level in levels)]),
        flops=max(quick.flops, *(figure.flops for figure in known.figures)),
        levels=tuple(sorted(levels, key=lambda level: level.size_bytes)),
        bandwidth_margin=CALIBRATED_MARGIN if known.calm else BANDWIDTH_MARGIN,
        compute_margin=CALIBRATED_MARGIN if known.calm else COMPUTE_MARGIN,
        calibrated_at=known.measured_at,
    )


def _raised(level: Level, quick: Ceilings) -> Level:
    """A level, at least as fast as the quick measurement read as much or more; which is no level of its own.

    Numpy reads slower than the engine, so it tells that a ceiling is too low, never that one is too high.
    """
    seen = quick.read_bytes_per_s if level.size_bytes <= _ARRAY_BYTES else 0.0
    return msgspec.structs.replace(level, bytes_per_s=max(level.bytes_per_s, seen))


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The least a model must do."""

    decode_bytes: float
    """Bytes of weights read for one token."""
    flops_per_token: float
    """FLOPs of a prompt token."""


def impossible(samples: Sequence[Sample], work: Work, ceilings: Ceilings, *, n_prompt: int) -> str | None:
    """Why a run's numbers cannot be true; None if they can.

    >>> fast = [Sample(metric="decode_s", index=0, value=1e-9)]
    >>> work = Work(decode_bytes=1e8, flops_per_token=1e7)
    >>> impossible(fast, work, Ceilings(read_bytes_per_s=1e10, flops=1e11), n_prompt=50)
    'decode would read 1e+08 GB/s, over 4 times the 10 GB/s measured here'
    """
    if any(sample.value <= 0 for sample in samples if sample.metric in ("prefill_s", "decode_s")):
        return "a time is not positive"
    decode, prefill = (_median(samples, metric) for metric in ("decode_s", "prefill_s"))
    limit, margin = ceilings.read_limit(work.decode_bytes), ceilings.bandwidth_margin
    if decode and work.decode_bytes / decode > margin * limit:
        rate = work.decode_bytes / decode / 1e9
        return f"decode would read {rate:.4g} GB/s, over {margin:g} times the {limit / 1e9:.4g} GB/s measured here"
    if prefill and work.flops_per_token * n_prompt / prefill > ceilings.compute_margin * ceilings.flops:
        rate, most = work.flops_per_token * n_prompt / prefill / 1e9, ceilings.flops / 1e9
        return (
            f"prefill would do {rate:.4g} GFLOP/s, over {ceilings.compute_margin:g} times the {most:.4g} measured here"
        )
    return None


def _median(samples: Sequence[Sample], metric: str) -> float | None:
    values = [sample.value for sample in samples if sample.metric == metric]
    return statistics.median(values) if values else None
