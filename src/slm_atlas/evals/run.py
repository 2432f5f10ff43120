"""Evaluates a model on one task: lm-eval builds the prompts and judges the answers, our engine gives them."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from unittest import mock

import msgspec

from slm_atlas.engines import Engine, LoadReport, LoadSettings, Work
from slm_atlas.errors import EngineRefused, MissingExtra
from slm_atlas.evals.answers import Answers
from slm_atlas.evals.fingerprint import task_fingerprint
from slm_atlas.evals.shots import ShotsOrder, fix_shots
from slm_atlas.evals.suites import Suite, SuiteTask
from slm_atlas.store.records import Sample

if TYPE_CHECKING:
    from slm_atlas.evals.lm import EngineLM, OnProgress


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation of one task gave."""

    task: str
    """The task's name in lm-eval."""
    task_version: str
    """Its version."""
    data_hash: str
    """sha256 of its definition and items; see `task_fingerprint`."""
    loaded: LoadReport
    """What the engine granted."""
    samples: tuple[Sample, ...]
    """The main metric of each item, with what stands behind it, then `acc_norm` where the task has it."""
    work: Work
    """What the engine did; answers of an earlier run are not in it."""
    reused: int
    """Requests that an earlier run had answered."""
    truncated: int
    """Prompts that lost their beginning, being longer than the context."""
    spanned: int
    """Contexts whose last token reached into a continuation; see `tokens.Encoder.split`."""


def check_installed() -> None:
    """Raise `MissingExtra` if lm-eval is not installed; takes no time, so that a study asks before it begins."""
    if importlib.util.find_spec("lm_eval") is None:
        raise MissingExtra("Evaluation", "eval")


def evaluate_task(
    engine: Engine,
    load: LoadSettings,
    suite: Suite,
    task: str,
    *,
    limit: int | None = None,
    shots_order: ShotsOrder = ShotsOrder.LM_EVAL,
    answers: Answers | None = None,
    on_progress: OnProgress | None = None,
) -> TaskResult:
    """Load a model and evaluate it on a task; nothing is printed, and nothing is fetched.

    Args:
        engine: the engine; a worker, for real models.
        load: the model's file, and how it is loaded.
        suite: the suite that has the task.
        task: the task's name.
        limit: the first so many items alone; None: all.
        shots_order: how worked examples are chosen.
        answers: keeps answers between runs; None: they are not kept.
        on_progress: told the number of requests done and of all; an item has one request, or one a choice.

    Raises:
        MissingExtra: lm-eval is not installed.
        UserError: the suite has no such task, or the task asks for what the engines or the context cannot give.
        EngineRefused: the engine declined, or its scores say nothing; a worker also raises what its death raises.
    """
    chosen = suite.task(task)
    check_installed()
    from slm_atlas.evals.lm import EngineLM, call_tokens

    loaded = engine.load(load)
    tokens = call_tokens(loaded.model_params)
    lm = EngineLM(engine, context=loaded.context, answers=answers, tokens=tokens, on_progress=on_progress)
    samples = _samples(chosen, _evaluate(lm, suite, chosen, limit, shots_order))
    _refuse_void([logprob for sample in samples for logprob in (sample.detail or {}).get("logprobs", ())])
    fingerprint = task_fingerprint(suite, task)
    return TaskResult(
        task=task,
        task_version=fingerprint.version,
        data_hash=fingerprint.data_hash,
        loaded=loaded,
        samples=tuple(samples),
        work=lm.work,
        reused=lm.reused,
        truncated=lm.truncated,
        spanned=lm.spanned,
    )


def work_notes(work: Work) -> dict[str, float]:
    """What a run's record says of what the engine did: tokens asked and computed, seconds, tokens a second."""
    elapsed = work.compute_s + work.other_s
    return {
        "tokens_asked": work.asked,
        "tokens_computed": work.computed,
        "compute_s": work.compute_s,
        "other_s": work.other_s,
        **({"tokens_per_s": work.computed / elapsed} if elapsed else {}),
    }


def _evaluate(
    lm: EngineLM, suite: Suite, task: SuiteTask, limit: int | None, shots_order: ShotsOrder
) -> list[dict[str, Any]]:
    """What lm-eval logs of each item."""
    with _quiet():
        from lm_eval.evaluator import evaluate
        from lm_eval.tasks import TaskManager

        manager = TaskManager(include_path=suite.folder, include_defaults=False)
        built = manager.load([task.name])
        if shots_order is ShotsOrder.FIXED:
            fix_shots(built["tasks"][task.name])
        found = evaluate(lm=lm, task_dict=built, limit=limit, bootstrap_iters=0)
    logged: list[dict[str, Any]] = found["samples"][task.name]
    return sorted(logged, key=lambda entry: entry["doc_id"])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence lm-eval's log below errors, and the bar it draws while it builds prompts: progress is shown elsewhere."""
    logger = logging.getLogger("lm_eval")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with mock.patch("lm_eval.api.task.tqdm", lambda items, **_: items):
            yield
    finally:
        logger.setLevel(level)


def _samples(task: SuiteTask, logged: Sequence[dict[str, Any]]) -> list[Sample]:
    metrics = dict.fromkeys([task.metric, "acc_norm"])
    return [
        Sample(
            metric=metric,
            index=entry["doc_id"],
            value=float(entry[metric]),
            scope=task.name,
            item=entry["doc"]["id"],
            detail=_detail(entry) if metric == task.metric else None,
        )
        for metric in metrics
        for entry in logged
        if metric in entry
    ]


def _detail(entry: dict[str, Any]) -> dict[str, Any]:
    """What stands behind an item's score: log probabilities of its choices, or the text and the answer found in it."""
    first = [responses[0] for responses in entry["resps"]]
    if isinstance(first[0], str):
        return {"target": entry["target"], "text": first[0], "answer": entry["filtered_resps"][0]}
    return {"target": entry["target"], "logprobs": [logprob for logprob, _ in first]}


def _refuse_void(logprobs: Sequence[float]) -> None:
    """Refuse scores that say nothing: an engine that gives no log probabilities would seem to score by exact chance."""
    if not all(map(math.isfinite, logprobs)):
        raise EngineRefused("the engine gave log probabilities that are not numbers")
    if len(logprobs) > 1 and len(set(logprobs)) == 1:
        raise EngineRefused(f"all {len(logprobs)} log probabilities are {logprobs[0]:g}: the engine does not score")
