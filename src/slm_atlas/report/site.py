"""The report: one self-contained page, and each figure's data and picture beside it.

The page opens from disk with no network: style, scripts and data are inside it, and its content security policy forbids
it to load anything. It depends on the measurements alone, so that the same store gives the same bytes.
"""

from __future__ import annotations

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
from slm_atlas.insights.claims import Data, Evidence, Finding, Verdict, all_claims, findings
from slm_atlas.insights.frame import Dataset
from slm_atlas.report import model_table, overview, tables
from slm_atlas.report.contexts import context_table
from slm_atlas.report.entities import listings
from slm_atlas.report.figures import Figure
from slm_atlas.report.files import PNG_SCALE, Form, picture, write
from slm_atlas.report.material import Material
from slm_atlas.report.models import RUN_COLUMNS, entries
from slm_atlas.report.pictures import packed
from slm_atlas.report.registry import Group, all_of
from slm_atlas.report.score_tables import score_tables


def write_report(dataset: Dataset, folder: Path, *, title: str = "SLM Atlas report") -> Path:
    """Write the report into a folder: `index.html`, and `figures/<name>.csv`, `.svg` and `.png` (of one's own).

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
    material = Material(lambda: dataset)
    drawn, survey = all_of(Group.STORE, material), all_of(Group.SURVEY, material)
    page = _render(material, drawn, survey, title)
    try:
        for figure in (*drawn, *survey):
            write(folder / "figures" / f"{figure.name}.csv", figure.csv().encode())
        for figure in drawn:  # of the survey's, `slm figure` writes pictures: they take seconds
            svg = picture(figure, Form.SVG)
            write(folder / "figures" / f"{figure.name}.svg", svg)
            write(folder / "figures" / f"{figure.name}.png", vl_convert.svg_to_png(svg.decode(), scale=PNG_SCALE))
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


def _render(material: Material, drawn: list[Figure], survey: list[Figure], title: str) -> str:
    dataset, rows = material.dataset, material.rows
    loader = PackageLoader("slm_atlas.report", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    found, choosable = _findings(dataset, rows), candidates(rows)
    return pages.get_template("index.html").render(
        title=title,
        places=_places(dataset, drawn),
        facts=overview.summary(dataset, rows, found),
        headlines=overview.headlines(rows),
        more_tables=_more_tables(material),
        findings=found,
        silent=[finding for finding in found if finding.lacking is not None],
        **_models(dataset, rows, choosable),
        figures=drawn,
        survey=survey,
        packed={figure.name: packed(figure) for figure in (*drawn, *survey)},
        entities=listings(),
        failed=tables.failed_runs(dataset),
        machines=tables.machines(dataset),
        origins=tables.origins(dataset),
        smoke=any(not score.comparable for row in rows for score in row.scores.values()),
        level=f"{stats.LEVEL:.0%}",
        interval=tables.interval,
        two_digits="{:.2f}".format,
    )


def _more_tables(material: Material) -> list[tables.Table]:
    found = (*score_tables(material.able), context_table(material.rows), tables.time_table(material.profiles))
    return [table for table in found if table.lines]


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
    found.append(("survey", "The survey’s figures"))
    found += [("claims", "Claims"), ("data", "Data sets")]
    return [*found, *([("provenance", "Provenance")] if dataset.runs else []), ("method", "Method")]
