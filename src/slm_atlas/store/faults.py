"""What SQLite complains of, said as a `UserError` where the user can mend it."""

from __future__ import annotations

import gzip
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from slm_atlas.errors import UserError

GZIP = b"\x1f\x8b"
"""What a packed file begins with."""


class _Complaint(NamedTuple):
    message: str
    fix: str


_CLOSED = _Complaint(
    "{path} cannot be opened for writing.", "choose a folder you may write to, or copy the store into one"
)
ANOTHER_FILE = "another file, or another folder in SLM_ATLAS_HOME"
"""What to try where a file is not a store of ours."""
_COMPLAINTS = {
    sqlite3.SQLITE_NOTADB: _Complaint("{path} is not a SQLite database.", ANOTHER_FILE),
    sqlite3.SQLITE_CORRUPT: _Complaint("{path} is damaged.", "sqlite3 {path} .recover | sqlite3 recovered.db"),
    sqlite3.SQLITE_FULL: _Complaint(
        "No space left to write {path}; what it held before is intact.", "free some space, then run the command again"
    ),
    sqlite3.SQLITE_IOERR: _Complaint(
        "The system failed to read or write {path}; what it held before is intact.",
        "check the disk, its free space and your quota, then run the command again",
    ),
    sqlite3.SQLITE_BUSY: _Complaint(
        "Another program keeps {path} locked.", "end that program, then run the command again"
    ),
    sqlite3.SQLITE_CANTOPEN: _CLOSED,
    sqlite3.SQLITE_PERM: _CLOSED,
    sqlite3.SQLITE_READONLY: _CLOSED,
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what a user can mend into a `UserError`; a bug keeps its own exception.

    Args:
        path: the store's file, for the message.

    Raises:
        UserError: SQLite found no database, a damaged one, no space, no permission, or a lock that stays.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        # The low byte is the kind; errors raised by Python's own module carry no code.
        complaint = _COMPLAINTS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF)
        if complaint is None:
            raise
        raise UserError(complaint.message.format(path=path), complaint.fix.format(path=path)) from error


def make_folder(path: Path) -> None:
    """Makes the folder a file will lie in.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(_CLOSED.message.format(path=path), _CLOSED.fix) from error


def read_bytes(path: Path) -> bytes:
    """What a file holds, unpacked where it is packed (gzip), whatever its name.

    Raises:
        UserError: it cannot be read or unpacked.
    """
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data.startswith(GZIP) else data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} cannot be unpacked: {error}.", "copy it again") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
