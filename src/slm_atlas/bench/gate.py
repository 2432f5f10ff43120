"""The physical gate: a number that would need more bandwidth or arithmetic than this machine has is not stored as true.

The ceilings are measured here, with numpy, once a session. They are lower bounds of what the hardware can do (an engine
may read faster, and its integer tiles do more work a cycle than numpy's floats), so each is multiplied by a stated
margin: the gate is for numbers that are impossible, not for ones that are surprising.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np

from slm_atlas.store.records import Sample

BANDWIDTH_MARGIN = 4.0
"""A sum in numpy reads 8 bytes an addition; caches and wider loads read faster."""
COMPUTE_MARGIN = 32.0
"""8-bit tiles (AMX) do 32 times the operations of 32-bit vectors (AVX-512) in a cycle."""
_REPEATS = 5
_ARRAY_BYTES = 64 * 2**20
_MATRIX = 1024


class Ceilings(msgspec.Struct, frozen=True, kw_only=True):
    """The fastest this machine was seen to read and to multiply."""

    read_bytes_per_s: float
    """Bytes read from memory in a second, all threads together."""
    flops: float
    """32-bit floating-point operations in a second."""


def measure_ceilings(threads: int) -> Ceilings:
    """Measure them; takes about a third of a second.

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
    if decode and work.decode_bytes / decode > BANDWIDTH_MARGIN * ceilings.read_bytes_per_s:
        rate, limit = work.decode_bytes / decode / 1e9, ceilings.read_bytes_per_s / 1e9
        return f"decode would read {rate:.4g} GB/s, over {BANDWIDTH_MARGIN:g} times the {limit:.4g} GB/s measured here"
    flops = work.flops_per_token * n_prompt
    if prefill and flops / prefill > COMPUTE_MARGIN * ceilings.flops:
        rate, limit = flops / prefill / 1e9, ceilings.flops / 1e9
        return f"prefill would do {rate:.4g} GFLOP/s, over {COMPUTE_MARGIN:g} times the {limit:.4g} measured here"
    return None


def _median(samples: Sequence[Sample], metric: str) -> float | None:
    values = [sample.value for sample in samples if sample.metric == metric]
    return statistics.median(values) if values else None
