"""Brings a store to the current schema, one numbered section of `schema.sql` after the other.

`schema.sql` is the only place where the schema is written down, and its sections are the migrations: section N takes a
store from version N - 1 to N, and a new store runs them all. SQLite's own `user_version` holds the number reached.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from slm_atlas.errors import UserError
from slm_atlas.store.faults import ANOTHER_FILE

APPLICATION_ID = 0x534C4D41
"""What `PRAGMA application_id` gives for a store ("SLMA"); the first section of `schema.sql` sets it."""

_SECTION = re.compile(r"^-- migration (\d+): .+$", re.MULTILINE)
_STATE = """
    SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
    FROM pragma_application_id, pragma_user_version
"""


class _State(NamedTuple):
    """What a SQLite file says of itself."""

    application_id: int
    """Whose file it is; 0 where nobody said."""
    version: int
    """The last migration it went through."""
    objects: int
    """Tables, indices, views and triggers in it; 0 for a new file."""


@cache
def migrations() -> tuple[str, ...]:
    """The sections of `schema.sql`, in order; the length is the current version."""
    return split_sections(Path(__file__).with_name("schema.sql").read_text("utf-8"))


def split_sections(script: str) -> tuple[str, ...]:
    r"""The numbered sections of a script.

    >>> split_sections("-- about\n-- migration 1: a\nX;\n-- migration 2: b\nY;\n")
    ('\nX;\n', '\nY;\n')

    Raises:
        ValueError: the sections are not numbered 1, 2, 3, ...
    """
    _, *parts = _SECTION.split(script)
    numbers = [int(number) for number in parts[::2]]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"migrations are numbered {numbers}, not 1, 2, 3, ...")
    return tuple(parts[1::2])


def migrate(connection: sqlite3.Connection, path: Path, sections: Sequence[str] | None = None) -> None:
    """Applies what a store still lacks, in one transaction; a store that is up to date is not written to.

    Args:
        connection: the store, in autocommit mode (`isolation_level=None`).
        path: the store's file, for messages.
        sections: the migrations; those of `schema.sql` unless told.

    Raises:
        UserError: the file is another program's, or was written by a newer version of SLM Atlas.
    """
    sections = migrations() if sections is None else sections
    if _checked(connection, path, len(sections)) == len(sections):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Read again under the lock: another process may have migrated it meanwhile.
        for section in sections[_checked(connection, path, len(sections)) :]:
            for statement in _statements(section):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(sections)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether a store is of this version's schema; False for an older one.

    Raises:
        UserError: the file is another program's, or was written by a newer version of SLM Atlas.
    """
    return _checked(connection, path, len(migrations())) == len(migrations())


def _checked(connection: sqlite3.Connection, path: Path, known: int) -> int:
    """The version of the store, if it is one and we know it."""
    # One statement, so that all of it is from one moment.
    state = _State(*connection.execute(_STATE).fetchone())
    if state.objects and state.application_id != APPLICATION_ID:
        raise UserError(f"{path} is a SQLite database of another program.", ANOTHER_FILE)
    if state.version > known:
        raise UserError(
            f"{path} was written by a newer SLM Atlas (its schema is {state.version}, this version knows {known}).",
            "pip install --upgrade slm-atlas",
        )
    return state.version


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, each of which ends a line; `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if not _is_comment(statement):
        raise ValueError(f"an unfinished statement: {statement.strip()}")


def _is_comment(text: str) -> bool:
    return all(line.startswith("--") or not line for line in map(str.strip, text.splitlines()))
