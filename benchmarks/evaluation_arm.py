"""One arm of the evaluation benchmarks: lm-eval's own tasks on rows of a folder, by our engines or by lm-eval's `hf`.

Called by `evaluation_exactness.py` and `evaluation_speed.py`, each arm in a process of its own (for all but llama.cpp
under a Python that has torch, transformers, accelerate and lm-eval). Tasks are lm-eval's definitions by `include:`,
with rows in place of the hub's. The time is that of the model's methods alone, which get all requests of all tasks at
once, as lm-eval gives them: building prompts and judging answers are lm-eval's own in all arms, and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import lm_eval
import yaml
from lm_eval.api.model import TemplateLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate
from lm_eval.tasks import TaskManager

DEFINITIONS = {
    "arc_challenge": "arc/arc_challenge.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "commonsense_qa": "commonsense_qa/default.yaml",
    "gsm8k": "gsm8k/gsm8k.yaml",
    "hellaswag": "hellaswag/hellaswag.yaml",
    "humaneval": "humaneval/humaneval.yaml",
    "lambada_openai": "lambada/lambada_openai.yaml",
    "mbpp": "mbpp/mbpp.yaml",
    "minerva_math500": "minerva_math/minerva_math500.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "piqa": "piqa/piqa.yaml",
    "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2.yaml",
    "wikitext": "wikitext/wikitext.yaml",
    "winogrande": "winogrande/default.yaml",
}
FOLDERS = {"truthfulqa_mc2": "truthfulqa"}
SEED = 1234
"""lm-eval's own for worked examples."""
METHODS = ("loglikelihood", "loglikelihood_rolling", "generate_until")
JUDGED_BY_RUNNING = ("humaneval", "mbpp")
"""Tasks whose answers are programs: they are not run here."""


def build(
    names: Sequence[str], data: Path, shots: int, fixed: bool, limit: int, scratch: Path
) -> dict[str, ConfigurableTask]:
    """The tasks, by name; `mmlu` stands for its 57 subjects."""
    for name in names:
        if name == "mmlu":
            _write_subjects(data / name, limit, scratch)
        else:
            rows = {path.stem: str(path) for path in sorted((data / FOLDERS.get(name, name)).glob("*.jsonl"))}
            _write(scratch, name, DEFINITIONS[name], rows)
    manager = TaskManager(include_path=str(scratch), include_defaults=False)
    with mock.patch("evaluate.load"):  # their helpers fetch, as they are imported, what runs programs
        loaded = manager.load([path.stem for path in sorted(scratch.glob("*.yaml"))])
    found: dict[str, ConfigurableTask] = loaded["tasks"]
    for task in found.values():
        if task.config.task in JUDGED_BY_RUNNING:
            task.override_metric("bypass")
        task.set_config("num_fewshot", 0 if task.config.task == "truthfulqa_mc2" else shots)
        task.set_fewshot_seed(SEED)
        if fixed:
            from slm_atlas.evals.shots import fix_shots

            fix_shots(task)
    return found


def _write(scratch: Path, name: str, definition: str, rows: Mapping[str, str]) -> None:
    path = Path(lm_eval.__file__).parent / "tasks" / definition
    config: dict[str, Any] = {
        "include": str(path),
        "task": name,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": dict(rows)},
    }
    (scratch / f"{name}.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


def _write_subjects(folder: Path, limit: int, scratch: Path) -> None:
    """A task a subject, with the first rows of the sample: `limit` in all."""
    rows = {split: _rows(folder / f"{split}.jsonl") for split in ("test", "dev")}
    tested = rows["test"][:limit]
    for subject in sorted({row["subject"] for row in tested}):
        files = {}
        for split, of in (("test", tested), ("dev", rows["dev"])):
            path = scratch / f"{subject}-{split}.jsonl"
            lines = [json.dumps(row) + "\n" for row in of if row["subject"] == subject]
            path.write_text("".join(lines), encoding="utf-8")
            files[split] = str(path)
        _write(scratch, f"mmlu_{subject}", f"mmlu/default/mmlu_{subject}.yaml", files)


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


class Clock:
    """Seconds in the model's methods."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextlib.contextmanager
    def on(self, lm: TemplateLM) -> Iterator[None]:
        """Time the methods of this model."""
        with contextlib.ExitStack() as stack:
            for name in METHODS:
                stack.enter_context(mock.patch.object(lm, name, self._timed(getattr(lm, name))))
            yield

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: object, **kwargs: object) -> object:
            start = time.perf_counter()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def ours(chosen: argparse.Namespace) -> tuple[TemplateLM, Callable[[], dict[str, Any]]]:
    """Our engine (llama.cpp or PyTorch) in its worker, as lm-eval's model, and what it says of its work at the end."""
    from slm_atlas.engines import LoadSettings, Worker
    from slm_atlas.evals.lm import EngineLM, call_tokens
    from slm_atlas.evals.run import work_notes

    worker = Worker("llamacpp" if chosen.arm == "ours" else "torch", deadline_s=3600)
    loading = LoadSettings(
        path=chosen.model, context=chosen.context, micro_batch=chosen.micro_batch, dtype=chosen.dtype
    )
    loaded = worker.load(loading)
    lm = EngineLM(worker, context=loaded.context, tokens=call_tokens(loaded.model_params))
    return lm, lambda: {**work_notes(lm.work), "truncated": lm.truncated, "spanned": lm.spanned}


def theirs(chosen: argparse.Namespace) -> tuple[TemplateLM, Callable[[], dict[str, Any]]]:
    """lm-eval's `hf` model, with the same file dequantized by transformers."""
    from lm_eval.models.huggingface import HFLM

    path = Path(chosen.model)
    lm = HFLM(
        pretrained=str(path.parent),
        gguf_file=path.name,
        dtype=chosen.dtype,
        batch_size=chosen.batch,
        device="cpu",
        max_length=chosen.context,
    )
    return lm, dict


def run(chosen: argparse.Namespace) -> dict[str, Any]:
    """Evaluate; what each item got."""
    clock = Clock()
    lm, work = (theirs if chosen.arm == "hf" else ours)(chosen)
    with tempfile.TemporaryDirectory() as scratch:
        tasks = build(chosen.tasks, chosen.data, chosen.shots, chosen.fixed, chosen.limit, Path(scratch))
        task_dict = {"tasks": tasks, "groups": {}, "group_map": {}}
        with clock.on(lm):
            found = evaluate(
                lm=lm, task_dict=task_dict, limit=chosen.limit, bootstrap_iters=0, confirm_run_unsafe_code=True
            )
    items = {
        name: [_item(entry) for entry in sorted(logged, key=lambda entry: entry["doc_id"])]
        for name, logged in found["samples"].items()
    }
    return {"seconds": clock.seconds, "items": items, "work": work()}


def _item(entry: Mapping[str, Any]) -> dict[str, Any]:
    """What an item got: its responses, and its metrics."""
    metrics = {name: entry[name] for name in ("acc", "acc_norm", "exact_match") if name in entry}
    first = [responses[0] for responses in entry["resps"]]
    whole_texts = [[response, False] if isinstance(response, float) else response for response in first]
    return {"responses": whole_texts, "metrics": metrics}


def parser() -> argparse.ArgumentParser:
    """What an arm is told."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("arm", choices=("ours", "torch", "hf"))
    found.add_argument("--model", required=True, help="a GGUF file")
    found.add_argument("--data", type=Path, required=True, help="a folder of rows, a folder a task")
    found.add_argument("--tasks", nargs="+", required=True, choices=[*DEFINITIONS, "mmlu"])
    found.add_argument("--shots", type=int, default=5)
    found.add_argument("--limit", type=int, default=100, help="items a task; of mmlu: in all")
    found.add_argument("--fixed", action="store_true", help="the same worked examples for every question")
    found.add_argument("--context", type=int, default=2048)
    found.add_argument("--micro-batch", type=int, default=512)
    found.add_argument("--dtype", default="float32")
    found.add_argument("--batch", type=int, default=8)
    found.add_argument("--out", type=Path, required=True)
    return found


if __name__ == "__main__":
    chosen = parser().parse_args()
    chosen.out.write_text(json.dumps(run(chosen)), encoding="utf-8")
