"""Stores of several devices are joined: what is new is added, what contradicts is listed and changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store import Merged, Store, export_jsonl, import_jsonl, merge_store
from slm_atlas.store.merge import snapshot

from .facts import ARTIFACT, HOST, prepare, run, samples

Merge = Callable[[Store, Store], Merged]


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Store]:
    with prepare(Store(tmp_path / "ours.db")) as store:
        yield store


@pytest.fixture
def theirs(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "their device" / "theirs #1?.db") as store:
        yield store


def by_store(ours: Store, theirs: Store) -> Merged:
    return merge_store(ours, theirs.path)


def by_export(ours: Store, theirs: Store) -> Merged:
    path = theirs.path.with_suffix(".jsonl")
    export_jsonl(theirs, path)
    return import_jsonl(ours, path)


both_ways = pytest.mark.parametrize("merge", [by_store, by_export])


@both_ways
def test_what_is_new_is_added_once(ours: Store, theirs: Store, merge: Merge) -> None:
    phone = msgspec.structs.replace(HOST, id="ef56", cpu="A phone")
    theirs.add_artifact(ARTIFACT)
    theirs.add_host(phone)
    theirs.record(run("there", host=phone.id), samples(3))
    ours.record(run("here"), samples(2))
    assert merge(ours, theirs) == Merged(artifacts=0, hosts=1, runs=1)
    assert merge(ours, theirs) == Merged(artifacts=0, hosts=0, runs=0)
    assert [each.run.key for each in ours.attempts()] == ["here", "there"]
    assert ours.samples("there") == samples(3)


@both_ways
def test_the_same_run_with_other_samples_is_listed_and_changes_nothing(
    ours: Store, theirs: Store, merge: Merge
) -> None:
    prepare(theirs)
    ours.record(run("a"), samples(3))
    theirs.record(run("a"), samples(3, factor=0.2))
    theirs.record(run("b"), samples(1))
    before = ours.attempts("a")
    added = merge(ours, theirs)
    (conflict,) = added.conflicts
    assert added.runs == 1, "the other run is no part of it"
    assert (conflict.kind, conflict.id, conflict.what) == ("run", "a", "decode_s")
    assert (conflict.here, conflict.there) == ("0.1", "0.2")
    assert ours.attempts("a") == before
    assert merge(ours, theirs) == added._replace(runs=0), "it is listed as often as it is found"


@both_ways
def test_a_run_that_failed_here_and_was_repeated_there_is_no_contradiction(
    ours: Store, theirs: Store, merge: Merge
) -> None:
    failed = run("a", outcome=Outcome.CRASHED, cause="signal 6")
    for store in (ours, prepare(theirs)):
        store.record(failed, [])
    theirs.record(run("a"), samples(2))
    assert merge(ours, theirs) == Merged(artifacts=0, hosts=0, runs=1)
    assert ours.outcome("a") is Outcome.OK


@both_ways
def test_an_older_copy_of_the_same_store_adds_nothing(ours: Store, theirs: Store, merge: Merge) -> None:
    prepare(theirs)
    disturbed = run("a", notes={"disturbed": ["load"]})
    for store in (ours, theirs):
        store.record(disturbed, samples(2))
    ours.record(run("a"), samples(3))
    assert merge(ours, theirs) == Merged(artifacts=0, hosts=0, runs=0)
    assert merge(theirs, ours) == Merged(artifacts=0, hosts=0, runs=1), "the repetition is news there"


@both_ways
@pytest.mark.parametrize(
    ("kind", "facts"),
    [("artifact", {"params": 1}), ("artifact", {"forged": False}), ("host", {"cores": 64}), ("host", {"cpu": "None"})],
)
def test_other_facts_of_the_same_file_or_machine_are_listed_and_change_nothing(
    ours: Store, theirs: Store, merge: Merge, kind: str, facts: dict[str, Any]
) -> None:
    artifact = msgspec.structs.replace(ARTIFACT, **facts) if kind == "artifact" else ARTIFACT
    host = msgspec.structs.replace(HOST, **facts) if kind == "host" else HOST
    theirs.add_artifact(artifact)
    theirs.add_host(host)
    theirs.record(run("a"), samples(1))
    added = merge(ours, theirs)
    ((field, value),) = facts.items()
    (conflict,) = added.conflicts
    own = ARTIFACT if kind == "artifact" else HOST
    assert (conflict.kind, conflict.what, conflict.there) == (kind, field, str(value))
    assert conflict.here == str(getattr(own, field))
    assert (ours.artifacts(), ours.hosts()) == ({ARTIFACT.sha256: ARTIFACT}, {HOST.id: HOST})
    assert added.runs == 1


@both_ways
def test_a_file_may_lie_elsewhere_and_be_called_otherwise(ours: Store, theirs: Store, merge: Merge) -> None:
    theirs.add_artifact(msgspec.structs.replace(ARTIFACT, origin="/media/card/x.gguf", name="x"))
    assert merge(ours, theirs) == Merged(artifacts=0, hosts=0, runs=0)


def test_the_other_store_is_only_read(ours: Store, theirs: Store) -> None:
    prepare(theirs).record(run("a"), samples(1))
    theirs.close()
    before = theirs.path.read_bytes(), sorted(path.name for path in theirs.path.parent.iterdir())
    assert merge_store(ours, theirs.path).runs == 1
    assert (theirs.path.read_bytes(), sorted(path.name for path in theirs.path.parent.iterdir())) == before


def test_a_store_that_another_program_is_writing_is_read_as_it_stands(ours: Store, theirs: Store) -> None:
    prepare(theirs).record(run("a"), samples(1))
    with theirs.transaction():
        theirs.record(run("b"), samples(1))
        assert merge_store(ours, theirs.path).runs == 1
    assert merge_store(ours, theirs.path).runs == 1


@pytest.fixture
def read_only_copy(theirs: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store in a folder that the process may enter and not change, root or not."""
    prepare(theirs).record(run("a"), samples(1))
    theirs.close()
    user = os.geteuid()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        path = Path(shutil.copy(theirs.path, name))
        path.parent.chmod(0o555)
        path.chmod(0o444)
        monkeypatch.setattr(tempfile, "tempdir", "/tmp")  # where another user may write too
        if user == 0:
            os.seteuid(65534)
        yield path
        os.seteuid(user)
        path.parent.chmod(0o755)


def test_a_store_on_a_read_only_disk_is_read(read_only_copy: Path) -> None:
    with snapshot(read_only_copy) as other:
        assert [each.run.key for each in other.attempts()] == ["a"]


def test_a_store_on_a_read_only_disk_can_be_read_and_exported_and_takes_nothing(read_only_copy: Path) -> None:
    with pytest.raises(UserError, match="cannot be opened for writing"):
        Store(read_only_copy)
    with Store(read_only_copy, reading=True) as store:
        assert store.samples("a") == samples(1)
        with tempfile.TemporaryDirectory() as folder:
            export_jsonl(store, Path(folder) / "out.jsonl")
        with pytest.raises(UserError, match="cannot be opened for writing"):
            store.record(run("b"), samples(1))


def test_a_store_is_not_merged_with_itself(ours: Store) -> None:
    with pytest.raises(UserError, match="this store itself"):
        merge_store(ours, ours.path)


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")


def _damaged(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 3))


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _other(path: Path) -> None:
    path.write_text("GGUF, perhaps, but not SQLite. " * 50)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_newer, "newer SLM Atlas"),
        (_foreign, "another program"),
        (_damaged, "damaged"),
        (_cut, "damaged"),
        (_other, "not a SQLite"),
        (Path.unlink, "cannot be"),
    ],
)
def test_what_is_no_whole_store_is_said_so_and_adds_nothing(
    ours: Store, theirs: Store, spoil: Callable[[Path], None], words: str
) -> None:
    prepare(theirs).record(run("a"), samples(5_000))
    theirs.close()
    spoil(theirs.path)
    with pytest.raises(UserError, match=words) as caught:
        merge_store(ours, theirs.path)
    assert str(theirs.path) in str(caught.value)
    assert ours.attempts() == []


def test_an_older_store_is_brought_up_to_date_in_a_copy_alone(ours: Store, tmp_path: Path) -> None:
    from slm_atlas.store.migrations import migrate, migrations

    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, migrations()[:1])
        connection.execute("INSERT INTO artifact VALUES ('ee', 'Old', NULL, 'x', 0, 'llama', 'Q8_0', 5, 6, '{}')")
    assert merge_store(ours, path) == Merged(artifacts=1, hosts=0, runs=0)
    assert ours.artifacts()["ee"].params == 5
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
