"""Migrations run once each, in order, together or not at all, and never on a file that is not ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from slm_atlas.errors import UserError
from slm_atlas.store import Artifact, Host, Run, Sample, Store
from slm_atlas.store.migrations import APPLICATION_ID, migrate, migrations, split_sections
from slm_atlas.store.records import Struct

FIRST = f"PRAGMA application_id = {APPLICATION_ID};\nCREATE TABLE log (step TEXT);\nINSERT INTO log VALUES ('first');\n"
SECOND = (
    "-- a reason; with a semicolon\nALTER TABLE log ADD COLUMN size INTEGER;\nINSERT INTO log VALUES ('second', 2);\n"
)
THIRD = (
    "CREATE TRIGGER grow AFTER INSERT ON log BEGIN\n  UPDATE log SET size = 3 WHERE size IS NULL;\nEND;\n"
    "INSERT INTO log (step) VALUES ('third');\n"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "atlas.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def log(connection: sqlite3.Connection) -> list[str]:
    return [step for (step,) in connection.execute("SELECT step FROM log ORDER BY rowid")]


def test_a_new_store_goes_through_all(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, [FIRST, SECOND, THIRD])
    assert log(connection) == ["first", "second", "third"]
    assert version(connection) == 3
    assert connection.execute("SELECT size FROM log").fetchall() == [(3,), (2,), (3,)]


def test_an_old_store_goes_through_what_it_lacks(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, [FIRST])
    assert version(connection) == 1
    migrate(connection, path, [FIRST, SECOND, THIRD])
    migrate(connection, path, [FIRST, SECOND, THIRD])
    assert log(connection) == ["first", "second", "third"]


def test_a_migration_that_fails_leaves_the_old_version(connection: sqlite3.Connection, path: Path) -> None:
    migrate(connection, path, [FIRST])
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        migrate(connection, path, [FIRST, SECOND, "INSERT INTO nowhere VALUES (1);\n"])
    assert version(connection) == 1
    assert log(connection) == ["first"]
    migrate(connection, path, [FIRST, SECOND])
    assert log(connection) == ["first", "second"]


def test_an_unfinished_statement_is_a_mistake(connection: sqlite3.Connection, path: Path) -> None:
    with pytest.raises(ValueError, match="unfinished statement: CREATE TABLE"):
        migrate(connection, path, [FIRST + "CREATE TABLE more (x)\n"])
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)


def test_sections_must_be_numbered_in_order() -> None:
    with pytest.raises(ValueError, match=r"\[1, 3\]"):
        split_sections("-- migration 1: a\n-- migration 3: b\n")


def test_a_store_reaches_the_current_version(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert version(connection) == len(migrations()) >= 1
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


def test_a_newer_store_is_refused_and_untouched(path: Path) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(migrations()) + 1}")
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"written by a newer SLM Atlas.*pip install --upgrade"):
        Store(path)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_and_untouched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(UserError, match="another program"):
        Store(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("table", "record", "own"),
    [
        ("artifact", Artifact, set()),
        ("host", Host, set()),
        ("run", Run, {"id", "attempt"}),
        ("sample", Sample, {"run", "position"}),
    ],
)
def test_columns_are_the_fields_of_the_records(path: Path, table: str, record: type[Struct], own: set[str]) -> None:
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        found = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    assert found - own == {field.name for field in msgspec.structs.fields(record)}


def test_a_store_of_the_first_version_keeps_what_it_holds(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, migrations()[:1])
        connection.execute(
            "INSERT INTO artifact VALUES ('ab', 'A', NULL, 'a.gguf', 0, 'llama', 'F16', 7, 14, '{\"F16\": 14}')"
        )
    with Store(path) as store:
        (found,) = store.artifacts().values()
        assert (found.params, found.size_bytes, found.tensor_bytes) == (7, 14, {"F16": 14})
        assert store.add_artifact(msgspec.structs.replace(found, sha256="cd", params=None, size_bytes=None))
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE artifact SET params = 8")
