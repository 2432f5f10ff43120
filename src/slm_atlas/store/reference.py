"""Results that come with the package, measured on machines of the project's own, to stand beside one's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from slm_atlas.errors import UserError

PREFIX = "builtin:"
"""What a name of such results begins with."""
_ENDING = ".jsonl.gz"


def reference_names() -> list[str]:
    """Their names: machine, date and build of the engine."""
    return sorted(path.name.removesuffix(_ENDING) for path in _folder().glob(f"*{_ENDING}"))


def reference_path(name: str) -> Path:
    """The export of one of them.

    Args:
        name: with or without `builtin:`.

    Raises:
        UserError: there is none of this name.
    """
    bare = name.removeprefix(PREFIX)
    if bare not in reference_names():
        known = " or ".join(f"slm results merge {PREFIX}{each}" for each in reference_names())
        raise UserError(f"No results called '{bare}' come with SLM Atlas.", known)
    return _folder() / f"{bare}{_ENDING}"


def _folder() -> Path:
    return Path(str(resources.files("slm_atlas.store") / "reference"))
