"""What the engine would allocate for a model, by its own reckoning: no weights are forged, read or held."""

from __future__ import annotations

import tempfile
from pathlib import Path

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Architecture
from slm_atlas.engines import LoadSettings, MemoryReport
from slm_atlas.engines.worker import Worker
from slm_atlas.models.forge import Order, outline


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
    with tempfile.TemporaryDirectory(prefix="slm-atlas-") as folder, Worker() as worker:
        path = outline(Order("outline", arch, quantization), Path(folder) / "outline.gguf")
        batch = min(micro_batch, context)
        worker.load(LoadSettings(path=str(path), context=context, micro_batch=batch, kv_type=kv_type, simulate=True))
        return worker.memory()
