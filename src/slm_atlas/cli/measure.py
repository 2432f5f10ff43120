"""What `bench`, `eval` and `study run` share: prepare the files, plan, run what is missing, read the results."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import click
import msgspec

from slm_atlas import home
from slm_atlas.bench import Knee, describe_host, host_state
from slm_atlas.bench.disturbing import unrest
from slm_atlas.cli.output import print_json, say
from slm_atlas.cli.profile_rows import print_shares
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.cli.rows import print_rows
from slm_atlas.cli.score_rows import print_capability
from slm_atlas.engines import Worker
from slm_atlas.errors import EngineError, Outcome, UnusableModel, UserError
from slm_atlas.evals import Compute
from slm_atlas.insights.capability import capability
from slm_atlas.insights.frame import Dataset, read_dataset, rows
from slm_atlas.insights.profiles import profiles
from slm_atlas.models.target import EVALUATING, engine_for
from slm_atlas.store import RunKind, Store
from slm_atlas.store.stops import Design
from slm_atlas.studies import (
    Cell,
    Rules,
    Session,
    Study,
    StudyModel,
    Subject,
    agenda,
    check,
    check_threads,
    designs,
    discard,
    ensure_if_usable,
    known_knee,
    made_bytes,
    measuring,
    plan,
    prepare_if_usable,
    probed_choice,
    probed_knee,
    run_cells,
    with_known_choice,
)
from slm_atlas.studies.blocks import is_repeat
from slm_atlas.units import format_seconds

engine_option = click.option(
    "--engine",
    show_default="what the models need",
    help="Engine: llamacpp, transformers, endpoint; torch and hf evaluate alone; `fake` simulates one, for a try-out.",
)
retry_option = click.option("--retry-failed", is_flag=True, help="Run again what ended badly before.")


class Planned(NamedTuple):
    """A study, ready to run."""

    cells: list[Cell]
    """All its cells."""
    session: Session
    """Where they run."""
    subjects: list[Subject]
    """Its model files."""


def planned(study: Study, store: Store, asked: str | None, progress: StudyProgress) -> Planned:
    """What a study's files are (made or fetched where nothing is known of them), and its cells.

    The engine is the one asked for, or the models' own.
    """
    check_threads(study)
    engine = _engine(study, asked)
    with Worker(engine) as worker:
        info = worker.describe()
    host, subjects = describe_host(), _subjects(study.models, engine, progress)
    if study.knee:
        subjects = [s._replace(knee=known_knee(s, study.bench, store, host, info.text)) for s in subjects]
    subjects = [with_known_choice(subject, study, host, info) for subject in subjects]
    return Planned(plan(study, subjects, host, info), Session(store, host, info, progress), subjects)


def _engine(study: Study, asked: str | None) -> str:
    """The engine asked for, or the models' own; that of a server evaluates through lm-eval's own model."""
    engine = engine_for((model.model for model in study.models), asked)
    costs = study.runs or study.profile_runs
    if engine in EVALUATING and costs:
        raise UserError(f"The engine {engine} evaluates, and measures no costs.", f"slm eval MODEL --engine {engine}")
    return "completions" if engine == "endpoint" and not costs else engine


def _subjects(models: Sequence[StudyModel], engine: str, progress: StudyProgress) -> list[Subject]:
    subjects = []
    for model in models:
        name = f"{model.model} {model.quantization}" if model.quantization else model.model
        progress.preparing(name)
        subjects.append(prepare_if_usable(model, engine=engine, on_progress=partial(progress.preparing, name)))
    return subjects


def groups(study: Study) -> list[Study]:
    """The study in parts whose files made here fit in its `disk_bytes`, in its own order; one part where all do."""
    if study.disk_bytes is None:
        return [study]
    parts: list[list[StudyModel]] = [[]]
    used = 0
    for model in study.models:
        size = made_bytes(model)
        if parts[-1] and used + size > study.disk_bytes:
            parts.append([])
            used = 0
        parts[-1].append(model)
        used += size
    return [_part(study, part) for part in parts]


def _part(study: Study, models: Sequence[StudyModel]) -> Study:
    """A study of some of its models, with their share of its time."""
    share = None if study.budget_s is None else study.budget_s * len(models) / len(study.models)
    return msgspec.structs.replace(study, models=tuple(models), budget_s=share)


def run(study: Study, *, engine: str | None, retry_failed: bool = False) -> Dataset:
    """Run what is missing of a study; all its results.

    Raises:
        UserError: another measurement is running, or a model cannot be had.
    """
    cells: list[Cell] = []
    asked: dict[str, Design] = {}
    with Store(home.store_path()) as store, StudyProgress() as progress:
        check(study, _engine(study, engine))
        parts = groups(study)
        for number, part in enumerate(parts, 1):
            where = f" (part {number} of {len(parts)})" if len(parts) > 1 else ""
            found = _run_part(part, store, engine, progress, retry_failed=retry_failed, where=where)
            asked |= designs(found, part.precision, part.budget_s)
            cells += found
        dataset = restrict(read_dataset(store), cells)._replace(designs=asked)
    _say_doubts(dataset)
    return dataset


def _run_part(
    study: Study, store: Store, engine: str | None, progress: StudyProgress, *, retry_failed: bool, where: str
) -> list[Cell]:
    """Run what is missing of a part of a study, and remove the files made for it if they are not to be kept."""
    found = planned(study, store, engine, progress)
    if not where and all(subject.problem for subject in found.subjects):
        raise UnusableModel(str(found.subjects[0].problem))
    found = _with_choices(study, found, progress)
    cells, session, subjects = _with_knees(study, found, progress)
    rules = Rules(retry_failed, study.precision, study.budget_s, study.repeat)
    todo = agenda(cells, store, rules).outstanding()
    number = f"{len(todo)} of {len(cells)} runs to do" if todo else "all was measured before"
    progress.say(f"{study.title}{where}: {number}.")
    if todo:
        for doubt in unrest(host_state()):
            progress.say(f"The machine is not quiet. {doubt}")
        blocks = {cell.block for cell in todo}  # any of their runs may have to be repeated
        wanted = {cell.subject.artifact.sha256 for cell in cells if cell in todo or cell.block in blocks}
        cells = with_files(cells, wanted, progress)
        with measuring():
            run_cells(cells, session, rules)
    if study.disk_bytes is not None:
        for subject in subjects:
            discard(subject)
    return cells


def _with_knees(study: Study, found: Planned, progress: StudyProgress) -> Planned:
    """The study planned anew with each model's number of threads, where that was asked for and is not known yet."""
    if not study.knee or all(subject.knee for subject in found.subjects):
        return found
    session, subjects = found.session, []
    with measuring():
        for planned_subject in found.subjects:
            on_progress = partial(progress.preparing, planned_subject.label)
            subject = ensure_if_usable(planned_subject, on_progress=on_progress)
            knee = subject.knee if subject.problem else subject.knee or _knee(subject, study, session, progress)
            subjects.append(subject._replace(knee=knee))
    return Planned(plan(study, subjects, session.host, session.engine), session, subjects)


def _with_choices(study: Study, found: Planned, progress: StudyProgress) -> Planned:
    """The study planned anew with the precision of each model's evaluations, where that is probed and not known yet."""
    if study.compute is not Compute.AUTO:
        return found
    session, subjects = found.session, []
    for planned_subject in found.subjects:
        subject = planned_subject
        if subject.choice is None and not subject.problem:
            with measuring():
                subject = _chosen(subject, session, progress)
        if subject.choice is not None:
            progress.say(f"{subject.label}: {subject.choice.words}.")
        subjects.append(subject)
    return Planned(plan(study, subjects, session.host, session.engine), session, subjects)


def _chosen(subject: Subject, session: Session, progress: StudyProgress) -> Subject:
    """The model with its precision; without one where its engine died of the probe, as its runs will record."""
    progress.preparing(f"{subject.label}: in which precision")
    there = ensure_if_usable(subject, on_progress=partial(progress.preparing, subject.label))
    if there.problem:
        return there
    try:
        return there._replace(choice=probed_choice(there, session.host, session.engine))
    except (EngineError, UnusableModel) as error:
        progress.say(f"{subject.label}: computed as stored, since nothing else could be timed: {error}")
        return there


def _knee(subject: Subject, study: Study, session: Session, progress: StudyProgress) -> Knee | None:
    """The knee of a model; None where its engine died of it, as its runs will record."""
    progress.preparing(f"{subject.label}: how many threads")
    try:
        knee = probed_knee(subject, study.bench, session.engine.name)
    except EngineError:
        return None
    took = {probe.threads: probe.prefill_s + knee.n_gen * probe.decode_s for probe in knee.probes}
    times = ", ".join(f"{format_seconds(seconds)} with {threads}" for threads, seconds in took.items())
    enough = "1 thread is" if knee.threads == 1 else f"{knee.threads} threads are"
    progress.say(f"{subject.label}: {enough} enough (prompt and answer take {times}).")
    for doubt in knee.disturbed:
        progress.say(f"The knee may lie higher. {doubt} Set it by hand with --threads N.")
    return knee


def with_files(cells: Sequence[Cell], wanted: Collection[str], progress: StudyProgress) -> list[Cell]:
    """The cells, the files of those wanted made if they are not there; where one cannot be made, its cells say so."""
    found = {cell.subject.artifact.sha256: cell.subject for cell in cells}
    for sha256 in wanted:
        on_progress = partial(progress.preparing, found[sha256].label)
        found[sha256] = ensure_if_usable(found[sha256], on_progress=on_progress)
    return [cell._replace(subject=found[cell.subject.artifact.sha256]) for cell in cells]


def run_and_show(study: Study, *, engine: str | None, retry_failed: bool, json: bool) -> Dataset:
    """Run what is missing of a study and print all its results, as a table or as JSON."""
    dataset = run(study, engine=engine, retry_failed=retry_failed)
    show(dataset, json=json)
    return dataset


def show(dataset: Dataset, *, json: bool) -> None:
    """Print results, costs and scores before profiles: as tables, or as one document that has each under its name."""
    found, times, able = rows(dataset), profiles(dataset), capability(dataset)
    if json:
        print_json({"rows": found, "profiles": times, "capability": able})
        return
    if found or not times:
        print_rows(found)
    print_capability(able)
    if found and times:
        click.echo()
    print_shares(times)


def _say_doubts(dataset: Dataset) -> None:
    """Say what disturbed the measurements of costs, if anything did."""
    costs = [run for run in dataset.runs if run.kind is not RunKind.EVAL]
    doubts = [run.notes["noise"] for run in costs if run.notes.get("noise")]
    if doubts:
        say(f"{len(doubts)} of {len(costs)} runs of costs may have been disturbed: {doubts[-1][0]}")
    repeats = [run for run in costs if is_repeat(run)]
    if repeats:
        number = "1 run was" if len(repeats) == 1 else f"{len(repeats)} runs were"
        say(f"{number} repeated, their block having been disturbed; what they replace is kept, and set aside.")
    still = sum(bool(run.notes["disturbed"]) for run in repeats)
    if still:
        say(f"The machine did not get quiet: {still} of these were disturbed as well. None is repeated twice.")
    lines = [f"{dataset.artifacts[run.artifact].name}: {remark}" for run in costs for remark in _remarks(run.notes)]
    for line in dict.fromkeys(lines):
        say(line)


def _remarks(notes: Mapping[str, Any]) -> list[str]:
    """What to know of a run that ended well: the engine's warnings, and what a server does not let one check."""
    remarks = list(notes.get("granted", {}).get("remarks", []))
    if str(notes.get("prompt_cache", "")).startswith("not checkable"):
        remarks.append(f"the prompt cache is {notes['prompt_cache']}; each prompt was new")
    if "nobody" in notes.get("counted", []):
        remarks.append("the server does not count tokens: fragments of its answer are reported instead")
    return remarks


def restrict(dataset: Dataset, cells: Sequence[Cell]) -> Dataset:
    """Only what belongs to these cells."""
    keys = {cell.key for cell in cells}
    runs = [run for run in dataset.runs if run.key in keys]
    return Dataset(
        artifacts={sha: found for sha, found in dataset.artifacts.items() if any(run.artifact == sha for run in runs)},
        hosts={name: found for name, found in dataset.hosts.items() if any(run.host == name for run in runs)},
        runs=runs,
        samples={key: found for key, found in dataset.samples.items() if key in keys},
    )


def exit_if_all_failed(dataset: Dataset) -> None:
    """End the command with exit code 1 where there are runs, and none of them ended well."""
    if dataset.runs and all(run.outcome is not Outcome.OK for run in dataset.runs):
        raise click.exceptions.Exit(1)


def summary(found: Sequence[Cell], store: Store) -> str:
    """How far a study is, in a line."""
    outcomes = [store.outcome(cell.key) for cell in found]
    spent = sum(run.elapsed_s for run in store.runs(keys=[cell.key for cell in found]))
    good = sum(outcome is Outcome.OK for outcome in outcomes)
    bad = sum(outcome not in (None, Outcome.OK) for outcome in outcomes)
    return f"{good} of {len(found)} runs done, {bad} ended badly, {format_seconds(spent)} spent"
