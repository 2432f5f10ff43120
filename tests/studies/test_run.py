"""Running cells: each is stored as it ends, well or badly, and none is run again unless it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from slm_atlas import home
from slm_atlas.bench import BenchSettings, Ceilings, Need, Work
from slm_atlas.bench.host import HostState
from slm_atlas.bench.trace import read_trace
from slm_atlas.engines import EngineInfo, Generations, LoadReport, LoadSettings, Pair, Prompt, Scores
from slm_atlas.engines.fake import DECODE_S, Fake
from slm_atlas.errors import EngineCrashed, EngineError, EngineRefused, MissingExtra, Outcome, UserError
from slm_atlas.evals import suite
from slm_atlas.store import Store
from slm_atlas.store.profiles import from_samples
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
    check,
    pending,
    plan,
    prepare,
    run,
    run_cells,
)
from slm_atlas.units import MIB

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


def test_a_profile_is_a_run_with_nodes_ceilings_and_one_trace(quick: Machine) -> None:
    cells = plan(msgspec.structs.replace(study(runs=0), profile_runs=2), [subject("a")], HOST, quick.engine)
    run_cells(cells, Session(quick.store, HOST, quick.engine, quick.events.append))
    first, second = quick.store.runs(kind=RunKind.PROFILE)
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.OK)
    assert first.notes["ceilings"]["read_bytes_per_s"] == 1e10
    found = from_samples("decode", quick.store.samples(first.key))
    assert found is not None
    assert sum(node.share for node in found.nodes) == pytest.approx(1)
    assert found.plain_s == DECODE_S
    assert read_trace(first.key)
    assert read_trace(second.key) is None


def test_a_profile_that_could_not_be_is_rejected(quick: Machine) -> None:
    heavy = subject("a", work=Work(decode_bytes=1e12, flops_per_token=1.0))
    cells = plan(msgspec.structs.replace(study(runs=0), profile_runs=1), [heavy], HOST, quick.engine)
    run_cells(cells, Session(quick.store, HOST, quick.engine, quick.events.append))
    assert [found.outcome for found in quick.store.runs()] == [Outcome.REJECTED]


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


class TestMemory:
    def test_what_cannot_fit_is_not_tried_and_the_study_goes_on(
        self, quick: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quick.engine = EngineInfo(name="llamacpp", version="", build="")
        need = {"big": Need(weights_bytes=1, kv_bytes=2**50), "small": Need(weights_bytes=1)}
        monkeypatch.setattr(run, "foresee", lambda path, *_: need[path.name.removeprefix("fake:ok-")])
        big, small = (subject(name)._replace(path=Path(f"fake:ok-{name}")) for name in ("big", "small"))
        quick.run(big, small, runs=1)
        stored = {quick.store.artifacts()[found.artifact].name: found for found in quick.store.runs()}
        assert stored["small"].outcome is Outcome.OK
        assert stored["big"].outcome is Outcome.REFUSED
        assert str(stored["big"].cause).startswith("not tried, since it needs 1048576.00 GiB (weights 1 B, KV cache")
        assert stored["big"].notes["needed"]["kv_bytes"] == 2**50
        assert stored["big"].notes["available_bytes"] > 0

    def test_weights_that_pytorch_could_not_hold_are_not_built(self, quick: Machine) -> None:
        quick.engine = EngineInfo(name="transformers", version="", build="")
        one = subject("one")
        large = one._replace(artifact=msgspec.structs.replace(one.artifact, size_bytes=2**50))
        quick.run(large, runs=1)
        (found,) = quick.store.runs()
        assert (found.outcome, "weights 1048576.00 GiB" in str(found.cause)) == (Outcome.REFUSED, True)

    @pytest.mark.engine
    def test_the_real_engine_is_spared_a_context_it_could_not_hold(self, machine: Machine, tiny_model: Path) -> None:
        machine.engine = EngineInfo(name="llamacpp", version="", build="")
        subjects = [prepare(StudyModel(model=str(tiny_model)))]
        shape = BenchSettings(n_prompt=4, n_gen=2, repetitions=1, threads=1)
        swept = msgspec.structs.replace(study(bench=shape, runs=1), sweep={"context": (1024, 2**31 - 1)})
        cells = plan(swept, subjects, HOST, machine.engine)
        run_cells(cells, Session(machine.store, HOST, machine.engine, machine.events.append))
        stored = {found.settings["context"]: found for found in machine.store.runs()}
        assert stored[1024].outcome is Outcome.OK
        assert "longer than the 512 the model was trained for" in stored[1024].notes["granted"]["remarks"][0]
        assert stored[2**31 - 1].outcome is Outcome.REFUSED
        assert "not tried, since it needs 4096.07 GiB (weights" in str(stored[2**31 - 1].cause)

    @pytest.mark.engine
    def test_a_death_for_want_of_memory_is_stored_and_the_study_goes_on(
        self, machine: Machine, tiny_model: Path
    ) -> None:
        """As much as it will allocate is allowed, so that it is tried; but libraries are mapped into the same limit."""
        machine.engine = EngineInfo(name="llamacpp", version="", build="")
        subjects = [prepare(StudyModel(model=str(tiny_model)))]
        shape = BenchSettings(n_prompt=4, n_gen=2, repetitions=1, threads=1, context=2**16)
        limit = 200 * MIB
        swept = msgspec.structs.replace(study(bench=shape, runs=1), sweep={"memory_limit_bytes": (limit, None)})
        cells = plan(swept, subjects, HOST, machine.engine)
        run_cells(cells, Session(machine.store, HOST, machine.engine, machine.events.append))
        stored = {found.settings["memory_limit_bytes"]: found for found in machine.store.runs()}
        assert stored[None].outcome is Outcome.OK
        assert stored[limit].outcome in (Outcome.REFUSED, Outcome.CRASHED)
        assert "not tried" not in str(stored[limit].cause)
        assert stored[limit].cause


class TestCorners:
    def test_an_arm_that_does_not_fit_its_context_is_a_recorded_refusal_among_others(self, quick: Machine) -> None:
        one = subject("one")
        asked = msgspec.structs.replace(study(one, runs=1), sweep={"n_prompt": (4, 600)})
        check(asked, ENGINE.name)
        run_cells(plan(asked, [one], HOST, ENGINE), Session(quick.store, HOST, ENGINE, quick.events.append))
        stored = {found.settings["n_prompt"]: found for found in quick.store.runs()}
        assert stored[4].outcome is Outcome.OK
        assert (stored[600].outcome, stored[600].cause) == (
            Outcome.REFUSED,
            "602 tokens do not fit a context of 512",
        )

    def test_where_none_fits_nothing_begins(self) -> None:
        with pytest.raises(UserError, match="602 tokens do not fit a context of 512"):
            check(msgspec.structs.replace(study(), sweep={"n_prompt": (600, 700)}), ENGINE.name)

    def test_a_server_has_a_context_of_its_own(self) -> None:
        check(msgspec.structs.replace(study(), sweep={"n_prompt": (600,)}), "endpoint")

    @pytest.mark.parametrize(
        ("name", "value"),
        [("n_prompt", 0), ("context", 0), ("context", 2**31), ("micro_batch", 0), ("depth", -1), ("threads", -1),
         ("memory_limit_bytes", 0), ("repetitions", 0), ("n_gen", -1), ("kv_type", "q3")],
    )  # fmt: skip
    def test_a_size_that_is_none_is_one_line(self, name: str, value: int | str) -> None:
        with pytest.raises(UserError, match=name if name != "kv_type" else "no KV cache type 'q3'") as caught:
            check(msgspec.structs.replace(study(), sweep={name: (value,)}), ENGINE.name)
        assert "\n" not in str(caught.value)

    def test_a_file_that_could_not_be_had_is_refused_run_by_run(self, quick: Machine) -> None:
        missing = subject("missing", suites=SMOKE)._replace(path="", work=None, problem="the disk is full")
        quick.run(missing, subject("there"), runs=1)
        by_name: dict[str, set[tuple[Outcome, str | None]]] = {}
        for found in quick.store.runs():
            name = quick.store.artifacts()[found.artifact].name
            by_name.setdefault(name, set()).add((found.outcome, found.cause))
        assert by_name["missing"] == {(Outcome.REFUSED, "the disk is full")}
        assert (Outcome.OK, None) in by_name["there"]


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

    def test_tasks_of_a_model_share_a_worker_that_is_ended_before_a_cost_is_measured(
        self, quick: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        told: list[str] = []

        class Telling(Fake):
            def load(self, settings: LoadSettings) -> LoadReport:
                told.append(f"load {settings.path}")
                return super().load(settings)

            def close(self) -> None:
                told.append("close")

        monkeypatch.setattr(run, "Worker", lambda *_, **__: Telling())
        quick.run(subject("a", suites=SMOKE), runs=0)
        assert told == ["load fake:ok", "close"]
        told.clear()
        quick.run(subject("b", suites=SMOKE), runs=1)
        assert told == ["load fake:ok", "close"] * 2

    @pytest.mark.parametrize(
        ("error", "ended"), [(EngineCrashed("signal 11"), len(suite("smoke").tasks)), (EngineRefused("no"), 1)]
    )
    def test_a_worker_that_died_is_not_asked_again_and_one_that_declined_is(
        self, quick: Machine, monkeypatch: pytest.MonkeyPatch, error: EngineError, ended: int
    ) -> None:
        closed: list[int] = []

        class Dying(Fake):
            def score(self, pairs: Sequence[Pair]) -> Scores:
                raise error

            def generate(self, prompts: Sequence[Prompt]) -> Generations:
                raise error

            def close(self) -> None:
                closed.append(1)

        monkeypatch.setattr(run, "Worker", lambda *_, **__: Dying())
        quick.run(subject("a", suites=SMOKE), runs=0)
        assert len(closed) == ended


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


@pytest.mark.parametrize(("sustained_s", "disturbed"), [(0.0, 1), (0.2, 0)])
def test_a_clock_that_falls_in_sustained_use_is_noted_and_no_disturbance(
    quick: Machine, monkeypatch: pytest.MonkeyPatch, sustained_s: float, disturbed: int
) -> None:
    quiet = HostState(
        logical_cores=2, load_1min=None, cpu_pressure=None, memory_pressure=None, io_pressure=None, steal_ticks=None,
        total_ticks=None, swap_used_bytes=0, available_bytes=1, frequency_mhz=3000.0, governor=None, temperature_c=None,
        on_battery=None,
    )  # fmt: skip
    states = iter([quiet, msgspec.structs.replace(quiet, frequency_mhz=2000.0)])
    monkeypatch.setattr(run, "host_state", lambda: next(states))
    one = subject("a")
    asked = study(one, runs=1, bench=BenchSettings(n_prompt=4, n_gen=2, sustained_s=sustained_s))
    run_cells(plan(asked, [one], HOST, ENGINE), Session(quick.store, HOST, ENGINE, lambda _: None), Rules(repeat=False))
    (found,) = quick.store.runs()
    assert len(found.notes["noise"]) == 1
    assert len(found.notes["disturbed"]) == disturbed
