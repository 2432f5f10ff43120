"""The store: one SQLite file of append-only facts, which several processes may write at once.

What is committed survives. A commit reaches the disk before `record` returns (WAL with `synchronous=FULL`), so that
neither kill -9 nor a power cut takes back a finished run; at most the run in flight is lost. The price is one flush a
run, some milliseconds against the seconds that a run takes. WAL needs shared memory: keep the file on a local disk.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store.faults import explained, make_folder
from slm_atlas.store.migrations import is_current, migrate
from slm_atlas.store.records import Answer, Artifact, Host, Run, RunKind, Sample, Struct
from slm_atlas.store.rows import columns, from_row, to_row

BUSY_TIMEOUT_S = 60.0
"""How long to wait for another process's transaction before giving up."""


class Attempt(NamedTuple):
    """One recorded run, with all it measured."""

    run: Run
    """The run."""
    samples: list[Sample]
    """Its samples, as recorded."""


class _Where(NamedTuple):
    """A filter of a query."""

    sql: str
    parameters: tuple[Any, ...]


class Store:
    """Files, machines, runs and samples; add and read, never change.

    A key may have been recorded more than once: a failed run is tried again, or two processes raced. Everything is
    kept, and readers see the *best* attempt: one that ended well before one that did not, one that nothing disturbed
    before one that was, a later before an earlier.
    A store belongs to the thread that opened it; another thread or process opens its own.

    Args:
        path: the file; it and its folder are made where missing.
        reading: nothing will be added, so that a store on a read-only or full disk is opened too.

    Raises:
        UserError: the file cannot be opened, is not a store, or is of a newer version. Every method raises it when
            the disk is full or fails, or when the file turns out to be damaged; the store is then as it was before.
    """

    def __init__(self, path: Path, *, reading: bool = False) -> None:
        self.path = path
        self._begin = "BEGIN IMMEDIATE"
        try:
            make_folder(path)
            with explained(path):
                self._connection = _connect(path)
        except UserError:
            with explained(path):
                found = _as_it_lies(path) if reading else None
            if found is None:
                raise
            self._connection, self._begin = found, "BEGIN"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file; closing twice does no harm."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes one step of all inside: it is stored whole or, after an exception, not at all.

        Other processes wait with their writing until it ends, so what is read inside is of one moment.
        """
        if self._connection.in_transaction:
            yield
            return
        with explained(self.path):
            self._connection.execute(self._begin)
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors, a full disk among them.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def add_artifact(self, artifact: Artifact) -> bool:
        """Adds a model file; False (and nothing changes) if a file of this content is known."""
        return self._add("artifact", artifact)

    def add_host(self, host: Host) -> bool:
        """Adds a machine; False (and nothing changes) if it is known."""
        return self._add("host", host)

    def record(self, run: Run, samples: Sequence[Sample]) -> bool:
        """Adds a run and its samples, in one step; its file and machine must have been added.

        A key that is known gets another attempt. The very same attempt (equal run, equal samples) is known already:
        False, and nothing changes; so a merge may be repeated.

        Raises:
            ValueError: a number in it is NaN or infinite.
            sqlite3.IntegrityError: its artifact or host is unknown.
        """
        rows = [to_row(sample) for sample in samples]
        with self.transaction():
            if Attempt(run, list(samples)) in self.attempts(run.key):
                return False
            run_id = self._insert_run(run)
            self._connection.executemany(
                f"INSERT INTO sample (run, position, {columns(Sample)}) VALUES ({_marks(Sample, 2)})",
                ((run_id, position, *row) for position, row in enumerate(rows)),
            )
        return True

    def add_answers(self, answers: Iterable[Answer]) -> None:
        """Adds answers of an evaluation in one step; those that are known already are not added again.

        Raises:
            ValueError: a number in them is NaN or infinite.
            sqlite3.IntegrityError: their artifact or host is unknown.
        """
        rows = [to_row(answer) for answer in answers]
        sql = f"INSERT INTO answer ({columns(Answer)}) VALUES ({_marks(Answer)}) ON CONFLICT DO NOTHING"
        with self.transaction():
            self._connection.executemany(sql, rows)

    def answers(self, keys: Collection[str]) -> dict[str, Answer]:
        """The answers known, by their key."""
        where = _where(keys)
        rows = self._select(f"SELECT {columns(Answer)} FROM answer {where.sql}", where.parameters)
        return {answer.key: answer for answer in (from_row(Answer, row) for row in rows)}

    def outcome(self, key: str) -> Outcome | None:
        """How the best attempt of a key ended; None if it was never tried."""
        rows = self._select("SELECT outcome FROM best WHERE key = ?", (key,))
        return Outcome(rows[0][0]) if rows else None

    def runs(
        self,
        *,
        kind: RunKind | None = None,
        outcome: Outcome | None = None,
        artifact: str | None = None,
        keys: Collection[str] | None = None,
    ) -> list[Run]:
        """The best attempt of each key, in order of recording.

        Args:
            kind: only runs of this kind.
            outcome: only keys whose best attempt ended like this.
            artifact: only runs of the file with this sha256.
            keys: only these keys.
        """
        where = _where(keys, kind=kind, outcome=outcome, artifact=artifact)
        rows = self._select(f"SELECT {columns(Run)} FROM best {where.sql} ORDER BY id", where.parameters)
        return [from_row(Run, row) for row in rows]

    def samples(self, key: str) -> list[Sample]:
        """The samples of a key's best attempt, as recorded; none if it was never tried."""
        return self.samples_of([key])[key]

    def samples_of(self, keys: Iterable[str]) -> dict[str, list[Sample]]:
        """The samples of the best attempts of many keys, read at once; an empty list for a key without any."""
        found: dict[str, list[Sample]] = {key: [] for key in keys}
        return found | self._samples_by("best.key", "best", _where(found))

    def attempts(self, key: str | None = None) -> list[Attempt]:
        """Every attempt with its samples, in order of recording: of one key, or of all."""
        where = _where(key=key)
        rows = self._select(f"SELECT id, {columns(Run)} FROM run {where.sql} ORDER BY id", where.parameters)
        if not rows:
            return []
        samples = self._samples_by("run.id", "run", where)
        return [Attempt(from_row(Run, row), samples.get(run_id, [])) for run_id, *row in rows]

    def artifacts(self) -> dict[str, Artifact]:
        """The model files by their sha256, in order of recording."""
        rows = self._select(f"SELECT {columns(Artifact)} FROM artifact ORDER BY rowid")
        return {artifact.sha256: artifact for artifact in (from_row(Artifact, row) for row in rows)}

    def hosts(self) -> dict[str, Host]:
        """The machines by their id, in order of recording."""
        rows = self._select(f"SELECT {columns(Host)} FROM host ORDER BY rowid")
        return {host.id: host for host in (from_row(Host, row) for row in rows)}

    def _select(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with explained(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def _samples_by(self, group: str, source: str, where: _Where) -> dict[Any, list[Sample]]:
        """The samples of the runs of a table or view, by one of its columns."""
        rows = self._select(
            f"SELECT {group}, {columns(Sample)} FROM {source} JOIN sample ON sample.run = {source}.id {where.sql}"
            " ORDER BY sample.run, position",
            where.parameters,
        )
        found: dict[Any, list[Sample]] = {}
        for name, *row in rows:
            found.setdefault(name, []).append(from_row(Sample, row))
        return found

    def _add(self, table: str, record: Struct) -> bool:
        kind = type(record)
        sql = f"INSERT INTO {table} ({columns(kind)}) VALUES ({_marks(kind)}) ON CONFLICT DO NOTHING"
        with self.transaction():
            return self._connection.execute(sql, to_row(record)).rowcount == 1

    def _insert_run(self, run: Run) -> int | None:
        """Adds a run as the next attempt of its key; nobody else writes meanwhile."""
        attempt = "(SELECT count(*) + 1 FROM run WHERE key = ?)"
        sql = f"INSERT INTO run (attempt, {columns(Run)}) VALUES ({attempt}, {_marks(Run)})"
        return self._connection.execute(sql, (run.key, *to_row(run))).lastrowid


def _connect(path: Path) -> sqlite3.Connection:
    """Opens the file, brings it to the current schema and sets what holds for this connection."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        # First, since it refuses files that are not ours to change.
        migrate(connection, path)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def read_only(path: Path, *, unchanging: bool) -> sqlite3.Connection:
    """Opens a file for reading.

    Args:
        path: the file.
        unchanging: nobody writes it meanwhile. Only so does SQLite leave nothing beside it, which a read-only folder
            would not take.
    """
    mode = "mode=ro&immutable=1" if unchanging else "mode=ro"
    return sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True, isolation_level=None)


def log_of(path: Path) -> Path:
    """The write-ahead log of a store; there is one while a process has it open, or died while it had."""
    return path.with_name(f"{path.name}-wal")


def _as_it_lies(path: Path) -> sqlite3.Connection | None:
    """A store that cannot be written, for reading; None where it would have to be written first."""
    log = log_of(path)
    if not path.is_file() or (log.exists() and log.stat().st_size):
        return None
    connection = read_only(path, unchanging=True)
    try:
        if is_current(connection, path):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switches the file to a write-ahead log, where it is not yet.

    SQLite refuses at once, whatever its timeout, if another process opens a new store at the same moment.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _marks(kind: type[Struct], more: int = 0) -> str:
    """The placeholders for a record's columns, and some more before them."""
    return ", ".join("?" * (more + len(kind.__struct_fields__)))


def _where(keys: Collection[str] | None = None, **equal: str | None) -> _Where:
    """The filter for columns that must equal a value, where one is given."""
    given = {column: value for column, value in equal.items() if value is not None}
    terms, parameters = [f"{column} = ?" for column in given], list(given.values())
    if keys is not None:
        # One parameter for all keys: SQLite limits how many a query may have.
        terms.append("key IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(list(keys)))
    return _Where(f"WHERE {' AND '.join(terms)}" if terms else "", tuple(parameters))
