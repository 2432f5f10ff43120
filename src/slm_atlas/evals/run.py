"""Evaluates a model on one task: lm-eval builds the prompts and judges the answers, our engine gives them."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import msgspec

from slm_atlas.engines import Engine, LoadReport, LoadSettings, Work
from slm_atlas.errors import EngineRefused, MissingExtra, UserError
from slm_atlas.evals.answers import Answers
from slm_atlas.evals.broken import choices_of, fault
from slm_atlas.evals.fingerprint import task_fingerprint
from slm_atlas.evals.results import prompts_hash, samples_of
from slm_atlas.evals.shots import ShotsOrder, fix_shots
from slm_atlas.evals.suites import Suite, SuiteTask
from slm_atlas.models.header import read_header
from slm_atlas.store.records import Sample

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask

    from slm_atlas.evals.kept import KeepingLM, OnProgress


HANDED_OVER = ("hf", "completions")
"""Engines that are lm-eval's own models."""


class TaskResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation of one task gave."""

    task: str
    """The task's name in lm-eval."""
    task_version: str
    """Its version."""
    data_hash: str
    """sha256 of its definition and items; see `task_fingerprint`."""
    prompts_hash: str
    """sha256 of all that the model was asked; see `prompts_hash`."""
    loaded: LoadReport
    """What the engine granted."""
    samples: tuple[Sample, ...]
    """The main metric of each item, with what stands behind it, then every other metric of the task."""
    work: Work
    """What the engine did; answers of an earlier run are not in it."""
    reused: int
    """Requests that an earlier run had answered."""
    truncated: int
    """Prompts that lost their beginning, being longer than the context."""
    spanned: int
    """Contexts whose last token reached into a continuation; see `tokens.Encoder.split`."""
    items: int
    """Items the task has, whatever the limit."""


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
    data: Path | None = None,
    allow_code: bool = False,
    shots_order: ShotsOrder = ShotsOrder.LM_EVAL,
    answers: Answers | None = None,
    on_progress: OnProgress | None = None,
    loaded: LoadReport | None = None,
) -> TaskResult:
    """Load a model and evaluate it on a task; nothing is printed, and nothing is fetched but from the Hub.

    Args:
        engine: the engine; a worker, for real models.
        load: the model's file, and how it is loaded.
        suite: the suite that has the task.
        task: the task's name.
        limit: only so many items, the first of each part in turn; None: all.
        data: the user's folder of rows, for tasks of lm-eval's; None: the Hub.
        allow_code: run what the model writes, in the sandbox, where the task judges code.
        shots_order: how worked examples are chosen.
        answers: keeps answers between runs; None: they are not kept.
        on_progress: told the number of requests done and of all; an item has one request, or one a choice.
        loaded: what the engine granted when it loaded the model so before; None: it loads it now.

    Raises:
        MissingExtra: lm-eval, or what the task needs of it, is not installed.
        OfflineError: the Hub does not answer.
        UserError: the suite has no such task, its rows are not as they should be, or it asks for what the engines or
            the context cannot give.
        EngineRefused: the engine declined, or its scores say nothing; a worker also raises what its death raises.
    """
    chosen = suite.task(task)
    check_installed()
    fingerprint = task_fingerprint(suite, task, data)
    _refuse_untrained(load.path, chosen)
    with _leave_for_code(chosen, allowed=allow_code):
        loaded = loaded or engine.load(load)
        lm = _model(engine, load, loaded, answers, on_progress)
        samples, asked, items = _evaluate(lm, suite, chosen, limit, data, shots_order)
    if (broken := fault(choices_of(samples))) is not None:
        raise EngineRefused(f"the run is broken: {broken}")
    return TaskResult(
        task=task,
        task_version=fingerprint.version,
        data_hash=fingerprint.data_hash,
        prompts_hash=asked,
        loaded=loaded,
        samples=tuple(samples),
        work=lm.work,
        reused=lm.reused,
        truncated=lm.truncated,
        spanned=lm.spanned,
        items=items,
    )


def _model(
    engine: Engine, load: LoadSettings, loaded: LoadReport, answers: Answers | None, on_progress: OnProgress | None
) -> KeepingLM:
    """The model side of lm-eval for an engine."""
    if engine.describe().name in HANDED_OVER:
        from slm_atlas.evals.handed_over import HandedOverLM

        return HandedOverLM(engine, answers=answers, on_progress=on_progress)
    from slm_atlas.evals.lm import EngineLM, call_tokens

    tokens = call_tokens(loaded.model_params)
    context = min(load.context, loaded.context)  # an engine may round up what was asked for
    return EngineLM(engine, context=context, answers=answers, tokens=tokens, on_progress=on_progress)


def work_notes(work: Work) -> dict[str, float]:
    """What a run's record says of what the engine did: tokens asked and computed, seconds, tokens a second.

    An engine that answers without counting tokens has seconds alone.
    """
    elapsed = work.compute_s + work.other_s
    if elapsed and not work.asked:
        return {"compute_s": work.compute_s, "other_s": work.other_s}
    return {
        "tokens_asked": work.asked,
        "tokens_computed": work.computed,
        "compute_s": work.compute_s,
        "other_s": work.other_s,
        **({"tokens_per_s": work.computed / elapsed} if elapsed else {}),
    }


def _evaluate(
    lm: KeepingLM, suite: Suite, task: SuiteTask, limit: int | None, data: Path | None, shots_order: ShotsOrder
) -> tuple[list[Sample], str, int]:
    """The samples of what lm-eval logs of each item, the hash of what was asked, and how many items there are."""
    with _quiet():
        from lm_eval.evaluator import evaluate

        from slm_atlas.evals.tasks import build

        tasks = build(suite, task, lm.tok_encode, data)
        if shots_order is ShotsOrder.FIXED:
            for built in tasks.values():
                fix_shots(built)
        sizes = {name: len(built.eval_docs) for name, built in tasks.items()}
        chosen = first_items(sizes, limit)
        kept: dict[str, ConfigurableTask] = {name: tasks[name] for name in chosen}
        found = evaluate(
            lm=lm,
            task_dict={"tasks": kept, "groups": {}, "group_map": {}},
            samples=chosen,
            bootstrap_iters=0,
            confirm_run_unsafe_code=True,
        )
    asked = prompts_hash(instance for built in kept.values() for instance in built.instances)
    return samples_of(task, kept, found["samples"]), asked, sum(sizes.values())


@contextlib.contextmanager
def _leave_for_code(task: SuiteTask, *, allowed: bool) -> Iterator[None]:
    """Within: programs of the model may run in the sandbox, if the task needs that and the user said so.

    Raises:
        UserError: the user did not, or this machine cannot isolate them; nothing was loaded.
    """
    if not task.code:
        yield
        return
    if not allowed:
        raise UserError(f"{task.name} runs code that the model writes.", "slm eval ... --allow-code")
    from slm_atlas.evals.code import allow_code, require_allowed

    with allow_code():
        require_allowed()
        yield


def first_items(sizes: Mapping[str, int], limit: int | None) -> dict[str, list[int]]:
    """Which items of each part are evaluated: all, or the first of each part, then the second, up to a limit.

    >>> first_items({"biology": 9, "law": 1, "virology": 9}, 4)
    {'biology': [0, 1], 'law': [0], 'virology': [0]}
    """
    rounds = sorted((place, order, part) for order, part in enumerate(sizes) for place in range(sizes[part]))
    taken = [(part, place) for place, _, part in rounds[:limit]]
    return {part: found for part in sizes if (found := [place for name, place in taken if name == part])}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence lm-eval's log and the Hub's below errors, and the bars drawn meanwhile: progress is shown elsewhere."""
    import datasets

    bars = datasets.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in ("lm_eval", "huggingface_hub", "datasets")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        with mock.patch("lm_eval.api.task.tqdm", lambda items, **_: items):
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if bars:
            datasets.enable_progress_bars()


def _refuse_untrained(path: str, task: SuiteTask) -> None:
    """Refuse prompts longer than what the model was trained on: an answer there would cost much and say nothing."""
    if task.length is None or not Path(path).is_file():
        return
    header = read_header(Path(path))
    trained = header.metadata.get(f"{header.architecture}.context_length")
    if isinstance(trained, int) and trained < task.length:
        raise EngineRefused(f"the model was trained on {trained:,} tokens of context; the task needs {task.length:,}")
