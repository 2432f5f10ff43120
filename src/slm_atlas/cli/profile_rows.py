"""What `slm profile` shows: tables by part and by operator, one row a line for CSV, and the data of its figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import msgspec

from slm_atlas.bench.operators import Breakdown, Line
from slm_atlas.cli.output import print_table, say
from slm_atlas.errors import UserError
from slm_atlas.report.files import Form
from slm_atlas.stats import Estimate

_COLUMNS = ("", "Prefill", "ms", "GFLOP/s", "GB/s", "Decode", "ms", "GFLOP/s", "GB/s")
_GROUPS = {"part": "parts", "operator": "operators", "node": "nodes"}


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a model."""

    model: str
    """Its name."""
    quantization: str
    """The label of its file."""
    prefill: Breakdown
    """A pass is the prompt."""
    decode: Breakdown
    """A pass is a token."""


class Shown(NamedTuple):
    """How it is to be shown."""

    tokens: int
    """Tokens of the prompt."""
    depth: int
    """Tokens in the cache before decode."""
    generated: int
    """Tokens decoded."""


def print_found(found: Sequence[Found], shown: Shown) -> None:
    """A table by part and one by operator for each model, and what holds of all."""
    for each in found:
        for group, heading in (("parts", "Part"), ("operators", "Operator")):
            lines = _both(each, group)
            title = f"{each.model} {each.quantization}"
            click.echo(f"{title}: prefill of {shown.tokens} tokens, decode of a token at depth {shown.depth}")
            print_table([heading, *_COLUMNS[1:]], [*lines, _total(each)], right=_COLUMNS[1:])
            click.echo()
        _say_cost(each)
    say(
        "Shares are of the time of the graph's nodes, ms those shares of the plain total; [low, high] are 95 % "
        "intervals over processes. FLOP/s count matrix products only; in brackets, percent of the fastest numpy was "
        "seen to multiply (32-bit floats) and read here: kernels of small integers, or data in a cache, may exceed it."
    )


def _both(found: Found, group: str) -> list[list[object]]:
    """A line a label, prefill and decode side by side."""
    prefill, decode = ({line.label: line for line in getattr(each, group)} for each in (found.prefill, found.decode))
    labels = list(dict.fromkeys([*prefill, *decode]))
    return [[label, *_cells(prefill.get(label)), *_cells(decode.get(label))] for label in labels]


def _cells(line: Line | None) -> list[object]:
    if line is None:
        return [None] * 4
    rates = ((line.flops_per_s, line.of_flops), (line.bytes_per_s, line.of_bandwidth))
    return [_share(line.share), f"{1e3 * line.seconds:.3g}", *(_rate(rate, of) for rate, of in rates)]


def _share(share: Estimate) -> str:
    interval = "" if share.low is None or share.high is None else f" [{100 * share.low:.1f}, {100 * share.high:.1f}]"
    return f"{100 * share.value:.1f}%{interval}"


def _rate(per_s: float | None, share: float | None) -> str | None:
    if per_s is None:
        return None
    return f"{per_s / 1e9:.3g}" + ("" if share is None else f" ({share:.0%})")


def _total(found: Found) -> list[object]:
    cells: list[object] = ["all"]
    for phase in (found.prefill, found.decode):
        low, high = phase.plain_s.low, phase.plain_s.high
        interval = "" if low is None or high is None else f" [{1e3 * low:.3g}, {1e3 * high:.3g}]"
        cells += ["100%", f"{1e3 * phase.plain_s.value:.3g}{interval}", None, None]
    return cells


def _say_cost(found: Found) -> None:
    """What timing every node did to the time."""
    prefill, decode = found.prefill, found.decode
    say(
        f"{found.model}: with every node timed, prefill took {prefill.overhead.value:.2f} times and decode "
        f"{decode.overhead.value:.2f} times as long as without (median of n = {prefill.overhead.n}); "
        f"{1e6 * decode.empty_s:.2g} µs, what it takes to time a node, are taken off each."
    )


# ---- data -----------------------------------------------------------------------------------------------------------


def flat(found: Sequence[Found]) -> list[dict[str, Any]]:
    """A row a line: by part, by operator and by node."""
    return [
        {
            "model": each.model,
            "quantization": each.quantization,
            "phase": phase,
            "by": by,
            **_flat_line(line),
            "plain_s": breakdown.plain_s.value,
            "overhead": breakdown.overhead.value,
        }
        for each in found
        for phase, breakdown in (("prefill", each.prefill), ("decode", each.decode))
        for by, group in _GROUPS.items()
        for line in getattr(breakdown, group)
    ]


def _flat_line(line: Line) -> dict[str, Any]:
    values = msgspec.structs.asdict(line)
    share: Estimate = values.pop("share")
    ends = {"share": share.value, "low": share.low, "high": share.high, "n": share.n}
    return {"label": values.pop("label"), **ends, **values}


def as_csv(found: Sequence[Found]) -> str:
    """The rows as CSV with a header; what is missing is an empty field."""
    text = io.StringIO()
    rows = flat(found)
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


# ---- pictures -------------------------------------------------------------------------------------------------------


def form_of(path: Path) -> Form:
    """The form of a picture, by its file's ending.

    Raises:
        UserError: it cannot be written in that form.
    """
    ending = path.suffix.removeprefix(".").lower()
    if ending not in list(Form):
        raise UserError(f"A picture cannot be written as {path.name}.", f"{path.stem}.svg")
    return Form(ending)


def write_plot(found: Sequence[Found], path: Path, *, paper: bool) -> None:
    """The figure by part, as a picture.

    Raises:
        UserError: the file cannot be written.
    """
    from slm_atlas.report.files import picture, write
    from slm_atlas.report.time_figures import part_figure

    figure = part_figure(_figure_rows(found, "part", paper=paper), _CAPTION)
    try:
        write(path, picture(figure, form_of(path)))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "another folder") from error


def write_folder(found: Sequence[Found], folder: Path, *, paper: bool) -> list[Path]:
    """Both figures with their data, and all rows as CSV.

    Raises:
        UserError: the folder cannot be written.
    """
    from slm_atlas.report.survey_figures import write_figures
    from slm_atlas.report.time_figures import operator_figure, part_figure

    figures = [
        part_figure(_figure_rows(found, "part", paper=paper), _CAPTION),
        operator_figure(_figure_rows(found, "operator", paper=False), _CAPTION),
    ]
    return write_figures(figures, folder, Form.SVG, {"profile": as_csv(found)})


_CAPTION = "Medians over processes of the shares of the compute graph's nodes, each timed by itself."


def _figure_rows(found: Sequence[Found], by: str, *, paper: bool) -> list[dict[str, Any]]:
    from slm_atlas.report.time_figures import MEASURED, paper_rows

    rows = [
        {"model": _title(row, found), "source": MEASURED}
        | {key: row[key] for key in ("phase", "label", "share", "low", "high", "n")}
        for row in flat(found)
        if row["by"] == by
    ]
    return rows + (paper_rows([row["model"] for row in rows]) if paper else [])


def _title(row: dict[str, Any], found: Sequence[Found]) -> str:
    """The model's name, with its label where the same model is shown twice."""
    same = [each for each in found if each.model == row["model"]]
    return row["model"] if len(same) == 1 else f"{row['model']} {row['quantization']}"
