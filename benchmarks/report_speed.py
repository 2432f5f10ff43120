"""How long a report and the claims take on 100,000 samples: `python benchmarks/report_speed.py [--samples 100000]`.

The store is the reference that comes with the package, imported once as it is and then again as if further machines had
measured the same files (their own keys, times shifted by some percent), until there are as many samples. Each time is
that of the command itself, in a fresh process. The first report draws its charts; later ones find most of them drawn.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
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


def seconds(folder: Path, command: str) -> float:
    """How long `slm COMMAND` takes, start of Python included."""
    environment = os.environ | {home.ENVIRONMENT_VARIABLE: str(folder)}
    start = time.perf_counter()
    subprocess.run([*COMMAND, command], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


def written(label: str, times: list[float]) -> str:
    """The times in a line."""
    return f"{label}: median {statistics.median(times):.1f} s [{min(times):.1f}, {max(times):.1f}], n = {len(times)}"


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
        first, again, insights = [], [], []
        for _ in range(chosen.times):
            shutil.rmtree(folder / "cache" / "pictures", ignore_errors=True)
            first.append(seconds(folder, "report"))
            again.append(seconds(folder, "report"))
            insights.append(seconds(folder, "insights"))
        page = folder / "reports" / "all" / "index.html"
        print(f"{samples:,} samples, {runs:,} runs, {machines} machines; page {page.stat().st_size / 1e6:.2f} MB")
    for label, times in (("slm report, first", first), ("slm report, again", again), ("slm insights", insights)):
        print(written(label, times))


if __name__ == "__main__":
    main()
