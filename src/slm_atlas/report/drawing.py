"""Draws charts, each once: most of a report's figures are those of the last one."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import vl_convert

from slm_atlas import home


def svg(spec: dict[str, Any]) -> str:
    """A Vega-Lite specification as SVG, from the folder of pictures where it was drawn before.

    That folder may be deleted at any time, and need not be writable.
    """
    return _svg(json.dumps(spec, separators=(",", ":")), home.pictures_dir())


@lru_cache(maxsize=256)
def _svg(spec: str, folder: Path) -> str:
    name = hashlib.sha256(f"{version('vl-convert-python')} {spec}".encode()).hexdigest()
    path = folder / f"{name}.svg"
    with suppress(OSError, UnicodeDecodeError):
        found = path.read_text(encoding="utf-8")
        if found.endswith("</svg>"):
            return found
    drawn: str = _drawn(spec)
    with suppress(OSError):
        home.replace_file(path, drawn.encode())
    return drawn


@lru_cache(maxsize=256)
def _drawn(spec: str) -> str:
    drawn: str = vl_convert.vegalite_to_svg(spec)
    return drawn
