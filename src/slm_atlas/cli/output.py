"""What commands print: data to stdout, as a table or as one JSON document, and messages to stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType

    from slm_atlas.stats import Estimate

Decorated = TypeVar("Decorated", bound=Callable[..., object])

MISSING = "–"
"""Stands for a value that is not known. It is not zero."""

PIPE_WIDTH = 1000
"""Columns of a table that goes into a pipe or a file, where cutting a line would lose data."""


def json_option(function: Decorated) -> Decorated:
    """The option `--json`, as the parameter `json`."""
    option = click.option("--json", is_flag=True, help="Print one JSON document instead.")
    return option(function)


def print_json(value: object) -> None:
    """Write a value to stdout as one JSON document.

    Args:
        value: anything msgspec encodes (structs, dicts, lists, numbers, ...), or a path.
    """
    import msgspec

    document = msgspec.json.format(msgspec.json.encode(value, enc_hook=_encode_path), indent=2)
    click.echo(document.decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Collection[str] = ()) -> None:
    """Write a table to stdout; None is shown as a dash.

    Only the last column is broken into lines where the terminal is too narrow; nothing is ever cut.

    Args:
        columns: the headings.
        rows: the cells, a row each, shown with `str`.
        right: headings of the columns aligned to the right (numbers).
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        justify: JustifyMethod = "right" if name in right else "left"
        table.add_column(name, justify=justify, no_wrap=name != columns[-1], overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    _print(table)


def print_fields(title: str, fields: Mapping[str, object]) -> None:
    """Write a heading and its fields, a line each, to stdout; None is shown as a dash."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in fields.items():
        grid.add_row(f"  {name}", _cell(value))
    _print(Text(title, style="bold"), grid, Text())


def with_interval(estimate: Estimate, form: Callable[[float], str]) -> str:
    """An estimate and its interval, where it has one: `0.73 [0.71, 0.75]`.

    Args:
        estimate: the value.
        form: writes a number.
    """
    if estimate.low is None or estimate.high is None:
        return form(estimate.value)
    return f"{form(estimate.value)} [{form(estimate.low)}, {form(estimate.high)}]"


def say(message: str) -> None:
    """Write a message for people to stderr."""
    click.echo(message, err=True)


def _print(*parts: RenderableType) -> None:
    """Render for the terminal or the pipe; what is shown is data, so no markup or emoji in it is interpreted."""
    from rich.console import Console

    console = Console(markup=False, emoji=False, highlight=False)
    room = console.width if sys.stdout.isatty() else PIPE_WIDTH
    with console.capture() as captured:
        for part in parts:
            console.width = PIPE_WIDTH  # so that the least width the part can have is measured, not the terminal's
            console.width = max(room, console.measure(part).minimum)
            console.print(part)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def _cell(value: object) -> str:
    return MISSING if value is None else str(value)


def _encode_path(value: object) -> str:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError(f"no JSON for {type(value).__name__}")
