"""Where SLM Atlas keeps what it downloads, forges, measures and writes."""

from __future__ import annotations

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "SLM_ATLAS_HOME"
"""Names another folder than the user's data folder."""
DATA_VARIABLE = "SLM_ATLAS_DATA"
"""Names a folder of rows for evaluations, in place of the Hub."""


def home() -> Path:
    """The folder that holds everything: `$SLM_ATLAS_HOME`, else the system's folder for a user's data.

    Nothing is created: whoever writes makes the folder.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path

    return user_data_path("slm-atlas", appauthor=False)


def data_dir(asked: str | None = None) -> Path | None:
    """The folder of rows for evaluations: the one asked for, else `$SLM_ATLAS_DATA`; None: the Hub."""
    chosen = asked or os.environ.get(DATA_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else None


def store_path() -> Path:
    """The database of measurements."""
    return home() / "atlas.sqlite"


def models_dir() -> Path:
    """The folder of model files, downloaded and forged."""
    return home() / "models"


def reports_dir() -> Path:
    """The folder of reports."""
    return home() / "reports"


def traces_dir() -> Path:
    """The folder of traces, one a profile."""
    return home() / "traces"


def pictures_dir() -> Path:
    """The folder of pictures drawn before, by what they were drawn from; safe to delete."""
    return home() / "cache" / "pictures"


def kernels_dir() -> Path:
    """The folder of what PyTorch compiled before; safe to delete."""
    return home() / "cache" / "kernels"


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file at once, so that nobody ever reads half of it; its folder is made if it is missing.

    Raises:
        OSError: it cannot be written; the old one stays, and nothing else is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
