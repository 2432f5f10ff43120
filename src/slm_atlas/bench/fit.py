"""Whether a run fits into memory, told before it is tried: what it will need, part by part, and what there is.

Arithmetic is asked first, since it costs a few milliseconds; where it comes near to what there is, or does not know the
model, the engine itself reckons without holding anything (`simulate.reckon`), which takes a second.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import msgspec

from slm_atlas.anatomy.buffers import compute_bytes
from slm_atlas.anatomy.cache import engine_cache_bytes
from slm_atlas.bench.room import Room
from slm_atlas.bench.simulate import reckon
from slm_atlas.engines import LoadSettings
from slm_atlas.errors import EngineError, UserError
from slm_atlas.models.header import Header, read_header
from slm_atlas.models.identify import bytes_by_type
from slm_atlas.models.reading import architecture
from slm_atlas.units import MIB, format_bytes

CLOSE = 1.05
"""A need so much over what there is still runs: pages of buffers that a short prompt does not touch are never taken,
and what else runs may end. If it dies of it, that is a result too."""
FAR = 0.5, 2.0
"""Under the first share of what there is, and over the second, arithmetic will do: it is a few percent off at most."""
PROCESS_BYTES = 64 * MIB
"""Of a worker before it has a model: the interpreter and the engine's code; about 46 MiB with llama.cpp on Linux."""
_F32 = 4


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The memory of a run, foreseen; in bytes. A lower bound: weights count once, repacked or not."""

    weights_bytes: int
    """All tensors of the file."""
    kv_bytes: int = 0
    """Keys and values, or what stands for them."""
    buffer_bytes: int = 0
    """Compute and output buffers."""
    process_bytes: int = 0
    """The process before it has a model."""

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.buffer_bytes + self.process_bytes


def shortage(need: Need, there: Room) -> str | None:
    """Why a run is not tried, in words; None where it fits, or is so close that it may.

    >>> shortage(Need(weights_bytes=400 * MIB, kv_bytes=2048 * MIB), Room(1024 * MIB, "are available"))
    'it needs 2.39 GiB (weights 400.0 MiB, KV cache 2.00 GiB), and 1.00 GiB are available'
    """
    if need.total_bytes <= CLOSE * there.bytes:
        return None
    parts = {
        "weights": need.weights_bytes,
        "KV cache": need.kv_bytes,
        "buffers": need.buffer_bytes,
        "process": need.process_bytes,
    }
    listed = ", ".join(f"{name} {format_bytes(size)}" for name, size in parts.items() if size)
    return f"it needs {format_bytes(need.total_bytes)} ({listed}), and {format_bytes(there.bytes)} {there.what}"


def foresee(path: Path, settings: LoadSettings, there: Room) -> Need | None:
    """What llama.cpp will need for a file; None where nobody can tell before it is tried.

    Args:
        path: the file.
        settings: how it will be loaded.
        there: the memory there is; far below it, arithmetic is enough.
    """
    try:
        header = read_header(path)
    except UserError:
        return None
    quick, (few, many) = _arithmetic(header, settings), FAR
    # Attention that is not fused takes more than the arithmetic knows of: there it is only a lower bound.
    fused = settings.flash_attention is not False
    if quick and ((fused and quick.total_bytes <= few * there.bytes) or quick.total_bytes >= many * there.bytes):
        return quick
    return _reckoned(sum(bytes_by_type(header).values()), settings) or quick


def _arithmetic(header: Header, settings: LoadSettings) -> Need | None:
    """By the inventory, attention fused; None for an architecture that is not known here."""
    try:
        arch = architecture(header)
    except UserError:
        return None
    context, micro_batch = settings.context, settings.micro_batch
    return Need(
        weights_bytes=sum(bytes_by_type(header).values()),
        kv_bytes=engine_cache_bytes(arch, context, micro_batch=micro_batch, kv_type=settings.kv_type),
        buffer_bytes=compute_bytes(arch, context, micro_batch) + arch.vocab * _F32,
        process_bytes=PROCESS_BYTES,
    )


@lru_cache(maxsize=256)
def _reckoned(weights_bytes: int, settings: LoadSettings) -> Need | None:
    """By the engine; None where it refuses or dies, which the run itself will show and keep."""
    try:
        report, vocab = reckon(settings)
    except EngineError:
        return None
    return Need(
        weights_bytes=weights_bytes,
        kv_bytes=report.kv_bytes,
        buffer_bytes=(report.compute_bytes or 0) + vocab * _F32,
        process_bytes=report.process_baseline_bytes,
    )
