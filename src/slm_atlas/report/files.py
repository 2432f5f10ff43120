"""Figures as files: pictures in three forms, their data, and how a file is replaced at once."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from slm_atlas import home

if TYPE_CHECKING:
    from slm_atlas.report.figures import Figure

PNG_SCALE = 2.0
"""Pixels a point of the pictures: sharp in print and on dense screens."""


class Form(StrEnum):
    """What a picture is written as; also the ending of its file."""

    SVG = "svg"
    PNG = "png"
    JSON = "json"
    """The Vega-Lite specification."""


def picture(figure: Figure, form: Form) -> bytes:
    """A figure in black on white."""
    import vl_convert

    if form is Form.JSON:
        return json.dumps(figure.exported(), indent=1).encode()
    svg: str = vl_convert.vegalite_to_svg(figure.exported())
    return svg.encode() if form is Form.SVG else bytes(vl_convert.svg_to_png(svg, scale=PNG_SCALE))


def write(path: Path, content: bytes) -> None:
    """Replace a file at once; its folder is made if it is missing."""
    home.replace_file(path, content)
