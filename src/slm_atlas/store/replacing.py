"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from slm_atlas.errors import UserError
from slm_atlas.store.faults import make_folder


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its place when it is complete; until then, and after an error, the old one stays.

    Raises:
        UserError: the file cannot be written.
    """
    make_folder(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path} cannot be written: {reason}.", "choose another folder or disk") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
