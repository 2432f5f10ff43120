"""What the engine would allocate for a model, by its own reckoning: no weights are forged, read or held."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Architecture
from slm_atlas.engines import LoadSettings, MemoryReport
from slm_atlas.engines.worker import Worker
from slm_atlas.models.forge import Order, outline

DEADLINE_S = 60.0
"""Longest reckoning: it takes a second, of a vocabulary that is large."""


class Reckoned(NamedTuple):
    """What the engine says."""

    memory: MemoryReport
    """Cache and compute buffer; model and output buffers are not simulated (0)."""
    vocab: int
    """Tokens of the vocabulary."""


def reckon(settings: LoadSettings) -> Reckoned:
    """The engine's cache and compute buffer for a file, in a process of its own that holds neither.

    Raises:
        EngineError: the engine refused it, or died.
    """
    with Worker(deadline_s=DEADLINE_S) as worker:
        loaded = worker.load(msgspec.structs.replace(settings, simulate=True))
        return Reckoned(worker.memory(), loaded.n_vocab)


def simulate(
    arch: Architecture, quantization: Quantization, *, context: int, micro_batch: int = 512, kv_type: str = "f16"
) -> MemoryReport:
    """The engine's cache and compute buffer for an architecture; model and output buffers are not simulated (0).

    Args:
        arch: one that llama.cpp runs.
        quantization: of the weights, whose types decide which kernels' buffers are needed.
        context: tokens the cache holds.
        micro_batch: most tokens computed at once.
        kv_type: type of keys and values.

    Raises:
        UserError: llama.cpp does not run the architecture.
        EngineError: the engine refused it, or died.
    """
    with tempfile.TemporaryDirectory(prefix="slm-atlas-") as folder:
        path = outline(Order("outline", arch, quantization), Path(folder) / "outline.gguf")
        batch = min(micro_batch, context)
        return reckon(LoadSettings(path=str(path), context=context, micro_batch=batch, kv_type=kv_type)).memory
