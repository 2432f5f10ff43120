"""What goes into the store comes out of it, the best attempt first, and nothing in it changes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store import Artifact, Attempt, Host, RunKind, Sample, Store, db
from slm_atlas.store.migrations import migrate

from .facts import ARTIFACT, HOST, RUN, answer, any_artifact, any_attempts, any_host, prepare, run, samples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "new" / "folder" / "atlas.db") as store:
        yield prepare(store)


def test_what_is_recorded_is_read_back(store: Store) -> None:
    detail = {"logprobs": [-0.5, -1.25], "text": "a\nb\0c — é"}
    given = [*samples(3), Sample(metric="acc", index=0, value=1.0, scope="arc", item="7", detail=detail)]
    assert store.record(RUN, given)
    assert store.runs() == [RUN]
    assert store.samples(RUN.key) == given
    assert store.artifacts() == {ARTIFACT.sha256: ARTIFACT}
    assert store.hosts() == {HOST.id: HOST}


def test_what_is_recorded_survives_closing(store: Store) -> None:
    store.record(RUN, samples(2))
    store.close()
    with Store(store.path) as again:
        assert again.attempts() == [Attempt(RUN, samples(2))]


def best(attempts: list[Attempt]) -> dict[str, Attempt]:
    """The rule, said once more: the last one that ended well, else the last."""
    chosen: dict[str, Attempt] = {}
    for attempt in attempts:
        old = chosen.get(attempt.run.key)
        if old is None or attempt.run.outcome == Outcome.OK or old.run.outcome != Outcome.OK:
            chosen[attempt.run.key] = attempt
    return chosen


def distinct(attempts: list[Attempt]) -> list[Attempt]:
    return [attempt for index, attempt in enumerate(attempts) if attempt not in attempts[:index]]


@settings(max_examples=25, deadline=None)
@given(any_attempts)
def test_any_attempts_are_kept_and_the_best_are_shown(attempts: list[Attempt]) -> None:
    with TemporaryDirectory() as folder, prepare(Store(Path(folder) / "atlas.db")) as store:
        added = [store.record(*attempt) for attempt in attempts]
        kept = distinct(attempts)
        assert sum(added) == len(kept)
        assert store.attempts() == kept
        assert store.attempts("a") == [attempt for attempt in kept if attempt.run.key == "a"]
        expected = best(kept)
        assert sorted(store.runs(), key=lambda run: run.key) == [expected[key].run for key in sorted(expected)]
        assert store.samples_of("abc") == {key: expected[key].samples if key in expected else [] for key in "abc"}
        assert {key: store.outcome(key) for key in expected} == {k: a.run.outcome for k, a in expected.items()}


@settings(max_examples=20, deadline=None)
@given(any_artifact, any_host)
def test_any_artifact_and_host_are_read_back(artifact: Artifact, host: Host) -> None:
    with TemporaryDirectory() as folder, Store(Path(folder) / "atlas.db") as store:
        assert (store.add_artifact(artifact), store.add_host(host)) == (True, True)
        assert list(store.artifacts().values()) == [artifact]
        assert list(store.hosts().values()) == [host]


def test_adding_again_changes_nothing(store: Store) -> None:
    assert not store.add_artifact(msgspec.structs.replace(ARTIFACT, name="another name"))
    assert not store.add_host(HOST)
    assert store.artifacts()[ARTIFACT.sha256].name == ARTIFACT.name


def test_the_outcome_of_a_key_is_that_of_its_best_attempt(store: Store) -> None:
    assert store.outcome("key") is None
    for outcome, expected in [
        (Outcome.CRASHED, Outcome.CRASHED),
        (Outcome.TIMEOUT, Outcome.TIMEOUT),
        (Outcome.OK, Outcome.OK),
        (Outcome.CRASHED, Outcome.OK),
    ]:
        store.record(run("key", outcome=outcome, elapsed_s=len(store.attempts())), samples(1))
        assert store.outcome("key") is expected
    assert len(store.attempts("key")) == 4
    assert [found.outcome for found in store.runs()] == [Outcome.OK]


def test_a_repeat_that_was_disturbed_does_not_stand_for_a_run_that_was_not(store: Store) -> None:
    for elapsed, doubts in enumerate([["swap"], [], ["steal"]]):
        store.record(run("key", elapsed_s=elapsed, notes={"disturbed": doubts}), samples(1))
        assert store.runs()[0].elapsed_s == min(elapsed, 1)
    store.record(run("key", elapsed_s=3, notes={"disturbed": []}), samples(1))
    assert store.runs()[0].elapsed_s == 3


def test_runs_are_filtered_and_in_order_of_recording(store: Store) -> None:
    store.add_artifact(msgspec.structs.replace(ARTIFACT, sha256="other"))
    store.record(run("z"), [])
    store.record(run("a", kind=RunKind.EVAL), [])
    store.record(run("m", outcome=Outcome.REFUSED, artifact="other"), [])
    assert [found.key for found in store.runs()] == ["z", "a", "m"]
    assert [found.key for found in store.runs(kind=RunKind.EVAL)] == ["a"]
    assert [found.key for found in store.runs(outcome=Outcome.OK)] == ["z", "a"]
    assert [found.key for found in store.runs(artifact="other")] == ["m"]
    assert [found.key for found in store.runs(keys={"m", "z", "unknown"})] == ["z", "m"]
    assert [found.key for found in store.runs(keys={"m", "z"}, outcome=Outcome.OK)] == ["z"]
    assert store.runs(keys=[]) == []


def test_a_key_that_was_never_tried_has_no_samples(store: Store) -> None:
    store.record(run("failed", outcome=Outcome.CRASHED), [])
    assert store.samples("unknown") == []
    assert store.samples_of(["failed", "unknown"]) == {"failed": [], "unknown": []}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_are_refused(store: Store, value: float) -> None:
    with pytest.raises(ValueError, match=r"Sample\.value"):
        store.record(RUN, [*samples(2), Sample(metric="decode_s", index=2, value=value)])
    with pytest.raises(ValueError, match=r"Sample\.detail"):
        store.record(RUN, [Sample(metric="acc", index=0, value=1.0, detail={"logprobs": [value]})])
    with pytest.raises(ValueError, match=r"Run\.elapsed_s"):
        store.record(run("key", elapsed_s=value), samples(2))
    assert store.attempts() == []


def test_a_run_of_an_unknown_file_is_refused(store: Store) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        store.record(run("key", artifact="unknown"), samples(2))
    assert store.attempts() == []


def test_a_transaction_is_stored_whole_or_not_at_all(store: Store) -> None:
    def two_runs_then_a_mistake() -> None:
        with store.transaction():
            store.record(run("a"), samples(1))
            store.record(run("b"), samples(1))
            raise KeyError

    with pytest.raises(KeyError):
        two_runs_then_a_mistake()
    assert store.runs() == []
    with store.transaction():
        store.record(run("a"), samples(1))
    assert [found.key for found in store.runs()] == ["a"]


@pytest.mark.parametrize("table", ["artifact", "host", "run", "sample", "answer"])
@pytest.mark.parametrize("sql", ["DELETE FROM {}", "UPDATE {} SET {column} = {column}"])
def test_facts_are_neither_changed_nor_removed(store: Store, table: str, sql: str) -> None:
    store.record(RUN, samples(1))
    store.add_answers([answer("a")])
    column = {"artifact": "name", "host": "cpu", "answer": "value"}.get(table, "rowid")
    with (
        closing(sqlite3.connect(store.path)) as connection,
        pytest.raises(sqlite3.IntegrityError, match=f"{table} is append-only"),
    ):
        connection.execute(sql.format(table, column=column))


def test_answers_are_read_back_by_key_and_the_first_stays(store: Store) -> None:
    store.add_answers([answer("a"), answer("b", text="né\n")])
    store.add_answers([answer("a", logprob=0.0), answer("c")])
    assert store.answers(["a", "b", "unknown"]) == {"a": answer("a"), "b": answer("b", text="né\n")}


def test_answers_are_added_together_or_not_at_all(store: Store) -> None:
    with pytest.raises(ValueError, match=r"Answer\.value"):
        store.add_answers([answer("a"), answer("b", logprob=float("nan"))])
    with pytest.raises(sqlite3.IntegrityError):
        store.add_answers([answer("a"), msgspec.structs.replace(answer("b"), artifact="unknown")])
    assert store.answers(["a", "b"]) == {}


def test_a_lock_that_stays_is_one_clear_line(store: Store) -> None:
    store._connection.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UserError, match="locked"):
            store.record(RUN, [])
        assert store.runs() == []
        other.execute("ROLLBACK")
    assert store.record(RUN, [])


def test_opening_waits_for_others_who_open_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "atlas.db"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        migrate(other, path)
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM run").fetchone()
        timer = threading.Timer(0.1, other.execute, ["COMMIT"])
        timer.start()
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            db._use_wal(connection)
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        timer.join()


def test_many_keys_and_samples_are_read_in_little_time(store: Store) -> None:
    with store.transaction():
        for index in range(2_000):
            store.record(run(str(index)), samples(50))
    keys = [found.key for found in store.runs()]
    start = time.process_time()
    found = store.samples_of(keys)
    worked_s = time.process_time() - start
    assert sum(map(len, found.values())) == 100_000
    assert worked_s < 2
