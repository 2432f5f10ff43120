"""Running cells: each is stored as it ends, well or badly, and none is run again unless it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.bench import Ceilings, Work
from slm_atlas.engines import EngineInfo
from slm_atlas.engines.fake import DECODE_S, Fake
from slm_atlas.errors import MissingExtra, Outcome
from slm_atlas.evals import suite
from slm_atlas.store import Store
from slm_atlas.store.records import RunKind
from slm_atlas.studies import (
    Advanced,
    Event,
    Finished,
    Remaining,
    Rules,
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
        run_cells(cells, session, Rules(retry_failed=retry_failed))
        return self.events

    def finished(self) -> list[Finished]:
        return [event for event in self.events if isinstance(event, Finished)]

    def started(self) -> list[Started]:
        return [event for event in self.events if isinstance(event, Started)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """Each run in a process of its own."""
    monkeypatch.setattr(run, "measure_ceilings", lambda _: Ceilings(read_bytes_per_s=1e10, flops=1e11))
    with Store(home.store_path()) as store:
        yield Machine(store)


@pytest.fixture
def quick(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """All runs in this process, for what does not depend on that."""
    monkeypatch.setattr(run, "Worker", lambda *_, **__: Fake())
    return machine


def test_every_run_is_stored_with_its_samples(machine: Machine) -> None:
    machine.run(subject("a"))
    runs = machine.store.runs()
    assert [(found.outcome, found.replicate, found.host) for found in runs] == [
        (Outcome.OK, 0, HOST.id),
        (Outcome.OK, 1, HOST.id),
    ]
    assert [sample.value for sample in machine.store.samples(runs[0].key) if sample.metric == "decode_s"] == [
        DECODE_S
    ] * 2
    assert runs[0].notes["granted"]["context"] == 512
    assert {"ceilings", "host_before", "host_after", "noise"} <= set(runs[0].notes)
    assert runs[0].settings["n_prompt"] == 4
    assert machine.store.artifacts()[runs[0].artifact].name == "a"


def test_without_lm_eval_a_study_that_evaluates_does_not_begin(quick: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(MissingExtra, match=r"slm-atlas\[eval\]"):
        quick.run(subject("a", suites=SMOKE))
    assert quick.store.runs() == []
    assert quick.run(subject("a"))  # costs alone need no extra


def test_a_second_time_nothing_is_measured(quick: Machine) -> None:
    assert quick.run(subject("a"))
    assert quick.run(subject("a")) == []
    assert len(quick.store.attempts()) == 2


def test_what_is_missing_is_added(quick: Machine) -> None:
    quick.run(subject("a"))
    quick.run(subject("a"), subject("b"), runs=3)
    assert len(quick.finished()) == 4
    assert len(quick.store.attempts()) == 6


@pytest.mark.parametrize(
    ("behaviour", "work", "outcome", "cause"),
    [
        ("refuse", None, Outcome.REFUSED, "refuses to load"),
        ("abort", None, Outcome.CRASHED, "SIGABRT"),
        ("hang", None, Outcome.TIMEOUT, "no answer within 0.5 s during prefill"),
        ("ok", Work(decode_bytes=1e12, flops_per_token=1.0), Outcome.REJECTED, "decode would read"),
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


def test_what_failed_is_run_again_only_where_that_is_asked_for(quick: Machine) -> None:
    quick.run(subject("a", "refuse"), subject("b"), runs=1)
    assert quick.run(subject("a"), subject("b"), runs=1) == []
    quick.run(subject("a"), subject("b"), runs=1, retry_failed=True)  # whatever ailed it is mended
    (again,) = quick.finished()
    assert again.outcome is Outcome.OK
    assert quick.store.outcome(again.cell.key) is Outcome.OK
    assert len(quick.store.attempts(again.cell.key)) == 2
    assert quick.run(subject("a"), subject("b"), runs=1, retry_failed=True) == []


def test_pending_is_what_has_no_outcome_yet(quick: Machine) -> None:
    quick.run(subject("a", "refuse"), subject("b"), runs=1)
    cells = plan(study(runs=2), [subject("a"), subject("b")], HOST, ENGINE)
    assert [cell.replicate for cell in pending(cells, quick.store)] == [1, 1]
    assert len(pending(cells, quick.store, retry_failed=True)) == 3


@pytest.mark.engine
def test_a_file_of_an_unknown_architecture_is_refused_by_the_real_engine_and_stored_with_its_log(
    machine: Machine, tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "lemur.gguf"
    path.write_bytes(tiny_model.read_bytes().replace(b"llama", b"lemur"))
    machine.engine = EngineInfo(name="llamacpp", version="", build="")
    models = [StudyModel(model=str(path)), StudyModel(model=str(tiny_model))]
    machine.run(*(prepare(model) for model in models), runs=1)
    stored = {found.outcome: found for found in machine.store.runs()}
    assert set(stored) == {Outcome.REFUSED, Outcome.OK}
    assert "lemur" in str(stored[Outcome.REFUSED].cause)
    assert stored[Outcome.REFUSED].log_tail
    assert machine.store.samples(stored[Outcome.OK].key)


class TestTasks:
    def test_tasks_are_stored_item_by_item(self, quick: Machine) -> None:
        quick.run(subject("a", suites=SMOKE), runs=1)
        runs = quick.store.runs(kind=RunKind.EVAL)
        assert [found.settings["task"] for found in runs] == [task.name for task in suite("smoke").tasks]
        for found in runs:
            assert found.outcome is Outcome.OK
            assert found.settings["limit"] == 1
            assert {sample.item for sample in quick.store.samples(found.key)} != {""}
            assert found.notes["tokens_computed"] <= found.notes["tokens_asked"]
        assert any(isinstance(event, Advanced) for event in quick.events)
        # What the first task takes is not known before it, and is left out.
        complete = [event.remaining.complete for event in quick.started()]
        assert complete == [False] * 2 + [True] * (len(suite("smoke").tasks) - 1)

    def test_a_model_that_cannot_be_loaded_fails_each_task(self, quick: Machine) -> None:
        quick.run(subject("a", "refuse", suites=SMOKE), runs=0)
        assert {event.outcome for event in quick.finished()} == {Outcome.REFUSED}
        assert len(quick.finished()) == len(suite("smoke").tasks)


class TestTimeLeft:
    def test_nothing_is_said_before_the_first_and_all_after_it(self, quick: Machine) -> None:
        quick.run(subject("a"), subject("b"))
        first, second, *_ = quick.started()
        assert first.remaining == Remaining(0.0, complete=False)
        assert second.remaining.complete
        assert second.remaining.seconds == pytest.approx(3 * quick.finished()[0].elapsed_s)

    def test_a_study_that_goes_on_knows_from_before(self, quick: Machine) -> None:
        quick.run(subject("a"), runs=1)
        before = quick.finished()[0].elapsed_s
        quick.run(subject("a"), runs=3)
        assert quick.started()[0].remaining.seconds == pytest.approx(2 * before)
        assert [event.done for event in quick.started()] == [1, 2]

    def test_like_cells_count_before_others_of_the_kind(self) -> None:
        cells = plan(study(runs=1), [subject("a"), subject("b")], HOST, ENGINE)
        small, large = sorted(cells, key=lambda cell: cell.subject.label)
        elapsed = {run._like(small): [1.0, 3.0]}
        assert run._remaining([small], elapsed) == Remaining(2.0, complete=True)
        assert run._remaining([small, large], elapsed) == Remaining(4.0, complete=True)
        assert run._remaining([large], elapsed | {run._like(large): [10.0]}) == Remaining(10.0, complete=True)

    def test_what_is_next_is_told(self, quick: Machine) -> None:
        quick.run(subject("a"), subject("b"))
        started = quick.started()
        assert [event.following for event in started] == [event.cell for event in started[1:]] + [None]
