"""Which tasks a study evaluates a model on: its suites' and those it names, with its shots, from its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from slm_atlas import home
from slm_atlas.errors import UserError
from slm_atlas.evals import Compute, ShotsOrder, Source, Suite, SuiteTask, find_task, task_fingerprint, with_shots
from slm_atlas.evals import suite as find_suite
from slm_atlas.evals.data import missing
from slm_atlas.evals.definitions import lm_eval_version
from slm_atlas.evals.suites import all_suites
from slm_atlas.studies.schema import Study, StudyModel


class EvalTarget(NamedTuple):
    """What an evaluation cell evaluates."""

    suite: Suite
    """The suite that has the task; one made of it alone for a task that was named."""
    task: str
    """The task's name."""
    context: int
    """Tokens of context."""
    limit: int | None
    """Only so many items; None: all."""
    data: Path | None
    """Folder of rows; None: the Hub, or none is needed."""
    shots_order: ShotsOrder
    """How worked examples are chosen, where there are any."""
    tokenizer: str | None = None
    """The tokenizer of a model behind a server."""
    compute: Compute = Compute.NATIVE
    """In which precision the weights are computed; never `AUTO`."""


class Selection(NamedTuple):
    """What is evaluated, and what is not."""

    targets: list[EvalTarget]
    """What is."""
    omitted: list[str]
    """Why something is not, a line each."""


def select(study: Study, model: StudyModel) -> Selection:
    """What a study evaluates a model on.

    Of a suite, a task that would run code without leave, or has no rows in the folder, is left out with a line. A task
    that was named is refused instead.

    Raises:
        UserError: no such suite or task, a task that was named cannot be evaluated, or the folder is none.
        MissingExtra: lm-eval is not installed.
    """
    data = home.data_dir(study.data)
    if data is not None and not data.is_dir():
        raise UserError(f"{data} is not a folder of rows.", "slm eval --help shows how it is laid out")
    targets, omitted = [], []
    for named in map(find_suite, model.suites):
        for task in named.tasks:
            found = _with_study_shots(task, study)
            lacking = _lacking(found, study, data)
            if lacking is None:
                targets.append(_target(_holding(named, found), found, study, data))
            else:
                omitted.append(f"{named.name}: {found.name} is left out. {lacking}")
    for name in model.tasks:
        found = _with_study_shots(find_task(name), study)
        if (lacking := _lacking(found, study, data)) is not None:
            raise UserError(f"{found.name} cannot be evaluated. {lacking}")
        targets.append(_target(_holding(None, found), found, study, data))
    return Selection(targets, omitted)


def _with_study_shots(task: SuiteTask, study: Study) -> SuiteTask:
    if study.shots is None or task.source is not Source.LM_EVAL:
        return task
    return with_shots(find_task(task.base), study.shots)


def _holding(named: Suite | None, task: SuiteTask) -> Suite:
    """The suite, or one made for a task that no suite has in this form."""
    if named is not None and task in named.tasks:
        return named
    for known in all_suites():
        if task in known.tasks and (task.source is not Source.LM_EVAL or named is None):
            return known
    return Suite(name="lm-eval", title=task.title, version=1, description="", comparable=True, tasks=(task,))


def _lacking(task: SuiteTask, study: Study, data: Path | None) -> str | None:
    """Why a task cannot be evaluated; None if it can."""
    if task.code and not study.allow_code:
        return "It runs code that the model writes, in a sandbox: --allow-code lets it."
    if task.source is Source.LM_EVAL and data is not None:
        absent = missing(task, data)
        return None if absent is None else f"{absent} is missing."
    return None


def _target(holder: Suite, task: SuiteTask, study: Study, data: Path | None) -> EvalTarget:
    context = max(study.eval_context, task.length or 0)
    folder = data if task.source is Source.LM_EVAL else None
    order = study.shots_order if task.shots else ShotsOrder.LM_EVAL
    limit = study.limits.get(task.name, study.limit)
    return EvalTarget(holder, task.name, context, limit, folder, order, study.tokenizer)


def settings_of(target: EvalTarget) -> dict[str, Any]:
    """All that determines the result of an evaluation, as it is stored.

    The suite is not part of it for what is lm-eval's own: two suites that ask the same share one run.
    """
    task, fingerprint = target.suite.task(target.task), task_fingerprint(target.suite, target.task, target.data)
    bundled = task.source is Source.BUNDLED
    tokenizer: dict[str, Any] = {} if target.tokenizer is None else {"tokenizer": target.tokenizer}
    settings = tokenizer | {
        "suite": "lm-eval" if task.source is Source.LM_EVAL else target.suite.name,
        "task": target.task,
        "context": target.context,
        "limit": target.limit,
        "task_version": fingerprint.version,
        "data_hash": fingerprint.data_hash,
        "chance": task.chance,
    }
    if bundled:
        return settings
    return settings | {
        "lm_eval_task": task.base,
        "lm_eval": lm_eval_version(),
        "domain": task.domain,
        "metric": task.metric,
        "shots": task.shots,
        "length": task.length,
        "data": _origin(task, target),
        "items": fingerprint.items,
        "shots_order": str(target.shots_order),
    }


def in_precision(target: EvalTarget, settings: dict[str, Any], compute: Compute) -> tuple[EvalTarget, dict[str, Any]]:
    """The same evaluation in a precision; natively its settings are what older versions stored, too."""
    changed = {} if compute is Compute.NATIVE else {"compute": str(compute)}
    return target._replace(compute=compute), settings | changed


def _origin(task: SuiteTask, target: EvalTarget) -> str:
    if task.source is Source.GENERATED:
        return "generated"
    return "hub" if target.data is None else "folder"
