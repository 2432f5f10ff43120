"""`slm figure`: the survey's figures, on its data and on one's own, and the others, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slm_atlas import home
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say

if TYPE_CHECKING:
    from slm_atlas.insights.frame import Dataset
    from slm_atlas.report.figures import Figure, Side, Theme
    from slm_atlas.report.material import Material
    from slm_atlas.report.registry import Entry

LIST = "list"
SIDES = ("mine", "paper", "both")
THEMES = ("light", "dark")
LEAST_WIDTH, MOST_WIDTH = 300, 2000


@click.command(epilog="Example: slm figure fig7 --data both -o fig7.svg -o fig7.csv")
@click.argument("name", metavar="ID|list", default=LIST)
@click.option("--data", type=click.Choice(SIDES), help="Whose numbers; default: both, or those that are there.")
@click.option(
    "--output", "-o", "outputs", type=click.Path(path_type=Path, dir_okay=False), multiple=True,
    help="A file, as its ending says: .svg, .png, .csv (the data) or .json (Vega-Lite). May be given several times.",
)  # fmt: skip
@click.option("--theme", type=click.Choice(THEMES), default=THEMES[0], show_default=True, help="Of pictures.")
@click.option("--width", type=click.IntRange(LEAST_WIDTH, MOST_WIDTH), help="Pixels; 360 suits a phone.")
@json_option
def command(
    *, name: str, data: str | None, outputs: tuple[Path, ...], theme: str, width: int | None, json: bool
) -> None:
    """Draw the survey's figures, on its data and yours.

    And those of your own measurements and of the catalogue. `list` says which there are, and whose numbers each can
    show here. `mine` is the catalogue to this day, or what the store holds; `paper` is what the survey's figure says;
    `both` stand side by side. Without --output: what one sees, in words.
    """
    from slm_atlas.report.figures import Side, Theme
    from slm_atlas.report.registry import entry

    if name == LIST:
        if data or outputs:
            raise click.UsageError("Which figure? Name one of `slm figure list`.")
        _print_list(json)
        return
    wanted = entry(name)
    figure = wanted.drawn(stored(), Side(data) if data else None)
    if outputs:
        write_outputs(figure, outputs, theme=Theme(theme), width=width)
    elif json:
        print_json({"id": figure.name, "title": figure.title, "caption": figure.caption, "rows": figure.rows})
    else:
        _print_words(wanted, figure, data)


def stored() -> Material:
    """The store and the catalogue; the store is read only when a figure asks for it."""
    from slm_atlas.cli.rows import measured
    from slm_atlas.insights.claims.evidence import EMPTY
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.material import Material
    from slm_atlas.store import Store

    def read() -> Dataset:
        if not home.store_path().exists():
            return EMPTY
        with Store(home.store_path()) as store:
            return measured(read_dataset(store))

    return Material(read)


def write_outputs(
    figure: Figure, outputs: Sequence[Path], *, theme: Theme | None = None, width: int | None = None
) -> None:
    """Write a figure to files, and say which."""
    from slm_atlas.report.figures import Theme
    from slm_atlas.report.files import Form, write_figure

    for path in outputs:
        Form.of(path)  # so that a wrong ending among several leaves none written
    for path in outputs:
        write_figure(figure, path, theme=theme or Theme.LIGHT, width=width)
        click.echo(path)


def _print_words(wanted: Entry, figure: Figure, data: str | None) -> None:
    about: dict[str, object] = {"shows": wanted.shows, "seen": figure.caption, "rows of data": len(figure.rows)}
    if data is None and wanted.measure and len(wanted.sides) > 1 and not _has_mine(figure):
        about["yours"] = f"not measured: {wanted.measure}"
    print_fields(figure.title, about)
    say(f"As a file: slm figure {wanted.id} -o {wanted.id}.svg")


def _has_mine(figure: Figure) -> bool:
    return any(row.get("source") == "here" for row in figure.rows)


def _print_list(json: bool) -> None:
    from slm_atlas.report.figures import Side
    from slm_atlas.report.registry import ENTRIES

    material = stored()
    found = [(each, each.available(material)) for each in ENTRIES]
    if json:
        print_json([_fields(each, sides) for each, sides in found])
        return
    lines = [
        (each.id, _said(Side.MINE, sides), _said(Side.PAPER, sides), each.title, _lacking(each, sides))
        for each, sides in found
    ]
    print_table(["Figure", "Mine", "Paper", "Title", "To have yours"], lines)
    say("One of them: slm figure fig7 --data mine|paper|both -o fig7.svg")


def _said(side: Side, sides: Sequence[Side]) -> str | None:
    return "yes" if side in sides else None


def _lacking(each: Entry, sides: Sequence[Side]) -> str:
    from slm_atlas.report.figures import Side

    return "" if Side.MINE in sides else each.measure


def _fields(each: Entry, sides: Sequence[Side]) -> dict[str, object]:
    about = {"id": each.id, "title": each.title, "shows": each.shows, "group": each.group, "measure": each.measure}
    return about | {"data": sides}
