"""An arm stops when its intervals are narrow, and the others go on."""

from __future__ import annotations

from pathlib import Path

import msgspec

from slm_atlas.engines.fake import Fake
from slm_atlas.errors import Outcome
from slm_atlas.store import Store
from slm_atlas.studies import Cell, Event, Finished, Precision, Rules, Session, Study, Subject, plan, run_cells
from slm_atlas.studies.stopping import Stopping

from .subjects import ENGINE, HOST, study, subject

STEADY, NOISY = subject("steady"), subject("noisy")


def run(store: Store, found: Study, *subjects: Subject) -> tuple[list[Cell], list[Event]]:
    cells = plan(found, subjects, HOST, ENGINE)
    events: list[Event] = []
    run_cells(cells, Session(store, HOST, ENGINE, events.append), Rules(precision=found.precision))
    return cells, events


def test_a_steady_arm_stops_at_the_least_number_of_runs(tmp_path: Path) -> None:
    found = msgspec.structs.replace(study(STEADY, runs=12), precision=Precision(half_width=0.05, min_runs=4))
    with Store(tmp_path / "atlas.db") as store:
        cells, events = run(store, found, STEADY)
        assert sum(isinstance(event, Finished) for event in events) == 4
        stopping = Stopping(store, cells, found.precision)
        assert stopping.settled(cells[-1])
        assert all(run.outcome is Outcome.OK for run in store.runs())


def test_without_a_precision_all_runs_are_made(tmp_path: Path) -> None:
    with Store(tmp_path / "atlas.db") as store:
        _, events = run(store, study(STEADY, runs=6), STEADY)
        assert sum(isinstance(event, Finished) for event in events) == 6


def test_the_fake_engine_is_steady() -> None:
    assert Fake().decode([1, 2]) == Fake().decode([3, 4])
