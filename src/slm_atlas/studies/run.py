"""Runs the cells of a study, one at a time in a fresh process, and stores each as it ends.

A cell that is in the store is not run again, so a study that was interrupted, however rudely, goes on where it stopped
and loses at most the cell in flight. A cell whose engine refuses, dies or hangs is stored with its cause, and the study
goes on.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slm_atlas import __version__
from slm_atlas.bench import (
    BenchSettings,
    Ceilings,
    Need,
    calibrated,
    chrome_trace,
    disturbances,
    foresee,
    host_state,
    impossible,
    keep_trace,
    load_settings,
    measure,
    measure_ceilings,
    measure_requests,
    misfit,
    noise,
    profile,
    read_calibration,
    room,
    shortage,
)
from slm_atlas.bench.host import HostState
from slm_atlas.bench.parts import parts_of
from slm_atlas.bench.profiling import trace_titles
from slm_atlas.engines import EngineInfo, Worker
from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import EngineError, EngineRefused, Outcome, UserError
from slm_atlas.evals import check_installed, evaluate_task, work_notes
from slm_atlas.evals.compute import loading
from slm_atlas.models.served import parse
from slm_atlas.store import Store
from slm_atlas.store.records import Host, Run, RunKind, Sample
from slm_atlas.studies.answers import StoredAnswers
from slm_atlas.studies.blocks import Agenda, Turn
from slm_atlas.studies.evaluations import EvalTarget
from slm_atlas.studies.kept_worker import KeptWorker
from slm_atlas.studies.plan import Cell, engine_text
from slm_atlas.studies.schema import Precision
from slm_atlas.studies.stopping import Stopping
from slm_atlas.studies.subjects import Subject
from slm_atlas.studies.threads import pinned, resolved, unpinned

BENCH_DEADLINE_S = 900.0
"""Longest single call of a cost run."""
REQUEST_DEADLINE_S = 300.0
"""Longest single request to a server, its whole answer included."""
EVAL_DEADLINE_S = 900.0
"""Longest single call of an evaluation."""


class Remaining(NamedTuple):
    """How much time is left."""

    seconds: float
    """Of the cells of which something is known."""
    complete: bool
    """All are known; else it takes longer."""


class Started(NamedTuple):
    """A cell begins; nothing may be drawn until it ends if it measures costs."""

    cell: Cell
    done: int
    total: int
    remaining: Remaining
    following: Cell | None
    again: bool = False


class Advanced(NamedTuple):
    """An evaluation got further."""

    done: int
    total: int


class Finished(NamedTuple):
    """A cell ended and is stored."""

    cell: Cell
    outcome: Outcome
    cause: str | None
    elapsed_s: float


Event = Started | Advanced | Finished
Listener = Callable[[Event], None]


class Session(NamedTuple):
    """Where cells run, and how."""

    store: Store
    """Where runs are kept."""
    host: Host
    """This machine."""
    engine: EngineInfo
    """The engine, as described before the study."""
    listen: Listener
    """Is told what happens."""


class _Result(NamedTuple):
    """What a cell gave, good or bad."""

    outcome: Outcome
    cause: str | None
    log_tail: str
    samples: list[Sample]
    notes: dict[str, Any]


def pending(cells: Sequence[Cell], store: Store, *, retry_failed: bool = False) -> list[Cell]:
    """The cells that are not in the store yet; with `retry_failed`, those that ended badly too."""
    known = {cell.key: store.outcome(cell.key) for cell in cells}
    settled = (Outcome.OK,) if retry_failed else tuple(Outcome)
    return [cell for cell in cells if known[cell.key] not in settled]


class Resources(NamedTuple):
    """What runs need beside the session."""

    ceilings: Ceilings | None
    """What this machine can do at best; None: nothing measures costs."""
    kept: KeptWorker
    """For evaluations, one after another."""


class Rules(NamedTuple):
    """Which runs are made, of all that a study plans."""

    retry_failed: bool = False
    """Run again what ended badly."""
    precision: Precision | None = None
    """An arm whose intervals are so narrow is measured no more."""
    budget_s: float | None = None
    """No block is begun after so many seconds of runs."""
    repeat: bool = False
    """Blocks that something disturbed are run once more."""


def agenda(cells: Sequence[Cell], store: Store, rules: Rules) -> Agenda:
    """What is to be run of a study, by what the store holds.

    Raises:
        UserError: a ratio is asked for, and there is one arm.
    """
    stopping = Stopping(store, cells, rules.precision, rules.budget_s)
    todo = pending(cells, store, retry_failed=rules.retry_failed)
    return Agenda(cells, todo, store, stopping, repeat=rules.repeat)


def run_cells(cells: Sequence[Cell], session: Session, rules: Rules | None = None) -> None:
    """Run what is to be run, and store each cell as it ends; without rules, all that was not tried before.

    Raises:
        MissingExtra: something is to be evaluated and lm-eval is not installed; nothing was run.
        UserError: the store cannot be written, or a setting makes no sense.
        KeyboardInterrupt: the user's; what was finished is stored.
    """
    turns = agenda(cells, session.store, rules or Rules())
    todo = turns.outstanding()
    if any(cell.kind is RunKind.EVAL for cell in todo):
        check_installed()
    session.store.add_host(session.host)
    for subject in {cell.subject.artifact.sha256: cell.subject for cell in todo}.values():
        session.store.add_artifact(subject.artifact)
    ceilings = _ceilings(session) if any(cell.kind is not RunKind.EVAL for cell in todo) else None
    elapsed = _elapsed_before(cells, session.store)
    with KeptWorker(lambda: Worker(session.engine.name, deadline_s=EVAL_DEADLINE_S)) as kept:
        for turn in turns:
            left = _remaining(turn.left, elapsed)
            session.listen(Started(turn.cell, turn.done, turn.total, left, turn.following, turn.repeats is not None))
            run, samples = _run(turn, session, Resources(ceilings, kept), turns.stopping)
            session.store.record(run, samples)
            elapsed.setdefault(_like(turn.cell), []).append(run.elapsed_s)
            session.listen(Finished(turn.cell, run.outcome, run.cause, run.elapsed_s))


def _ceilings(session: Session) -> Ceilings:
    """What this machine can do at best: as calibrated, or else as measured now."""
    known = read_calibration(session.host.id, session.engine.text)
    return calibrated(measure_ceilings(usable_cores()), known)


def _run(turn: Turn, session: Session, there: Resources, stopping: Stopping) -> tuple[Run, list[Sample]]:
    cell = turn.cell
    started, before, clock = datetime.now(UTC), host_state(), time.perf_counter()
    result = _attempt(cell, session, there)
    after = host_state()
    elapsed_s = time.perf_counter() - clock
    state = {"host_before": before, "host_after": after, "noise": [], "disturbed": []}
    # A server on this machine is another program, and is not to be told from others; a refusal measured nothing.
    if cell.subject.work is not None and result.outcome is not Outcome.REFUSED:
        state |= {"noise": noise(before, after), "disturbed": disturbances(before, _judged(after, cell))}
    run = Run(
        key=cell.key,
        kind=cell.kind,
        artifact=cell.subject.artifact.sha256,
        host=session.host.id,
        engine=engine_text(session.engine),
        settings=cell.settings,
        replicate=cell.replicate,
        outcome=result.outcome,
        cause=result.cause,
        log_tail=result.log_tail,
        started_at=started.isoformat(timespec="seconds"),
        elapsed_s=elapsed_s,
        notes={**result.notes, **msgspec.to_builtins(state), **_design(turn, stopping, elapsed_s)},
        atlas_version=__version__,
    )
    return run, result.samples


def _design(turn: Turn, stopping: Stopping, elapsed_s: float) -> dict[str, Any]:
    """What the study asked for, and how far it is: from this a record tells why there are no more runs."""
    cell, asked = turn.cell, stopping.designs.get(turn.cell.key)
    if asked is None:
        return {}
    notes = {"block": cell.block, "design": msgspec.to_builtins(asked), "spent_s": stopping.spent_s() + elapsed_s}
    return notes | ({} if turn.repeats is None else {"repeats": turn.repeats})


def _judged(after: HostState, cell: Cell) -> HostState:
    """The state by which a run is judged: of sustained use a clock that fell is the result, and no disturbance."""
    sustained = isinstance(cell.target, BenchSettings) and cell.target.sustained_s > 0
    return msgspec.structs.replace(after, frequency_mhz=None) if sustained else after


def _attempt(cell: Cell, session: Session, there: Resources) -> _Result:
    if not isinstance(cell.target, EvalTarget):
        there.kept.drop()  # costs are measured on a machine that does nothing else
    try:
        if cell.subject.problem is not None:
            raise EngineRefused(cell.subject.problem)
        if isinstance(cell.target, EvalTarget):
            return _evaluate(cell, cell.target, session, there.kept)
        if cell.subject.work is not None and (refusal := _not_tried(cell.subject, cell.target, session.engine.name)):
            return refusal
        if cell.kind is RunKind.PROFILE:
            return _profile(cell, cell.target, session, there.ceilings)
        return _measure(cell, session, there.ceilings)
    except EngineError as error:
        if not isinstance(error, EngineRefused):
            there.kept.drop()  # it died or hangs; one that declined a task may do the next
        return _Result(error.outcome, error.cause, error.log_tail, [], {})
    except UserError as error:
        if not isinstance(cell.target, EvalTarget):
            raise
        # A task that this model or this machine cannot do (no room for a prompt, no network): the others go on.
        return _Result(Outcome.REFUSED, str(error), "", [], {})


def _measure(cell: Cell, session: Session, ceilings: Ceilings | None) -> _Result:
    assert not isinstance(cell.target, EvalTarget)
    assert ceilings is not None
    if cell.subject.work is None:
        return _measure_server(cell.subject.artifact.origin, cell.target)
    limit, cores, engine = cell.target.memory_limit_bytes, pinned(cell.target), session.engine.name
    with Worker(engine, deadline_s=BENCH_DEADLINE_S, memory_limit_bytes=limit, spin=True, cores=cores) as worker:
        measurement = measure(worker, str(cell.subject.path), resolved(cell.target), seed=cell.replicate)
    notes = {
        "granted": msgspec.to_builtins(measurement.load),
        "ceilings": msgspec.to_builtins(ceilings.of(cell.subject.work)),
        "absent": measurement.absent | unpinned(cell.target),
    }
    if cell.subject.knee is not None:
        notes["knee"] = msgspec.to_builtins(cell.subject.knee)
    refusal = impossible(measurement.samples, cell.subject.work, ceilings, n_prompt=cell.target.n_prompt)
    outcome = Outcome.OK if refusal is None else Outcome.REJECTED
    return _Result(outcome, refusal, "", measurement.samples, notes)


def _profile(cell: Cell, settings: BenchSettings, session: Session, ceilings: Ceilings | None) -> _Result:
    """Where the time goes; the last passes of a model's first run are kept as a trace."""
    assert ceilings is not None
    assert cell.subject.work is not None
    limit, cores, engine = settings.memory_limit_bytes, pinned(settings), session.engine.name
    with Worker(engine, deadline_s=BENCH_DEADLINE_S, memory_limit_bytes=limit, spin=True, cores=cores) as worker:
        found = profile(worker, str(cell.subject.path), resolved(settings), seed=cell.replicate)
    if cell.replicate == 0:
        titles = [f"{cell.subject.label}: {title}" for title in trace_titles(settings)]
        events = (found.last.prefill.events, found.last.decode.events)
        keep_trace(cell.key, chrome_trace(dict(zip(titles, events, strict=True)), parts_of(Path(cell.subject.path))))
    notes = {
        "granted": msgspec.to_builtins(found.load),
        "ceilings": msgspec.to_builtins(ceilings.of(cell.subject.work)),
        "absent": unpinned(settings),
    }
    refusal = impossible(found.samples, cell.subject.work, ceilings, n_prompt=settings.n_prompt)
    return _Result(Outcome.OK if refusal is None else Outcome.REJECTED, refusal, "", found.samples, notes)


def _not_tried(subject: Subject, settings: BenchSettings, engine: str) -> _Result | None:
    """The refusal of a run that fits neither its context nor memory; None where it may."""
    if problem := misfit(settings):
        return _Result(Outcome.REFUSED, problem, "", [], {})
    there = room(settings.memory_limit_bytes)
    need: Need | None = None
    if engine == "llamacpp":
        need = foresee(Path(subject.path), load_settings(str(subject.path), settings), there)
    elif engine == "transformers":
        need = Need(weights_bytes=subject.artifact.size_bytes or 0)
    cause = None if need is None else shortage(need, there)
    if cause is None:
        return None
    notes = {"needed": msgspec.to_builtins(need), "available_bytes": there.bytes}
    return _Result(Outcome.REFUSED, f"not tried, since {cause}", "", [], notes)


def _measure_server(model: str, settings: BenchSettings) -> _Result:
    served = parse(model)
    with Worker("endpoint", deadline_s=REQUEST_DEADLINE_S) as worker:
        found = measure_requests(worker, served.name, served.url, settings)
    outcome = Outcome.OK if found.doubt is None else Outcome.REJECTED
    return _Result(
        outcome, found.doubt, "", found.samples, {**found.notes, "server": msgspec.to_builtins(found.server)}
    )


def _evaluate(cell: Cell, target: EvalTarget, session: Session, kept: KeptWorker) -> _Result:
    load = loading(cell.subject.path, target.compute, context=target.context, engine=session.engine.name)
    load = msgspec.structs.replace(load, tokenizer=target.tokenizer)
    found = evaluate_task(
        kept.worker(),
        load,
        target.suite,
        target.task,
        limit=target.limit,
        data=target.data,
        # A coding task is planned only where the study allows it.
        allow_code=target.suite.task(target.task).code,
        shots_order=target.shots_order,
        answers=_answers(cell, session),
        on_progress=lambda done, total: session.listen(Advanced(done, total)),
        loaded=kept.report(load),
    )
    kept.keep(load, found.loaded)
    notes = {
        "granted": msgspec.to_builtins(found.loaded),
        "prompts_hash": found.prompts_hash,
        **work_notes(found.work),
        "reused": found.reused,
        "truncated": found.truncated,
        "spanned": found.spanned,
    }
    if cell.subject.choice is not None:
        notes["compute"] = msgspec.to_builtins(cell.subject.choice)
    return _Result(Outcome.OK, None, "", list(found.samples), notes)


def _answers(cell: Cell, session: Session) -> StoredAnswers:
    return StoredAnswers(
        session.store,
        artifact=cell.subject.artifact.sha256,
        host=session.host.id,
        engine=engine_text(session.engine),
        settings=cell.settings,
    )


class _Like(NamedTuple):
    """What cells that take about the same time have in common."""

    kind: RunKind
    artifact: str
    task: str | None


def _like(cell: Cell) -> _Like:
    task = cell.target.task if isinstance(cell.target, EvalTarget) else None
    return _Like(cell.kind, cell.subject.artifact.sha256, task)


def _elapsed_before(cells: Sequence[Cell], store: Store) -> dict[_Like, list[float]]:
    """Seconds of the cells that ended well before, by likeness."""
    like = {cell.key: _like(cell) for cell in cells}
    elapsed: dict[_Like, list[float]] = {}
    for run in store.runs(outcome=Outcome.OK, keys=like):
        elapsed.setdefault(like[run.key], []).append(run.elapsed_s)
    return elapsed


def _remaining(todo: Sequence[Cell], elapsed: Mapping[_Like, Sequence[float]]) -> Remaining:
    """The time of cells: that of like ones where there are some, else of all of the kind.

    A cell of a kind that never ran is left out, and the sum is incomplete: a guess would be made up.
    """
    seconds, complete = 0.0, True
    for cell in todo:
        of_kind = [value for like, values in elapsed.items() if like.kind is cell.kind for value in values]
        known = elapsed.get(_like(cell)) or of_kind
        if known:
            seconds += statistics.fmean(known)
        else:
            complete = False
    return Remaining(seconds, complete)
