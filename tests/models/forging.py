"""A process that forges, and stops at a moment (or has a small disk), for tests of what it leaves behind.

Arguments: the path to forge; then `stop` and the moment to stop at (`header`, `sync`, `rename`, or a number of
tensors written), said with one line; or `limit` and the most bytes a file may have.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anatomy.shapes import llama
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.errors import UserError
from slm_atlas.models import forge as module


def stop() -> None:
    """Say that the moment has come, and wait for the end."""
    sys.stdout.write("now\n")
    sys.stdout.flush()
    time.sleep(60)


def stopping_before(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which stops before it does anything."""

    def wrapped(*given: Any, **named: Any) -> Any:
        stop()
        return function(*given, **named)

    return wrapped


def main(path: str, mode: str, value: str) -> None:
    """Forge."""
    written = 0

    def on_progress(_done: int, _total: int) -> None:
        nonlocal written
        written += 1
        if value == str(written):
            stop()

    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(value), int(value)))
    elif value == "header":
        module._write_tensor = stopping_before(module._write_tensor)
    elif value == "sync":
        os.fsync = stopping_before(os.fsync)
    elif value == "rename":
        Path.replace = stopping_before(Path.replace)  # type: ignore[method-assign]
    try:
        module.forge(module.Order("Tiny", llama(), Quantization.Q4_0), Path(path), on_progress=on_progress)
    except UserError as error:
        sys.stdout.write(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
