"""What is left of a store after kill -9, a full disk, a race or a broken file: all that was committed."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from slm_atlas.errors import UserError
from slm_atlas.store import Store, export_jsonl
from slm_atlas.store.faults import explained

from . import children
from .children import SAMPLES, child
from .facts import prepare, run, samples


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atlas.db"


def assert_holds(path: Path, keys: set[str]) -> None:
    """The store is whole, holds these runs with all their samples and nothing else, and takes more."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT count(*) FROM sample").fetchone() == (len(keys) * SAMPLES,)
    with Store(path) as store:
        assert {run.key for run in store.runs()} == keys
        assert all(found == samples(SAMPLES) for found in store.samples_of(keys).values())
        assert prepare(store).record(run("one more"), samples(SAMPLES))


@pytest.mark.parametrize(("acknowledged", "delay_s"), [(0, 0), (1, 0.0005), (5, 0.001), (40, 0.002)])
def test_kill_at_any_time_loses_at_most_the_run_in_flight(path: Path, acknowledged: int, delay_s: float) -> None:
    with child(children.write_runs, path) as writer:
        said = {writer.said.recv() for _ in range(acknowledged)}
        time.sleep(delay_s)
        writer.process.kill()
        said |= set(writer.rest())
        assert writer.process.exitcode == -signal.SIGKILL
    with Store(path) as store:
        stored = {run.key for run in store.runs()}
    assert said <= stored
    assert len(stored - said) <= 1
    assert_holds(path, stored)


@pytest.mark.parametrize("steps", [20, 500, 5_000])
def test_kill_in_the_middle_of_a_run_leaves_the_runs_before_it(path: Path, steps: int) -> None:
    with child(children.die_after_steps, path, steps) as writer:
        assert writer.rest() == ["first"]
        assert writer.process.exitcode == -signal.SIGKILL
    assert_holds(path, {"first"})


def test_kill_just_before_the_commit_leaves_nothing_of_the_run(path: Path) -> None:
    with child(children.die_uncommitted, path) as writer:
        assert writer.rest() == ["first"]
        assert writer.process.exitcode == -signal.SIGKILL
    assert_holds(path, {"first"})


def test_two_processes_write_at_once_and_nothing_is_lost(path: Path) -> None:
    with child(children.write_runs, path, "a", 200) as a, child(children.write_runs, path, "b", 200) as b:
        said = [*a.rest(), *b.rest()]
        assert (a.process.exitcode, b.process.exitcode) == (0, 0)
    assert len(said) == 400
    assert_holds(path, set(said))


def test_two_processes_that_measure_the_same_are_both_kept(path: Path) -> None:
    with child(children.write_runs, path, "", 20) as writer, Store(path) as store:
        prepare(store)
        for index in range(20):
            store.record(run(str(index), elapsed_s=2.0), samples(SAMPLES))
        writer.rest()
        assert writer.process.exitcode == 0
        assert len(store.attempts()) == 40
        assert len(store.runs()) == 20


def test_many_processes_may_create_the_store_at_once(path: Path) -> None:
    go = path.with_name("go")
    with ExitStack() as stack:
        openers = [stack.enter_context(child(children.open_when_told, path, go)) for _ in range(4)]
        assert {opener.said.recv() for opener in openers} == {"ready"}
        go.touch()
        assert [opener.rest() for opener in openers] == [["opened"]] * 4


def test_a_full_disk_is_one_clear_line_and_the_store_stays_whole(path: Path) -> None:
    with child(children.fill_the_disk, path, 300_000) as writer:
        *keys, message = writer.rest()
        assert writer.process.exitcode == 0
    assert keys
    assert str(path) in message
    assert "intact" in message
    assert_holds(path, set(keys))


def test_no_space_left_is_said_so(path: Path) -> None:
    with prepare(Store(path)) as store:
        store._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(UserError, match="No space left to write"):
            store.record(run("large"), samples(10_000))
        assert store.runs() == []
        assert store.record(run("small"), [])


def test_an_export_to_a_full_disk_leaves_the_old_file(path: Path) -> None:
    target = path.with_name("out.jsonl")
    with prepare(Store(path)) as store:
        export_jsonl(store, target)
    before = target.read_bytes()
    with child(children.export_to_a_full_disk, path, target) as exporter:
        (message,) = exporter.rest()
    assert "out.jsonl cannot be written" in message
    assert target.read_bytes() == before
    assert list(path.parent.glob(".*")) == []


def test_a_file_that_is_no_database_is_refused_and_untouched(path: Path) -> None:
    path.write_text("GGUF, perhaps, but not SQLite. " * 50)
    before = path.read_bytes()
    with pytest.raises(UserError, match="not a SQLite database"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_truncated_store_is_said_to_be_damaged(path: Path, kept: float) -> None:
    with prepare(Store(path)) as store:
        store.record(run("a"), samples(5_000))
    os.truncate(path, int(path.stat().st_size * kept))
    with pytest.raises(UserError, match="damaged"), Store(path) as store:
        store.samples("a")


def test_a_page_overwritten_is_said_to_be_damaged(path: Path) -> None:
    with prepare(Store(path)) as store:
        store.record(run("a"), samples(5_000))
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 40_000)
    with pytest.raises(UserError, match="damaged"), Store(path) as store:
        store.samples("a")


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that the process may enter and not change, root or not."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        Store(folder / "old.db").close()
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        yield folder
        os.seteuid(user)
        folder.chmod(0o755)


@pytest.mark.parametrize("name", ["new.db", "old.db", "new folder/new.db"])
def test_a_read_only_folder_is_one_clear_line(read_only_folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"cannot be opened for writing.*Try: choose a folder"):
        Store(read_only_folder / name)


def test_a_folder_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened"):
        Store(tmp_path)


def test_a_bug_keeps_its_own_exception(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(sqlite3.OperationalError, match="no such table"), explained(path):
            connection.execute("SELECT * FROM nowhere")
        with pytest.raises(sqlite3.ProgrammingError), explained(path):
            connection.execute("SELECT ?", (1, 2))
