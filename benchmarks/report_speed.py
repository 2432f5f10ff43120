"""How long a report of 100,000 samples takes: `python benchmarks/report_speed.py [--samples 100000] [--times 3]`.

The store is the reference that comes with the package, imported once as it is and then again as if further machines had
measured the same files (their own keys, times shifted by some percent), until there are as many samples. Each report is
made by the command itself, in a fresh process.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from slm_atlas import home
from slm_atlas.store import Attempt, Sample, Store, import_jsonl, reference_names, reference_path, run_key

COMMAND = [sys.executable, "-c", "from slm_atlas.cli.main import main; main()"]


def fill(store: Store, wanted: int) -> int:
    """Imports the reference, then copies of it on other machines until so many samples are there; their number."""
    import_jsonl(store, reference_path(reference_names()[0]))
    attempts = store.attempts()
    there, machine = sum(len(attempt.samples) for attempt in attempts), 0
    while there < wanted:
        machine += 1
        factor = random.Random(machine).uniform(0.8, 1.25)
        there += copy(store, attempts, machine, factor, wanted - there)
    return there


def copy(store: Store, attempts: list[Attempt], machine: int, factor: float, lacking: int) -> int:
    """Adds the runs as another machine would have measured them, as many as are lacking; the number of samples."""
    (original,) = {attempt.run.host for attempt in attempts}
    host = msgspec.structs.replace(store.hosts()[original], id=f"{machine:016x}", cpu=f"Made-up processor {machine}")
    added = 0
    with store.transaction():
        store.add_host(host)
        for run, samples in attempts:
            if added >= lacking:
                break
            key = run_key(copied=run.key, host=host.id)
            store.record(msgspec.structs.replace(run, key=key, host=host.id), [moved(s, factor) for s in samples])
            added += len(samples)
    return added


def moved(sample: Sample, factor: float) -> Sample:
    """The sample, a time as that much longer."""
    return msgspec.structs.replace(sample, value=sample.value * factor) if sample.metric.endswith("_s") else sample


def reported(folder: Path) -> float:
    """Seconds of `slm report`, start of Python included."""
    environment = os.environ | {home.ENVIRONMENT_VARIABLE: str(folder)}
    start = time.perf_counter()
    subprocess.run([*COMMAND, "report"], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--home", type=Path, help="Keep the store here instead of in a temporary folder.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.home or Path(temporary)
        with Store(folder / "atlas.sqlite") as store:
            samples = fill(store, chosen.samples)
            runs, machines = len(store.runs()), len(store.hosts())
        times = [reported(folder) for _ in range(chosen.times)]
        page = folder / "reports" / "all" / "index.html"
        print(f"{samples:,} samples, {runs:,} runs, {machines} machines; page {page.stat().st_size / 1e6:.2f} MB")
    print(f"median {statistics.median(times):.1f} s [{min(times):.1f}, {max(times):.1f}], n = {len(times)}")


if __name__ == "__main__":
    main()
