"""A process that requantizes, with a small disk or until it is killed, for tests of what it leaves behind.

Arguments: the source; the file to write; the engine; the most bytes a file may have (0: any number). It says `now` once
the file grows, and in the end what went wrong.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.errors import UserError
from slm_atlas.models import requantize as module


def main(source: str, target: str, engine: str, limit: str) -> None:
    """Requantize."""
    told: list[int] = []

    def on_progress(done: int, _total: int) -> None:
        if done and not told:
            sys.stdout.write("now\n")
            sys.stdout.flush()
            told.append(done)

    if int(limit):
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    module.POLL_S = 0.02
    try:
        module.requantize(Path(source), Quantization.Q8_0, Path(target), engine=engine, on_progress=on_progress)
    except UserError as error:
        sys.stdout.write(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
