"""One measurement at a time: two that share a machine would each measure the other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from slm_atlas import home
from slm_atlas.errors import UserError


@contextmanager
def measuring() -> Iterator[None]:
    """Hold the machine for measurements; the system lets go when the process ends, however it ends.

    Raises:
        UserError: another process of this home folder is measuring.
    """
    path = home.home() / "measuring.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            pid = file.read().strip() or "unknown"
            raise UserError(f"Another measurement is running (process {pid}).", f"wait for it, or kill {pid}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
