"""`slm survey`: what models are built and trained like over time, and the survey's own figures made again."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from slm_atlas.catalog import Model, Selection, models, select
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.cli.selection import selection_options
from slm_atlas.survey.composition import NOT_PUBLISHED, Period, Share, Summary, by_period, composition, summary
from slm_atlas.survey.facets import FACETS, MEASURES, Facet, Measure

if TYPE_CHECKING:
    from slm_atlas.survey.cells import Cell

NAMES = {facet.name: facet for facet in FACETS}
NUMBERS = {measure.name: measure for measure in MEASURES}

FIGURES = {"datasets": "fig3"}
"""Facets that a figure of the survey shows."""
FORMS = ("svg", "png", "json")
PERIODS = [period.value for period in Period]

FACET_HELP = f"Only this, with intervals: {', '.join([*NAMES, *NUMBERS])}."

GUESSES = (
    "Explanations rest on what a model is and what its files say, and some on the figure's own counts: those are "
    "readings that fit, not what the survey's authors said."
)


@click.command(epilog="Example: slm survey --facet attention --by year")
@selection_options
@click.option("--facet", type=click.Choice([*NAMES, *NUMBERS]), metavar="NAME", help=FACET_HELP)
@click.option("--by", type=click.Choice(PERIODS), default=PERIODS[0], show_default=True, help="Periods.")
@click.option("--paper", is_flag=True, help="Make Figures 2, 3, 4 and 11 of the survey again, and explain.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead: a line a label and period.")
@click.option("--output", "-o", type=click.Path(path_type=Path, file_okay=False), help="Write figures and data here.")
@click.option("--format", "form", type=click.Choice(FORMS), default=FORMS[0], show_default=True, help="Of figures.")
@json_option
def command(
    *,
    chosen: Selection,
    facet: str | None,
    by: str,
    paper: bool,
    as_csv: bool,
    output: Path | None,
    form: str,
    json: bool,
) -> None:
    """Show how models are built and trained over time.

    Counts of models for each kind of attention, FFN, norm, vocabulary and so on, and medians of their sizes, contexts
    and training tokens. The options choose among the models of the catalogue.

    With --paper: the numbers of the survey's Figures 2a, 2b, 3, 4 and 11, beside the catalogue as the paper counts and
    as it is; what differs, and why.
    """
    found, period = select(chosen), Period(by)
    if output is not None:
        _write(found, facet, period, output, form, paper=paper)
    elif paper:
        _print_paper(as_csv, json)
    elif not found and not (json or as_csv):
        say("No model of the catalogue is like that.")
    elif facet is not None:
        _print_facet(found, facet, period, as_csv, json)
    elif as_csv:
        click.echo(_csv([row for each in FACETS for row in composition(found, each, period)]), nl=False)
    elif json:
        print_json({"models": len(found), **_everything(found, period)})
    else:
        _print_overview(found, period)


def _everything(found: Sequence[Model], period: Period) -> dict[str, object]:
    return {
        "shares": [row for each in FACETS for row in composition(found, each, period)],
        "medians": [row for each in MEASURES for row in summary(found, each, period)],
    }


def _csv(rows: Sequence[msgspec.Struct]) -> str:
    """Rows as CSV with a header; what is missing is an empty field, and a list is its entries with `; ` between."""
    text = io.StringIO()
    lines = [msgspec.structs.asdict(row) for row in rows]
    writer = csv.DictWriter(text, fieldnames=list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({key: "; ".join(value) if isinstance(value, tuple) else value for key, value in line.items()})
    return text.getvalue()


# ---- the overview ---------------------------------------------------------------------------------------------------


def _print_overview(found: Sequence[Model], period: Period) -> None:
    """Counts of every facet with few labels, then medians; a column a period."""
    groups = by_period(found, period)
    lines: list[list[object]] = [["Models", *map(len, groups.values())]]
    for facet in FACETS:
        if not facet.several:
            lines += _counts(composition(found, facet, period), facet, list(groups))
    lines.append(["", *[""] * len(groups)])
    lines.append(["Medians", *[""] * len(groups)])
    lines += [_medians(summary(found, measure, period), measure) for measure in MEASURES]
    print_table(["", *groups], lines, right=list(groups))
    say("One of these with shares and intervals: slm survey --facet NAME. The survey's own figures: slm survey --paper")


def _counts(rows: Sequence[Share], facet: Facet, periods: Sequence[str]) -> list[list[object]]:
    """A line a label that occurs, under the facet's title."""
    counts = {(row.label, row.period): row.count for row in rows}
    labels = [label for label in (*facet.order, NOT_PUBLISHED) if any(counts.get((label, each)) for each in periods)]
    empty: list[object] = ["" for _ in periods]
    lines = [[f"  {label}", *(counts.get((label, each), 0) for each in periods)] for label in labels]
    return [["", *empty], [f"{facet.title} ({facet.name})", *empty], *lines]


def _medians(rows: Sequence[Summary], measure: Measure) -> list[object]:
    return [f"  {measure.title}", *(None if row.median is None else _short(row.median) for row in rows)]


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


# ---- one facet ------------------------------------------------------------------------------------------------------


def _print_facet(found: Sequence[Model], name: str, period: Period, as_csv: bool, json: bool) -> None:
    rows: Sequence[Share] | Sequence[Summary]
    rows = composition(found, NAMES[name], period) if name in NAMES else summary(found, NUMBERS[name], period)
    if json:
        print_json(rows)
    elif as_csv:
        click.echo(_csv(rows), nl=False)
    elif name in NAMES:
        _print_shares([row for row in rows if isinstance(row, Share)], NAMES[name])
    else:
        _print_summaries([row for row in rows if isinstance(row, Summary)], NUMBERS[name])


def _print_shares(rows: Sequence[Share], facet: Facet) -> None:
    lines = [(row.period, row.label, row.count, row.n, _share(row)) for row in rows if row.count]
    columns = ["Period", facet.title, "Models", "of", "Share"]
    print_table(columns, lines, right=columns[2:])
    more = " A model may have several, so that shares add up to more than 100%." if facet.several else ""
    say(f"[low, high] are 95 % intervals (Wilson), of the models for which it is published.{more}")


def _share(row: Share) -> str | None:
    if row.share is None or row.low is None or row.high is None:
        return None
    return f"{row.share:.0%} [{100 * row.low:.0f}, {100 * row.high:.0f}]"


def _print_summaries(rows: Sequence[Summary], measure: Measure) -> None:
    columns = ["Period", "Models", "Not published", measure.title, "Least", "Most"]
    lines = [(row.period, row.n, row.missing, _median(row), *map(_or_none, (row.least, row.most))) for row in rows]
    print_table(columns, lines, right=columns[1:])
    say("Medians; [low, high] are 95 % intervals (order statistics), from three models on.")


def _median(row: Summary) -> str | None:
    if row.median is None:
        return None
    interval = "" if row.low is None or row.high is None else f" [{_short(row.low)}, {_short(row.high)}]"
    return f"{_short(row.median)}{interval}"


def _or_none(value: float | None) -> str | None:
    return None if value is None else _short(value)


# ---- the survey's figures -------------------------------------------------------------------------------------------


def _print_paper(as_csv: bool, json: bool) -> None:
    from slm_atlas.survey.cells import Verdict
    from slm_atlas.survey.reproduction import compare, tally

    cells = compare(models())
    counts = tally(cells)
    if json:
        print_json({"tally": counts, "numbers": cells})
        return
    if as_csv:
        click.echo(_csv(cells), nl=False)
        return
    verdicts = list(Verdict)
    lines = [
        [figure, sum(found.values()), *(found[verdict] for verdict in verdicts)] for figure, found in counts.items()
    ]
    lines.append(["all", *map(sum, zip(*(line[1:] for line in lines), strict=True))])
    print_table(["Figure", "Numbers", *verdicts], lines, right=["Numbers", *verdicts])
    for verdict in (Verdict.EXPLAINED, Verdict.UNEXPLAINED):
        click.echo(f"\n{verdict.capitalize()}: {sum(cell.verdict is verdict for cell in cells)}\n")
        _print_differences([cell for cell in cells if cell.verdict is verdict])
    say(GUESSES)


def _print_differences(cells: Sequence[Cell]) -> None:
    """The numbers that differ, under what is known of them."""
    groups: dict[str, dict[str, object]] = {}
    for cell in cells:
        known = " ".join(cell.reasons[:1] if cell.counted != cell.paper else cell.reasons)
        values = f"{_exact(cell.paper)}; as it counts {_exact(cell.counted)}, as it is {_exact(cell.true)}"
        groups.setdefault(known, {})[f"{cell.figure} {cell.cell}"] = values
    for known, numbers in groups.items():
        print_fields(known, numbers)


def _exact(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


# ---- files ----------------------------------------------------------------------------------------------------------


def _write(found: Sequence[Model], facet: str | None, period: Period, folder: Path, form: str, *, paper: bool) -> None:
    """The figures of the models chosen, or of one facet, each with its data; the survey's numbers beside ours."""
    from slm_atlas.report.figures import Side
    from slm_atlas.report.files import Form, write_figures
    from slm_atlas.report.material import Material
    from slm_atlas.report.registry import FACTS, entry
    from slm_atlas.survey.reproduction import compare

    material = Material(models=found, period=period)
    wanted = FACTS if facet is None else (entry(FIGURES.get(facet, facet)),)
    figures = [figure for each in wanted if (figure := each.find(material, None if paper else Side.MINE))]
    tables = {"reproduction": _csv(compare(models()))} if paper else {}
    written = write_figures(figures, folder, Form(form), tables)
    say(f"{len(written)} files of {len(figures)} figures:")
    click.echo(folder)
