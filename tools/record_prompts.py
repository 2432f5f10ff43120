"""Records, for every task of our suites, the hashes of all prompts and targets that lm-eval itself makes of local rows.

    python tools/record_prompts.py --data ../shared/evaldata

lm-eval is used as its own command line uses it: its full index of tasks, its registered definition, its own sampling
of worked examples. Only what `datasets.load_dataset` and the Hub's code runner would fetch is replaced, by the rows and
by nothing. The hashes (no text) are kept in tests/evals/prompt_hashes.json, where a test holds our suites against them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import evaluate
from datasets import Dataset
from lm_eval.api.instance import Instance
from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval.tasks import TaskManager

from slm_atlas.evals.results import prompts_hash

ROOT = Path(__file__).parents[1]
HASHES = ROOT / "tests" / "evals" / "prompt_hashes.json"
FOLDERS = {
    "Rowan/hellaswag": "hellaswag",
    "truthfulqa/truthful_qa": "truthfulqa",
    "allenai/winogrande": "winogrande",
    "tau/commonsense_qa": "commonsense_qa",
    "baber/piqa": "piqa",
    "allenai/openbookqa": "openbookqa",
    "aps/super_glue": "boolq",
    "cais/mmlu": "mmlu",
    "openai/gsm8k": "gsm8k",
    "EleutherAI/hendrycks_math": "minerva_math",
    "openai/openai_humaneval": "humaneval",
    "google-research-datasets/mbpp": "mbpp",
    "EleutherAI/wikitext_document_level": "wikitext",
    "EleutherAI/lambada_openai": "lambada_openai",
}
ARC = {"ARC-Easy": "arc_easy", "ARC-Challenge": "arc_challenge"}
FIRST = 10
"""Items that the fast test builds; all of them take minutes."""
PART = {"mmlu": "subject", "minerva_math": "type"}
TYPES = {"counting_and_probability": "Counting & Probability"}
"""Parts whose rows are not called by the part's name in title case."""
ASKED = {
    **dict.fromkeys(("arc_challenge", "hellaswag", "winogrande", "mmlu", "truthfulqa_mc2"), (0, 1, 5)),
    **dict.fromkeys(("commonsense_qa", "piqa", "openbookqa", "arc_easy", "boolq"), (0, 1, 5)),
    **{"gsm8k": (0, 5), "minerva_math": (4,), "humaneval": (0,), "mbpp": (0, 3)},
    **{"wikitext": (0,), "lambada_openai": (0,)},
}
"""Tasks, and the numbers of worked examples."""


def main() -> None:
    """Record all hashes."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True, help="folder of rows")
    data: Path = options.parse_args().data
    manager = TaskManager()
    found: dict[str, list[str]] = {}
    for name, numbers in ASKED.items():
        for shots in numbers:
            found |= recorded(manager, name, shots, data)
            print(f"{name}, {shots} shots")
    HASHES.write_text(json.dumps(found, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(found)} hashes in {HASHES}")


def recorded(manager: TaskManager, name: str, shots: int, data: Path) -> dict[str, list[str]]:
    """The hashes of the requests of the first items and of all items, for each part, by `part@shots`."""

    def local(path: str, name: str | None = None, **_: Any) -> dict[str, Dataset]:
        return splits(data, path, name)

    class Nothing:
        def compute(self, **_: Any) -> tuple[dict[str, float], dict[str, Any]]:
            return {}, {}

    with mock.patch("datasets.load_dataset", local), mock.patch.object(evaluate, "load", return_value=Nothing()):
        tasks = manager.load([name])["tasks"]
    for task in tasks.values():
        task.set_config("num_fewshot", shots)
        task.set_fewshot_seed(DEFAULT_OTHER_SEED)
        with mock.patch("lm_eval.api.task.tqdm", lambda items, **_: items):
            task.build_all_requests()
    return {f"{part}@{shots}": hashes(task.instances) for part, task in tasks.items()}


def hashes(instances: Sequence[Instance]) -> list[str]:
    """Of the requests of the first items, and of all."""
    return [prompts_hash(found for found in instances if found.doc_id < FIRST), prompts_hash(instances)]


def splits(data: Path, path: str, name: str | None) -> dict[str, Dataset]:
    """The splits of a data set of the Hub, from the folder: whole rows, with every field they have."""
    folder = data / (ARC[str(name)] if path == "allenai/ai2_arc" else FOLDERS[path])
    found = {file.stem: read(file) for file in sorted(folder.glob("*.jsonl"))}
    if field := PART.get(folder.name):
        value = name if folder.name == "mmlu" else TYPES.get(str(name), str(name).replace("_", " ").title())
        found = {split: [row for row in rows if row[field] == value] for split, rows in found.items()}
    # lm-eval looks at the split for worked examples even where none is drawn (WikiText has none here).
    found.setdefault("train", next(iter(found.values())))
    return {split: Dataset.from_list(rows) for split, rows in found.items()}


def read(file: Path) -> list[Mapping[str, Any]]:
    """The rows of a file."""
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


if __name__ == "__main__":
    main()
