"""Disturbed blocks are repeated once, as a whole and kept; time and precision end an arm; a resumed study agrees."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import home
from slm_atlas.bench import Ceilings
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineRefused, UserError
from slm_atlas.insights.frame import read_dataset, rows
from slm_atlas.store import Store
from slm_atlas.store.stops import PrecisionOf, Reason
from slm_atlas.studies import Finished, Precision, Rules, Session, Started, Study, agenda, plan, run, run_cells
from slm_atlas.studies.blocks import due, is_repeat
from slm_atlas.studies.kept_worker import KeptWorker
from slm_atlas.studies.run import Resources

from .subjects import ENGINE, HOST, study, subject

A, B = subject("a"), subject("b")
DOUBT = "Other programs took 40 % of the processor's time."
REPEAT = Rules(repeat=True)


class Machine:
    """Runs studies in this process, and is disturbed when it is told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.disturbed: set[int] = set()
        self.always = False
        self.made = 0

    def doubts(self, *_: object) -> list[str]:
        """What disturbed the run that was just made; runs count from zero."""
        self.made += 1
        return [DOUBT] if self.always or self.made - 1 in self.disturbed else []

    def run(self, found: Study, rules: Rules = REPEAT) -> list[Finished]:
        cells = plan(found, [A, B], HOST, ENGINE)
        events: list[Any] = []
        run_cells(cells, Session(self.store, HOST, ENGINE, events.append), rules)
        counts = [(event.done, event.total) for event in events if isinstance(event, Started)]
        assert all(done < total for done, total in counts)
        assert [done for done, _ in counts] == sorted({done for done, _ in counts})
        assert agenda(cells, self.store, rules).outstanding() == []
        return [event for event in events if isinstance(event, Finished)]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    with Store(home.store_path()) as store:
        found = Machine(store)
        monkeypatch.setattr(run, "Worker", lambda *_, **__: Fake())
        monkeypatch.setattr(run, "measure_ceilings", lambda _: Ceilings(read_bytes_per_s=1e10, flops=1e11))
        monkeypatch.setattr(run, "disturbances", found.doubts)
        yield found


class TestRepeats:
    def test_a_disturbed_block_is_repeated_as_a_whole_at_the_end_and_kept(self, machine: Machine) -> None:
        machine.disturbed = {2}  # of the second block
        made = machine.run(study(A, B, runs=4))
        assert [event.cell.block for event in made] == [0, 0, 1, 1, 2, 2, 3, 3, 1, 1]
        attempts = machine.store.attempts()
        assert len(attempts) == 10  # the disturbed runs are still there, and exported
        first, again = machine.store.attempts(made[2].cell.key)
        assert first.run.notes["disturbed"] == [DOUBT]
        assert again.run.notes["disturbed"] == []
        assert again.run.notes["repeats"]["because"] == [DOUBT]
        assert again.run.notes["repeats"]["started_at"] == first.run.started_at
        for row in rows(read_dataset(machine.store)):
            assert (row.n_runs, row.set_aside, row.disturbed) == (4, 1, 0)

    def test_a_second_time_nothing_is_repeated(self, machine: Machine) -> None:
        machine.disturbed = {2}
        machine.run(study(A, B, runs=4))
        assert machine.run(study(A, B, runs=4)) == []

    def test_a_machine_that_is_always_busy_ends_it_soon(self, machine: Machine) -> None:
        machine.always = True
        assert len(machine.run(study(A, B, runs=20))) == 40 + 2 * 2
        assert machine.run(study(A, B, runs=20)) == []

    def test_never_more_than_half_of_the_blocks(self, machine: Machine) -> None:
        machine.disturbed = set(range(10))  # all blocks; repeats are quiet
        assert len(machine.run(study(A, B, runs=5))) == 10 + 2 * 2

    def test_it_can_be_switched_off(self, machine: Machine) -> None:
        machine.disturbed = {0}
        assert len(machine.run(study(A, B, runs=4), Rules())) == 8
        assert not any(map(is_repeat, machine.store.runs()))

    def test_a_repeat_that_was_interrupted_goes_on(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        machine.disturbed = {0}
        original = machine.store.record

        def interrupted(*args: Any) -> bool:
            if len(machine.store.attempts()) == 9:
                raise KeyboardInterrupt
            return original(*args)

        monkeypatch.setattr(machine.store, "record", interrupted)
        with pytest.raises(KeyboardInterrupt):
            machine.run(study(A, B, runs=4))
        monkeypatch.setattr(machine.store, "record", original)
        (left,) = machine.run(study(A, B, runs=4))
        assert left.cell.block == 0
        assert all(is_repeat(found) for found in machine.store.runs() if found.replicate == 0)

    def test_a_repeat_that_fails_leaves_the_first_attempt_and_is_not_tried_again(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Dying(Fake):
            def load(self, settings: Any) -> Any:
                if machine.made >= 8:
                    raise EngineRefused("no more")
                return super().load(settings)

        monkeypatch.setattr(run, "Worker", lambda *_, **__: Dying())
        machine.disturbed = {0}
        assert len(machine.run(study(A, B, runs=4))) == 10
        assert machine.run(study(A, B, runs=4)) == []
        assert [row.n_runs for row in rows(read_dataset(machine.store))] == [4, 4]

    def test_runs_of_older_versions_are_not_repeated(self, machine: Machine) -> None:
        cells = plan(study(A, B), [A, B], HOST, ENGINE)
        machine.run(study(A, B))
        (old, *_) = machine.store.runs()
        notes = {"noise": [DOUBT]}
        machine.store.record(msgspec.structs.replace(old, notes=notes, started_at="2030-01-01T00:00:00+00:00"), [])
        assert agenda(cells, machine.store, REPEAT).outstanding() == []

    @given(st.sets(st.integers(0, 19)), st.lists(st.booleans(), max_size=20), st.integers(0, 20))
    def test_repeats_are_bounded(self, disturbed: set[int], repeated: list[bool], blocks: int) -> None:
        found = due(disturbed, repeated, blocks)
        assert set(found) <= disturbed
        assert not found or len(found) + len(repeated) <= blocks // 2


class TestEnds:
    def test_no_block_is_begun_when_the_time_is_spent(self, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = iter(range(0, 1000, 5))  # a run takes 5 s
        monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
        made = machine.run(study(A, B, runs=20), Rules(budget_s=25.0))
        assert [event.cell.block for event in made] == [0, 0, 1, 1, 2, 2]  # 20 s are not 25, 30 are
        assert machine.run(study(A, B, runs=20), Rules(budget_s=25.0)) == []
        for row in rows(read_dataset(machine.store)):
            assert row.stop is not None
            assert row.stop.reason is Reason.TIME
            assert row.stop.words.startswith("budget of 25 s spent after 3 runs")
        assert len(machine.run(study(A, B, runs=20), Rules(budget_s=40.0))) == 2  # more time, more blocks

    def test_the_record_alone_says_that_an_arm_is_narrow(self, machine: Machine) -> None:
        machine.run(study(A, B, runs=20), Rules(precision=Precision(half_width=0.05)))
        stops = [row.stop for row in rows(read_dataset(machine.store))]
        assert [stop.words for stop in stops if stop] == ["narrow after 5 runs, ±0 %"] * 2

    def test_the_first_of_ratios_ends_with_the_last_of_the_others(self, machine: Machine) -> None:
        machine.run(study(A, B, runs=20), Rules(precision=Precision(half_width=0.05, of=PrecisionOf.RATIO)))
        first, other = (row.stop for row in rows(read_dataset(machine.store)))
        assert first is not None
        assert other is not None
        assert other.words == "narrow after 5 runs, ±0 % as a ratio"
        assert first.reason is Reason.REFERENCE
        assert first.runs in (5, 6)  # in the last block its turn may come before the other's

    def test_a_ratio_of_one_arm_is_refused(self, machine: Machine) -> None:
        cells = plan(study(A), [A], HOST, ENGINE)
        with pytest.raises(UserError, match="A ratio needs two arms"):
            agenda(cells, machine.store, Rules(precision=Precision(of=PrecisionOf.RATIO)))

    def test_what_was_interrupted_says_so(self, machine: Machine) -> None:
        cells = plan(study(A, B, runs=3), [A, B], HOST, ENGINE)
        silent = Session(machine.store, HOST, ENGINE, lambda _: None)
        turns = iter(agenda(cells, machine.store, Rules()))
        turn = next(turns)
        there = Resources(Ceilings(read_bytes_per_s=1e10, flops=1e11), KeptWorker(Fake))
        found, samples = run._run(turn, silent, there, agenda(cells, machine.store, Rules()).stopping)
        for known in (A, B):
            machine.store.add_artifact(known.artifact)
        machine.store.add_host(HOST)
        machine.store.record(found, samples)
        (row,) = rows(read_dataset(machine.store))
        assert row.stop is not None
        assert row.stop.words == "1 of 3 runs made so far"
