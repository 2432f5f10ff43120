"""What is exported can be imported, once or twice, whole or not at all."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store import (
    Attempt,
    Merged,
    RunKind,
    Sample,
    Store,
    export_csv,
    export_jsonl,
    export_parquet,
    import_jsonl,
)

from .facts import any_attempts, prepare, run, samples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with prepare(Store(tmp_path / "atlas.db")) as store:
        store.record(run("a", outcome=Outcome.CRASHED, cause="abort, signal 6", log_tail="line\nline"), [])
        store.record(run("a"), samples(2))
        detail = {"text": "né"}
        store.record(run("b", kind=RunKind.EVAL), [Sample(metric="acc", index=0, value=1, item="7", detail=detail)])
        yield store


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "other.db") as store:
        yield store


def content(store: Store) -> tuple[object, ...]:
    return store.artifacts(), store.hosts(), store.attempts()


def test_an_import_holds_what_was_exported(store: Store, other: Store, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "out.jsonl"
    export_jsonl(store, path)
    assert import_jsonl(other, path) == Merged(artifacts=1, hosts=1, runs=3)
    assert content(other) == content(store)


def test_a_packed_export_is_smaller_and_holds_the_same(store: Store, other: Store, tmp_path: Path) -> None:
    plain, packed = tmp_path / "out.jsonl", tmp_path / "out.jsonl.gz"
    export_jsonl(store, plain)
    export_jsonl(store, packed)
    assert packed.stat().st_size < plain.stat().st_size
    packed = packed.rename(tmp_path / "renamed")
    assert import_jsonl(other, packed) == Merged(artifacts=1, hosts=1, runs=3)
    assert content(other) == content(store)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: data[:30] + b"\0\0\0" + data[33:]])
def test_a_packed_export_that_is_damaged_is_one_clear_line(
    store: Store, other: Store, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    packed = tmp_path / "out.jsonl.gz"
    export_jsonl(store, packed)
    packed.write_bytes(damage(packed.read_bytes()))
    with pytest.raises(UserError, match=r"out\.jsonl\.gz cannot be unpacked"):
        import_jsonl(other, packed)
    assert content(other) == ({}, {}, [])


def test_importing_again_adds_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export_jsonl(store, path)
    before = content(store)
    assert import_jsonl(store, path) == Merged(artifacts=0, hosts=0, runs=0)
    assert content(store) == before


@settings(max_examples=15, deadline=None)
@given(any_attempts, any_attempts)
def test_stores_merge_and_lose_nothing(mine: list[Attempt], theirs: list[Attempt]) -> None:
    with TemporaryDirectory() as name:
        path = Path(name) / "theirs.jsonl"
        with prepare(Store(Path(name) / "a.db")) as a, prepare(Store(Path(name) / "b.db")) as b:
            for store, attempts in ((a, mine), (b, theirs)):
                for attempt in attempts:
                    store.record(*attempt)
            export_jsonl(b, path)
            before = a.attempts()
            added = import_jsonl(a, path)
            left_out = {conflict.id for conflict in added.conflicts}
            new = [attempt for attempt in b.attempts() if attempt not in before and attempt.run.key not in left_out]
            assert a.attempts() == before + new or len(new) > 1
            assert added.runs == len(new)
            assert all(attempt in a.attempts() for attempt in [*before, *new])
            assert import_jsonl(a, path) == added._replace(runs=0)


def test_lines_describe_themselves_in_any_order(store: Store, other: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    export_jsonl(store, path)
    lines = path.read_text("utf-8").splitlines()
    assert [json.loads(line)["record"] for line in lines] == ["artifact", "host", "run", "run", "run"]
    path.write_text("\n\n".join([lines[4], *lines[:4], lines[1]]), "utf-8")
    assert import_jsonl(other, path) == Merged(artifacts=1, hosts=1, runs=3)
    assert set(other.samples_of("ab")) == {"a", "b"}


def _cut(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:-20]]


def _garbage(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], b"\xff\xfe\x00"]


def _wrong_type(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"replicate":0', b'"replicate":"zero"')]


def _no_number(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"value":1.0', b'"value":null')]


def _infinite(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"value":1.0', b'"value":1e999')]


def _too_large(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"replicate":0', b'"replicate":%d' % 2**80)]


def _newer_field(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"replicate":0', b'"replicate":0,"unheard_of":1')]


def _unknown_kind(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], b'{"record":"opinion"}']


def _unknown_artifact(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"artifact":"ab12"', b'"artifact":"unknown"')]


def _unicode_half(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1].replace(b'"item":"7"', b'"item":"\\ud800"')]


@pytest.mark.parametrize(
    "break_last",
    [
        _cut,
        _garbage,
        _wrong_type,
        _no_number,
        _infinite,
        _too_large,
        _newer_field,
        _unknown_kind,
        _unknown_artifact,
        _unicode_half,
    ],
)
def test_a_broken_line_is_named_and_nothing_is_imported(
    store: Store, other: Store, tmp_path: Path, break_last: Callable[[list[bytes]], list[bytes]]
) -> None:
    path = tmp_path / "out.jsonl"
    export_jsonl(store, path)
    lines = path.read_bytes().splitlines()
    broken = break_last(lines)
    assert broken != lines
    path.write_bytes(b"\n".join(broken))
    with pytest.raises(UserError, match=r"out\.jsonl:5: .*Nothing was imported"):
        import_jsonl(other, path)
    assert content(other) == ({}, {}, [])


def test_a_file_that_is_not_there_is_one_clear_line(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl cannot be read: No such file"):
        import_jsonl(store, tmp_path / "nowhere.jsonl")


@pytest.mark.parametrize("export", [export_jsonl, export_csv, export_parquet])
def test_an_export_that_cannot_be_written_is_one_clear_line(
    store: Store, tmp_path: Path, export: Callable[[Store, Path], None]
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder cannot be written: Is a directory"):
        export(store, tmp_path / "folder")
    with pytest.raises(UserError, match="cannot be opened for writing"):
        export(store, store.path / "out")
    assert list(tmp_path.glob(".*")) == []


def test_an_export_takes_the_place_of_the_old_file_at_once(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("the old one")
    with path.open() as reader:
        export_jsonl(store, path)
        assert reader.read() == "the old one"
    assert path.read_text("utf-8").count("\n") == 5


def test_an_export_may_be_read_by_whom_the_umask_allows(store: Store, tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    export_jsonl(store, tmp_path / "out.jsonl")
    assert stat.S_IMODE((tmp_path / "out.jsonl").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
