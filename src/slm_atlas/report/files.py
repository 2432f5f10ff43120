"""Figures as files: pictures and their data, light and dark, and how a file is replaced at once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
import vl_convert

from slm_atlas import home
from slm_atlas.errors import UserError
from slm_atlas.report.drawing import svg
from slm_atlas.report.figures import Figure, Theme
from slm_atlas.report.pictures import WIDE, fitted

PNG_SCALE = 2.0
"""Pixels a point of the pictures: sharp in print and on dense screens."""


class Form(StrEnum):
    """What a figure is written as; also the ending of its file."""

    SVG = "svg"
    PNG = "png"
    JSON = "json"
    """The Vega-Lite specification."""
    CSV = "csv"
    """The data shown."""

    @classmethod
    def of(cls, path: Path) -> Form:
        """The form that a file's ending asks for.

        Raises:
            UserError: it is none of these.
        """
        ending = path.suffix.lower().lstrip(".")
        if ending not in list(cls):
            known = ", ".join(f".{form}" for form in cls)
            raise UserError(f"{path.name}: a figure is written as {known}.", f"{path.stem}.svg")
        return cls(ending)


def picture(figure: Figure, form: Form, *, theme: Theme = Theme.LIGHT, width: int | None = None) -> bytes:
    """A figure as the content of a file.

    Args:
        figure: what to draw.
        form: as what.
        theme: dark on light, or light on dark.
        width: in pixels, to which panels are arranged; None: as the figure is made.
    """
    if form is Form.CSV:
        return figure.csv().encode()
    if width is not None:
        figure = msgspec.structs.replace(figure, spec=fitted(figure.spec, width))
    spec = figure.exported(theme, width or WIDE)
    if form is Form.JSON:
        return json.dumps(spec, indent=1).encode()
    drawn = svg(spec)
    return drawn.encode() if form is Form.SVG else bytes(vl_convert.svg_to_png(drawn, scale=PNG_SCALE))


def write_figure(figure: Figure, path: Path, *, theme: Theme = Theme.LIGHT, width: int | None = None) -> None:
    """Write a figure as its file's ending says.

    Raises:
        UserError: there is no such form, or the file cannot be written.
    """
    _write_all({path: picture(figure, Form.of(path), theme=theme, width=width)}, path)


def write_figures(figures: Sequence[Figure], folder: Path, form: Form, tables: Mapping[str, str]) -> list[Path]:
    """Write each figure's picture, and its data as CSV beside it.

    Args:
        figures: what to write.
        folder: where to; made if it is missing.
        form: of the pictures.
        tables: CSV to write beside them, by name.

    Raises:
        UserError: the folder cannot be written.
    """
    files = {folder / f"{figure.name}.{form}": picture(figure, form) for figure in figures}
    data = {figure.name: figure.csv() for figure in figures} | dict(tables)
    files |= {folder / f"{name}.csv": text.encode() for name, text in data.items()}
    _write_all(files, folder)
    return list(files)


def _write_all(files: Mapping[Path, bytes], where: Path) -> None:
    try:
        for path, content in files.items():
            write(path, content)
    except OSError as error:
        raise UserError(f"{where} cannot be written: {error.strerror}.", "another folder") from error


def write(path: Path, content: bytes) -> None:
    """Replace a file at once; its folder is made if it is missing."""
    home.replace_file(path, content)
