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
from typing import Any, NamedTuple

import msgspec

from slm_atlas import __version__
from slm_atlas.bench import (
    BenchSettings,
    Ceilings,
    calibrated,
    host_state,
    impossible,
    measure,
    measure_ceilings,
    measure_requests,
    noise,
    read_calibration,
)
from slm_atlas.engines import EngineInfo, LoadSettings, Worker
from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import EngineError, Outcome
from slm_atlas.evals import check_installed, evaluate_task
from slm_atlas.evals import suite as find_suite
from slm_atlas.models.served import parse
from slm_atlas.store import Store
from slm_atlas.store.records import Host, Run, RunKind, Sample
from slm_atlas.studies.plan import Cell, EvalTarget, engine_text
from slm_atlas.studies.schema import Precision
from slm_atlas.studies.stopping import Stopping

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


def run_cells(
    cells: Sequence[Cell], session: Session, *, retry_failed: bool = False, precision: Precision | None = None
) -> None:
    """Run what is pending, and store each cell as it ends; with `precision`, not those whose arm needs them no more.

    Raises:
        MissingExtra: something is to be evaluated and lm-eval is not installed; nothing was run.
        UserError: the store cannot be written, or a setting makes no sense.
        KeyboardInterrupt: the user's; what was finished is stored.
    """
    todo = pending(cells, session.store, retry_failed=retry_failed)
    if any(cell.kind is RunKind.EVAL for cell in todo):
        check_installed()
    session.store.add_host(session.host)
    for subject in {cell.subject.artifact.sha256: cell.subject for cell in todo}.values():
        session.store.add_artifact(subject.artifact)
    ceilings = _ceilings(session) if any(cell.kind is RunKind.BENCH for cell in todo) else None
    elapsed = _elapsed_before(cells, session.store)
    stopping = Stopping(session.store, precision, [cell for cell in cells if cell.kind is RunKind.BENCH])
    for number, cell in enumerate(todo):
        if cell.kind is RunKind.BENCH and stopping.settled(cell):
            continue
        done = len(cells) - len(todo) + number
        following = todo[number + 1] if number + 1 < len(todo) else None
        session.listen(Started(cell, done, len(cells), _remaining(todo[number:], elapsed), following))
        run, samples = _run(cell, session, ceilings)
        session.store.record(run, samples)
        elapsed.setdefault(_like(cell), []).append(run.elapsed_s)
        session.listen(Finished(cell, run.outcome, run.cause, run.elapsed_s))


def _ceilings(session: Session) -> Ceilings:
    """What this machine can do at best: as calibrated, or else as measured now."""
    known = read_calibration(session.host.id, session.engine.text)
    return calibrated(measure_ceilings(usable_cores()), known)


def _run(cell: Cell, session: Session, ceilings: Ceilings | None) -> tuple[Run, list[Sample]]:
    started, before, clock = datetime.now(UTC), host_state(), time.perf_counter()
    result = _attempt(cell, session, ceilings)
    after = host_state()
    doubts = [] if cell.subject.work is None else noise(before, after)
    state = {"host_before": before, "host_after": after, "noise": doubts}
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
        elapsed_s=time.perf_counter() - clock,
        notes={**result.notes, **msgspec.to_builtins(state)},
        atlas_version=__version__,
    )
    return run, result.samples


def _attempt(cell: Cell, session: Session, ceilings: Ceilings | None) -> _Result:
    try:
        if isinstance(cell.target, EvalTarget):
            return _evaluate(cell, cell.target, session)
        return _measure(cell, session, ceilings)
    except EngineError as error:
        return _Result(error.outcome, error.cause, error.log_tail, [], {})


def _measure(cell: Cell, session: Session, ceilings: Ceilings | None) -> _Result:
    assert not isinstance(cell.target, EvalTarget)
    assert ceilings is not None
    if cell.subject.work is None:
        return _measure_server(cell.subject.artifact.origin, cell.target)
    limit = cell.target.memory_limit_bytes
    with Worker(session.engine.name, deadline_s=BENCH_DEADLINE_S, memory_limit_bytes=limit, spin=True) as worker:
        measurement = measure(worker, str(cell.subject.path), cell.target, seed=cell.replicate)
    notes = {
        "granted": msgspec.to_builtins(measurement.load),
        "ceilings": msgspec.to_builtins(ceilings.of(cell.subject.work)),
        "absent": measurement.absent,
    }
    refusal = impossible(measurement.samples, cell.subject.work, ceilings, n_prompt=cell.target.n_prompt)
    outcome = Outcome.OK if refusal is None else Outcome.REJECTED
    return _Result(outcome, refusal, "", measurement.samples, notes)


def _measure_server(model: str, settings: BenchSettings) -> _Result:
    served = parse(model)
    with Worker("endpoint", deadline_s=REQUEST_DEADLINE_S) as worker:
        found = measure_requests(worker, served.name, served.url, settings)
    outcome = Outcome.OK if found.doubt is None else Outcome.REJECTED
    return _Result(
        outcome, found.doubt, "", found.samples, {**found.notes, "server": msgspec.to_builtins(found.server)}
    )


def _evaluate(cell: Cell, target: EvalTarget, session: Session) -> _Result:
    load = LoadSettings(path=str(cell.subject.path), context=target.context)
    with Worker(session.engine.name, deadline_s=EVAL_DEADLINE_S) as worker:
        found = evaluate_task(
            worker,
            load,
            find_suite(target.suite),
            target.task,
            limit=target.limit,
            on_progress=lambda done, total: session.listen(Advanced(done, total)),
        )
    notes = {
        "granted": msgspec.to_builtins(found.loaded),
        "prefill_tokens_read": found.prefill_tokens_read,
        "prefill_tokens_naive": found.prefill_tokens_naive,
        "truncated": found.truncated,
        "spanned": found.spanned,
    }
    return _Result(Outcome.OK, None, "", list(found.samples), notes)


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
