"""Every architecture of the catalogue at full size: forged, run in the real engine, and removed, one at a time."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from engines.asking import score
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.catalog import Architecture, models, runnable
from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import match_catalogue
from slm_atlas.units import GIB, MIB

CONTEXT = 512
LOG_BYTES = 0.02 * MIB
"""The engine's log gives two decimals of a MiB for each of up to four buffers."""

SHAPES: dict[Architecture, str] = {}
for model in models():
    if (arch := runnable(model)) is not None:
        SHAPES.setdefault(arch, model.id)
"""One model of each shape: tuned models have that of their base."""


@pytest.mark.slow
@pytest.mark.engine
@pytest.mark.parametrize("arch", SHAPES, ids=SHAPES.values())
def test_a_model_at_full_size_runs_and_takes_what_was_reckoned(arch: Architecture, tmp_path: Path) -> None:
    costs = estimate(arch, Quantization.Q4_K_M, context=CONTEXT)
    free = shutil.disk_usage(tmp_path).free
    if free < costs.weight_bytes + GIB:
        pytest.skip(f"{costs.weight_bytes / GIB:.1f} GiB do not fit in the {free / GIB:.1f} GiB free")
    name = SHAPES[arch]
    path = forge(Order(name, arch, Quantization.Q4_K_M), tmp_path / "model.gguf")
    try:
        run(path, arch)
        matched = match_catalogue(read_header(path))
        assert matched is None or runnable(matched) == arch
    finally:
        path.unlink()


def run(path: Path, arch: Architecture) -> None:
    """Prefill, decode and score; finite logits, and the memory that was reckoned."""
    with Worker(deadline_s=300) as worker:
        worker.load(LoadSettings(path=str(path), context=CONTEXT))
        assert worker.prefill(list(range(1, 17))) > 0
        assert all(seconds > 0 for seconds in worker.decode([1, 2]))
        (found,) = score(worker, [1, 2, 3], [[4, 5]])
        memory = worker.memory()
    assert math.isfinite(found.logprob)
    assert found.logprob < 0
    costs = estimate(arch, Quantization.Q4_K_M, context=CONTEXT)
    assert abs(memory.kv_bytes - costs.kv_bytes) <= LOG_BYTES
    assert memory.compute_bytes is not None
    assert abs(memory.compute_bytes / costs.compute_bytes - 1) < 0.13
