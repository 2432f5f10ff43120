"""One measurement at a time: two that share a machine would each measure the other, whatever their home folders."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from slm_atlas import home
from slm_atlas.errors import UserError


def lock_path() -> Path:
    """The file that whoever measures holds: one a user, in the system's folder for what need not last.

    Not in the home folder, since there may be several; not `XDG_RUNTIME_DIR`, which a job that was not started from a
    login does not have.
    """
    return Path(tempfile.gettempdir()) / f"slm-atlas-{os.getuid()}.lock"


@contextmanager
def measuring() -> Iterator[None]:
    """Hold the machine for measurements; the system lets go when the process ends, however it ends.

    Raises:
        UserError: another process of this user is measuring, or the file cannot be opened.
    """
    with _opened() as file:
        if not _taken(file):
            pid, folder = _holder(file)
            where = "" if folder in ("", str(home.home())) else f", home {folder}"
            raise UserError(f"Another measurement is running (process {pid}{where}).", f"wait for it, or kill {pid}")
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n{home.home()}\n")
        file.flush()
        yield


def measured_by() -> str | None:
    """The process that is measuring now, and its home folder, as people read it; None if nobody is."""
    try:
        with _opened() as file:
            if _taken(file):
                return None
            pid, folder = _holder(file)
            return f"process {pid}, home {folder}"
    except UserError:
        return None


def _opened() -> IO[str]:
    path = lock_path()
    try:
        # Others may write to the system's folder too: no link is followed to a file of theirs.
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+")
    except OSError as error:
        raise UserError(
            f"Cannot open {path}: {error.strerror}.", "remove it, or set TMPDIR to another folder"
        ) from None


def _taken(file: IO[str]) -> bool:
    """Try to take the lock; whether it is ours now."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: IO[str]) -> tuple[str, str]:
    """The process that holds the lock, and its home folder."""
    file.seek(0)
    lines = [*file.read().splitlines(), "", ""]
    return lines[0] or "unknown", lines[1]
