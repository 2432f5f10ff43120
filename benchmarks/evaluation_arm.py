"""One arm of the evaluation benchmarks: lm-eval's own tasks on rows of a folder, by our engines or by lm-eval's `hf`.

Called by `evaluation_exactness.py` and `evaluation_speed.py`, each arm in a process of its own (for all but llama.cpp
under a Python that has torch, transformers, accelerate and lm-eval). Tasks are lm-eval's definitions with rows of a
folder, as `slm eval` builds them (tests hold their prompts to lm-eval's own). The time is that of the model's methods
alone, which get all requests of all tasks at once, as lm-eval gives them: building prompts and judging answers are
lm-eval's own in all arms, and left out.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from lm_eval.api.model import TemplateLM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate

from slm_atlas.evals import suite, tasks
from slm_atlas.evals.shots import fix_shots
from slm_atlas.evals.suites import known_tasks, with_shots

METHODS = ("loglikelihood", "loglikelihood_rolling", "generate_until")


def build(
    names: Sequence[str], data: Path, shots: int, fixed: bool, limit: int
) -> tuple[dict[str, ConfigurableTask], dict[str, list[int]]]:
    """lm-eval's tasks, by name, and which items of each: the first `limit`, of a task in parts the first of all."""
    found: dict[str, ConfigurableTask] = {}
    items: dict[str, list[int]] = {}
    for name in names:
        task = known_tasks()[name]
        wanted = with_shots(task, 0 if name == "truthfulqa_mc2" else shots)
        built = tasks.build(suite("paper"), wanted, _no_tokens, data)
        left = limit
        for part, each in built.items():
            items[part] = list(range(min(len(each.eval_docs), -(-limit // len(built)), left)))
            left -= len(items[part])
            if items[part]:
                found[part] = each
            if task.code:  # no program is run here
                each.override_metric("bypass")
            if fixed:
                fix_shots(each)
    return found, items


def _no_tokens(text: str) -> Sequence[int]:
    """None of these tasks is generated to a length in tokens."""
    raise NotImplementedError(text)


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
        path=chosen.model,
        context=chosen.context,
        micro_batch=chosen.micro_batch,
        dtype=chosen.dtype,
        compiled=chosen.arm == "torch" and chosen.dtype != "float32",  # as `slm eval` has it
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
    built, items = build(chosen.tasks, chosen.data, chosen.shots, chosen.fixed, chosen.limit)
    task_dict = {"tasks": built, "groups": {}, "group_map": {}}
    with clock.on(lm):
        found = evaluate(
            lm=lm,
            task_dict=task_dict,
            samples={name: items[name] for name in built},
            bootstrap_iters=0,
            confirm_run_unsafe_code=True,
        )
    answered = {
        name: [_item(entry) for entry in sorted(logged, key=lambda entry: entry["doc_id"])]
        for name, logged in found["samples"].items()
    }
    return {"seconds": clock.seconds, "items": answered, "work": work()}


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
    found.add_argument("--tasks", nargs="+", required=True, choices=sorted(known_tasks()))
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
