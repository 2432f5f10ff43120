"""A file that is being written: hidden beside its place until it is whole, and removed once its writer is gone."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SUFFIX = ".gguf.part"
"""What the name of an unfinished file ends with; it begins with a dot."""


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A hidden file beside `path` to write in; it is removed afterwards, unless it was renamed.

    A writer that is killed leaves its file, which never looks whole; the next one in the folder removes it. The file is
    locked while its writer lives: the system lets go when that ends, however it ends.

    Raises:
        OSError: the folder cannot be made or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path.parent)
    handle, part = _create(path)
    try:
        yield part
    finally:
        os.close(handle)
        part.unlink(missing_ok=True)


def finish(part: Path, path: Path) -> None:
    """Give a file that is whole its name, once the disk holds it: it is whole after a power cut too.

    Raises:
        OSError: the disk did not take it.
    """
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _create(path: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=SUFFIX, dir=path.parent)
        with suppress(OSError):  # a file system without locks: what is left there stays
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        # Before it was locked, another process took it for one that was left.
        os.close(handle)


def _remove_left(folder: Path) -> None:
    for part in folder.glob(f".*{SUFFIX}"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()
