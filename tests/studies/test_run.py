"""Running cells: each is stored as it ends, well or badly, and none is run again unless it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.bench import Ceilings, Work
from slm_atlas.engines import EngineInfo
from slm_atlas.engines.fake import DECODE_S
from slm_atlas.errors import Outcome
from slm_atlas.evals import suite
from slm_atlas.store import Store
from slm_atlas.store.records import RunKind
from slm_atlas.studies import (
    Advanced,
    Event,
    Finished,
    Remaining,
    Session,
    Started,
    StudyModel,
    Subject,
    pending,
    plan,
    prepare,
    run,
    run_cells,
)

from .subjects import ENGINE, HOST, study, subject

SMOKE = ("smoke",)


class Machine:
    """A store, and a list of what was heard while cells ran."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.events: list[Event] = []
        self.engine = ENGINE

    def run(self, *subjects: Subject, runs: int = 2, retry_failed: bool = False) -> list[Event]:
        """What is heard while a study of these runs."""
        self.events = []
        cells = plan(study(*subjects, runs=runs), subjects, HOST, self.engine)
        session = Session(self.store, HOST, self.engine, self.events.append)
        run_cells(cells, session, retry_failed=retry_failed)
        return self.events

    def finished(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    def started(self) -> list[Started]:
        return [event for event in self.events if isinstance(event, Started)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setattr(run, "measure_ceilings", lambda _: Ceilings(read_bytes_per_s=1e10, flops=1e11))
    with Store(home.store_path()) as store:
        yield Machine(store)


def test_every_run_is_stored_with_its_samples(machine: Machine) -> None:
    machine.run(subject("a"))
    runs = machine.store.runs()
    assert [(found.outcome, found.replicate, found.host) for found in runs] == [
        (Outcome.OK, 0, HOST.id),
        (Outcome.OK, 1, HOST.id),
    ]
    assert [sample.value for sample in machine.store.samples(runs[0].key) if sample.metric == "decode_s"] == [DECODE_S] * 2
    assert runs[0].notes["granted"]["context"] == 512
    assert {"ceilings", "host_before", "host_after", "noise"} <= set(runs[0].notes)
    assert runs[0].settings["n_prompt"] == 4
    assert machine.store.artifacts()[runs[0].artifact].name == "a"


def test_a_second_time_nothing_is_measured(machine: Machine) -> None:
    assert machine.run(subject("a"))
    assert machine.run(subject("a")) == []
    assert len(machine.store.attempts()) == 2


def test_what_is_missing_is_added(machine: Machine) -> None:
    machine.run(subject("a"))
    machine.run(subject("a"), subject("b"), runs=3)
    assert len(machine.finished()) == 4
    assert len(machine.store.attempts()) == 6


@pytest.mark.parametrize(
    ("behaviour", "work", "outcome", "cause"),
    [
        ("refuse", None, Outcome.REFUSED, "refuses to load"),
        ("abort", None, Outcome.CRASHED, "SIGABRT"),
        ("hang", None, Outcome.TIMEOUT, "no answer within 0.5 s during prefill"),
        ("ok", Work(decode_bytes=1e12, prefill_flops=1.0), Outcome.REJECTED, "decode would read"),
    ],
)
def test_a_run_that_ends_badly_is_stored_and_the_study_goes_on(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    work: Work | None,
    outcome: Outcome,
    cause: str,
) -> None:
    monkeypatch.setattr(run, "BENCH_DEADLINE_S", 0.5)
    bad = subject("bad", behaviour)
    machine.run(bad._replace(work=work or bad.work), subject("good"), runs=1)
    stored = {machine.store.artifacts()[found.artifact].name: found for found in machine.store.runs()}
    assert (stored["good"].outcome, stored["good"].cause) == (Outcome.OK, None)
    assert stored["bad"].outcome is outcome
    assert cause in str(stored["bad"].cause)
    told = {event.cell.subject.artifact.name: event for event in machine.finished()}
    assert (told["bad"].outcome, told["bad"].cause) == (outcome, stored["bad"].cause)


def test_what_failed_is_run_again_only_where_that_is_asked_for(machine: Machine) -> None:
    machine.run(subject("a", "refuse"), subject("b"), runs=1)
    assert machine.run(subject("a"), subject("b"), runs=1) == []
    machine.run(subject("a"), subject("b"), runs=1, retry_failed=True)  # whatever ailed it is mended
    (again,) = machine.finished()
    assert again.outcome is Outcome.OK
    assert machine.store.outcome(again.cell.key) is Outcome.OK
    assert len(machine.store.attempts(again.cell.key)) == 2
    assert machine.run(subject("a"), subject("b"), runs=1, retry_failed=True) == []


def test_pending_is_what_has_no_outcome_yet(machine: Machine) -> None:
    machine.run(subject("a", "refuse"), subject("b"), runs=1)
    cells = plan(study(runs=2), [subject("a"), subject("b")], HOST, ENGINE)
    assert [cell.replicate for cell in pending(cells, machine.store)] == [1, 1]
    assert len(pending(cells, machine.store, retry_failed=True)) == 3


def test_a_corrupted_file_is_refused_by_the_real_engine_and_stored_with_its_log(
    machine: Machine, tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_model.read_bytes()[:-1000])
    machine.engine = EngineInfo(name="llamacpp", version="", build="")
    models = [StudyModel(model=str(path)), StudyModel(model=str(tiny_model))]
    machine.run(*(prepare(model, 4) for model in models), runs=1)
    stored = {found.outcome: found for found in machine.store.runs()}
    assert set(stored) == {Outcome.REFUSED, Outcome.OK}
    assert "corrupted or incomplete" in str(stored[Outcome.REFUSED].cause)
    assert stored[Outcome.REFUSED].log_tail
    assert machine.store.samples(stored[Outcome.OK].key)


class TestTasks:
    def test_tasks_are_stored_item_by_item(self, machine: Machine) -> None:
        machine.run(subject("a", suites=SMOKE), runs=0)
        runs = machine.store.runs(kind=RunKind.EVAL)
        assert [found.settings["task"] for found in runs] == [task.name for task in suite("smoke").tasks]
        for found in runs:
            assert found.outcome is Outcome.OK
            assert found.settings["limit"] == 1
            assert {sample.item for sample in machine.store.samples(found.key)} != {""}
            assert found.notes["prefill_tokens_read"] <= found.notes["prefill_tokens_naive"]
        assert any(isinstance(event, Advanced) for event in machine.events)

    def test_a_model_that_cannot_be_loaded_fails_each_task(self, machine: Machine) -> None:
        machine.run(subject("a", "refuse", suites=SMOKE), runs=0)
        assert {event.outcome for event in machine.finished()} == {Outcome.REFUSED}
        assert len(machine.finished()) == len(suite("smoke").tasks)


class TestTimeLeft:
    def test_nothing_is_said_before_the_first_and_all_after_it(self, machine: Machine) -> None:
        machine.run(subject("a"), subject("b"))
        first, second, *_ = machine.started()
        assert first.remaining == Remaining(0.0, complete=False)
        assert second.remaining.complete
        assert second.remaining.seconds == pytest.approx(3 * machine.finished()[0].elapsed_s)

    def test_a_study_that_goes_on_knows_from_before(self, machine: Machine) -> None:
        machine.run(subject("a"), runs=1)
        before = machine.finished()[0].elapsed_s
        machine.run(subject("a"), runs=3)
        assert machine.started()[0].remaining.seconds == pytest.approx(2 * before)
        assert [event.done for event in machine.started()] == [1, 2]

    def test_tasks_that_never_ran_are_left_out(self, machine: Machine) -> None:
        machine.run(subject("a", suites=SMOKE))
        complete = [event.remaining.complete for event in machine.started()]
        assert complete == [False] * 3 + [True] * (len(suite("smoke").tasks) - 1)

    def test_like_cells_count_before_others_of_the_kind(self) -> None:
        cells = plan(study(runs=1), [subject("a"), subject("b")], HOST, ENGINE)
        small, large = sorted(cells, key=lambda cell: cell.subject.label)
        elapsed = {run._like(small): [1.0, 3.0]}
        assert run._remaining([small], elapsed) == Remaining(2.0, complete=True)
        assert run._remaining([small, large], elapsed) == Remaining(4.0, complete=True)
        assert run._remaining([large], elapsed | {run._like(large): [10.0]}) == Remaining(10.0, complete=True)

    def test_what_is_next_is_told(self, machine: Machine) -> None:
        machine.run(subject("a"), subject("b"))
        started = machine.started()
        assert [event.following for event in started] == [event.cell for event in started[1:]] + [None]
