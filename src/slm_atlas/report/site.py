"""The report: one self-contained page, and each figure's data and picture beside it.

The page opens from disk with no network: style, scripts and data are inside it, and its content security policy forbids
it to load anything. It depends on the measurements alone, so that the same store gives the same bytes.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from slm_atlas import stats
from slm_atlas.advisor.candidates import candidates, main_machine
from slm_atlas.advisor.recommend import Candidate
from slm_atlas.errors import UserError
from slm_atlas.insights import frame
from slm_atlas.insights.capability import Capability, capability
from slm_atlas.insights.claims import Data, Evidence, Finding, Verdict, all_claims, findings
from slm_atlas.insights.frame import Dataset
from slm_atlas.insights.profiles import Profile, profiles
from slm_atlas.report import model_table, overview, tables
from slm_atlas.report.contexts import context_figure, context_table
from slm_atlas.report.entities import listings
from slm_atlas.report.figures import Figure, figures
from slm_atlas.report.files import PNG_SCALE, write
from slm_atlas.report.learning_figure import learning_figure
from slm_atlas.report.models import RUN_COLUMNS, entries
from slm_atlas.report.paper_costs import paper_figure
from slm_atlas.report.paper_quantization import quantization_figure
from slm_atlas.report.pictures import pictures
from slm_atlas.report.score_tables import score_tables
from slm_atlas.report.sustained_figure import sustained_figure
from slm_atlas.report.time_figures import profile_figures


def write_report(dataset: Dataset, folder: Path, *, title: str = "SLM Atlas report") -> Path:
    """Write the report into a folder: `index.html`, and `figures/<name>.csv`, `.svg` and `.png`.

    Each file is replaced at once and the page last, so that a reader never meets half a report.

    Args:
        dataset: what was measured.
        folder: where to; made if it is missing. Other files in it are left alone.
        title: heads the page.

    Returns:
        The path of the page.

    Raises:
        UserError: the folder cannot be written.
    """
    rows, times = frame.rows(dataset), profiles(dataset)
    able = capability(dataset)
    single = (paper_figure(rows), quantization_figure(rows), context_figure(rows), sustained_figure(rows))
    drawn = [*figures(rows), *filter(None, [learning_figure(able.learning), *single]), *profile_figures(times)]
    page = _render(dataset, rows, times, able, drawn, title)
    try:
        for figure in drawn:
            picture = vl_convert.vegalite_to_svg(figure.exported())
            write(folder / "figures" / f"{figure.name}.csv", figure.csv().encode())
            write(folder / "figures" / f"{figure.name}.svg", picture.encode())
            write(folder / "figures" / f"{figure.name}.png", vl_convert.svg_to_png(picture, scale=PNG_SCALE))
        write(folder / "index.html", page.encode())
    except OSError as error:
        raise UserError(f"The report cannot be written to {folder}: {error.strerror}.", "another folder") from error
    return folder / "index.html"


def write_site(dataset: Dataset, folder: Path, *, title: str = "SLM Atlas report") -> Path:
    """Write a folder for static hosting: the report, what its chooser chooses among, and a mark that no host builds it.

    Args and raises as `write_report`.

    Returns:
        The path of the page.
    """
    page = write_report(dataset, folder, title=title)
    write(folder / "data" / "candidates.json", msgspec.json.encode(candidates(frame.rows(dataset))))
    write(folder / ".nojekyll", b"")  # GitHub Pages then serves the files as they are
    return page


def _render(
    dataset: Dataset, rows: list[frame.Row], times: list[Profile], able: Capability, drawn: list[Figure], title: str
) -> str:
    found, choosable = _findings(dataset, rows), candidates(rows)
    return (
        _templates()
        .get_template("index.html")
        .render(
            title=title,
            places=_places(dataset, drawn),
            facts=overview.summary(dataset, rows, found),
            headlines=overview.headlines(rows),
            more_tables=[
                table for table in (*score_tables(able), context_table(rows), tables.time_table(times)) if table.lines
            ],
            findings=found,
            silent=[finding for finding in found if finding.lacking is not None],
            **_models(dataset, rows, choosable),
            figures=drawn,
            pictures={figure.name: pictures(figure) for figure in drawn},
            entities=listings(),
            failed=tables.failed_runs(dataset),
            machines=tables.machines(dataset),
            origins=tables.origins(dataset),
            smoke=any(not score.comparable for row in rows for score in row.scores.values()),
            level=f"{stats.LEVEL:.0%}",
            interval=tables.interval,
            two_digits="{:.2f}".format,
        )
    )


@cache
def _templates() -> Environment:
    loader = PackageLoader("slm_atlas.report", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters["data_uri"] = _data_uri
    return pages


def _findings(dataset: Dataset, rows: list[frame.Row]) -> list[Finding]:
    """The claims on these measurements; those that they do not speak to stand last."""
    found = findings(all_claims(), Evidence(dataset=dataset, rows=rows), Data.MINE)
    return sorted(found, key=lambda finding: finding.verdict is Verdict.NO_DATA)


def _models(dataset: Dataset, rows: list[frame.Row], choosable: list[Candidate]) -> dict[str, Any]:
    """What the table, the chooser and the parts for each model are made of."""
    lines = model_table.lines(choosable, rows)
    used = dict.fromkeys(found.machine for found in choosable if found.machine)
    filters = (("licence", "Licence"), ("year", "Released in"), ("data", "Training data"))
    values = {key: sorted({line.facts[key] for line in lines} - {""}) for key, _ in filters}
    return {
        "candidates": msgspec.to_builtins(choosable),
        "machine": main_machine(choosable),
        "hosts": {id_: f"{dataset.hosts[id_].cpu}, {dataset.hosts[id_].cores} cores ({id_[:6]})" for id_ in used},
        "columns": model_table.COLUMNS,
        "lines": lines,
        "choices": [(key, label, values[key]) for key, label in filters],
        "entries": entries(dataset, rows, choosable),
        "run_columns": RUN_COLUMNS,
    }


def _places(dataset: Dataset, drawn: list[Figure]) -> list[tuple[str, str]]:
    """The parts of the page that its head leads to."""
    found = [("choose", "Choose"), ("models", "Models"), *((figure.name, "Figures") for figure in drawn[:1])]
    found += [("claims", "Claims"), ("data", "Data sets")]
    return [*found, *([("provenance", "Provenance")] if dataset.runs else []), ("method", "Method")]


def _data_uri(text: str, kind: str) -> str:
    """A text as an address that holds it."""
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
