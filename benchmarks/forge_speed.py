"""How fast the forge writes a 1B model at Q4_K_M: `python benchmarks/forge_speed.py [MODEL] [--times 7]`.

Budget (design/DESIGN.md): 3 s plus disk. The disk's part is measured apart: the same number of bytes written plainly to
the same folder and synced.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization
from slm_atlas.models.forge import Order, forge
from slm_atlas.units import format_bytes, format_count

_CHUNK = bytes(16 * 2**20)


def write_plainly(path: Path, size: int) -> float:
    start = time.perf_counter()
    with path.open("wb") as file:
        for _ in range(size // len(_CHUNK)):
            file.write(_CHUNK)
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - start


def forge_once(order: Order, path: Path) -> float:
    start = time.perf_counter()
    forge(order, path)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="tinyllama-1.1b")
    parser.add_argument("--times", type=int, default=7)
    chosen = parser.parse_args()
    model = catalog.get(chosen.model)
    order = Order(model.name, model.architecture, Quantization.Q4_K_M)
    forged, plain = [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder) / "model.gguf"
        for _ in range(chosen.times):
            forged.append(forge_once(order, path))
            size = path.stat().st_size
            plain.append(write_plainly(Path(folder) / "plain", size))
    print(f"{model.name}: {format_count(model.params)} parameters, {format_bytes(size)} at Q4_K_M, n = {chosen.times}")
    for name, times in (("forge, synced", forged), ("the same bytes written plainly, synced", plain)):
        print(f"{name:40} median {statistics.median(times):.2f} s  [{min(times):.2f}, {max(times):.2f}]")


if __name__ == "__main__":
    main()
