"""The report: one self-contained page, and each figure's data and picture beside it.

The page opens from disk with no network: style, scripts and data are inside it, and its content security policy forbids
it to load anything. It depends on the measurements alone, so that the same store gives the same bytes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from slm_atlas import stats
from slm_atlas.advisor.candidates import candidates, main_machine
from slm_atlas.advisor.recommend import Candidate
from slm_atlas.errors import UserError
from slm_atlas.insights import frame
from slm_atlas.insights.claims import Evidence
from slm_atlas.insights.frame import Dataset
from slm_atlas.report import claims, model_table, overview, tables
from slm_atlas.report.contexts import context_table
from slm_atlas.report.entities import listings
from slm_atlas.report.figures import Figure
from slm_atlas.report.files import Form, picture, write
from slm_atlas.report.material import Material
from slm_atlas.report.models import RUN_COLUMNS, entries
from slm_atlas.report.pictures import packed
from slm_atlas.report.registry import Group, all_of
from slm_atlas.report.score_tables import score_tables
from slm_atlas.units import counted


def write_report(dataset: Dataset, folder: Path, *, title: str = "SLM Atlas report") -> Path:
    """Write the report into a folder: `index.html`, and `figures/<name>.csv` and `.svg` (of one's own).

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
    _make(folder)
    material = Material(lambda: dataset)
    found = claims.evidences(Evidence(dataset=dataset, rows=material.rows))
    asked = claims.insights(found)
    drawn, survey = all_of(Group.STORE, material), all_of(Group.SURVEY, material)
    drawn_too = [figure for each in asked for figure in each.figures]
    page = _render(material, [drawn, survey, drawn_too], claims.claims(found), asked, title)
    try:
        for figure in (*drawn, *survey, *drawn_too):
            write(folder / "figures" / f"{figure.name}.csv", figure.csv().encode())
        for figure in (*drawn, *drawn_too):  # of the survey's, `slm figure` writes pictures: they take seconds
            write(folder / "figures" / f"{figure.name}.svg", picture(figure, Form.SVG))
        write(folder / "index.html", page.encode())
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder / "index.html"


def _make(folder: Path) -> None:
    """Before anything is drawn, so that a folder that cannot be is told at once."""
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"The report cannot be written to {folder}: {error.strerror}.", "another folder")


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
    material: Material,
    figures: list[list[Figure]],
    told: list[claims.Told],
    asked: list[claims.Asked],
    title: str,
) -> str:
    """The page; figures are one's own, the survey's, and those of the insights."""
    dataset, rows = material.dataset, material.rows
    drawn, survey, _ = figures
    choosable = candidates(rows)
    return (
        _templates()
        .get_template("index.html")
        .render(
            title=title,
            places=_places(dataset, drawn),
            facts=overview.summary(dataset, rows),
            headlines=overview.headlines(rows),
            more_tables=_more_tables(material),
            claims=told,
            tallies=claims.tallies(told),
            insights=asked,
            counted=counted,
            **_models(dataset, rows, choosable),
            figures=drawn,
            survey=survey,
            packed={figure.name: packed(figure) for group in figures for figure in group},
            entities=listings(),
            failed=tables.failed_runs(dataset),
            machines=tables.machines(dataset),
            origins=tables.origins(dataset),
            smoke=any(not score.comparable for row in rows for score in row.scores.values()),
            level=f"{stats.LEVEL:.0%}",
        )
    )


@cache
def _templates() -> Environment:
    loader = PackageLoader("slm_atlas.report", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "sort_keys": True}
    return pages


def _more_tables(material: Material) -> list[tables.Table]:
    found = (*score_tables(material.able), context_table(material.rows), tables.time_table(material.profiles))
    return [table for table in found if table.lines]


def _models(dataset: Dataset, rows: list[frame.Row], choosable: list[Candidate]) -> dict[str, Any]:
    """What the table, the chooser and the parts for each model are made of."""
    lines = model_table.lines(choosable, rows)
    used = dict.fromkeys(found.machine for found in choosable if found.machine)
    filters = (("licence", "Licence"), ("year", "Released in"), ("data", "Training data"))
    values = {key: sorted({line.facts[key] for line in lines} - {""}) for key, _ in filters}
    return {
        **_choosable(choosable),
        "machine": main_machine(choosable),
        "hosts": {id_: f"{dataset.hosts[id_].cpu}, {dataset.hosts[id_].cores} cores ({id_[:6]})" for id_ in used},
        "columns": model_table.COLUMNS,
        "lines": lines,
        "choices": [(key, label, values[key]) for key, label in filters],
        "entries": entries(dataset, rows, choosable),
        "run_columns": RUN_COLUMNS,
    }


def _choosable(found: list[Candidate]) -> dict[str, Any]:
    """What the chooser chooses among: scores stand once a model, and with a file only where they are its own."""
    scores: dict[str, Any] = {}
    told = []
    for each in found:
        plain = msgspec.to_builtins(each)
        if each.scores and scores.setdefault(each.model, plain["scores"]) == plain["scores"]:
            del plain["scores"]
        elif not each.scores:
            plain["scores"] = {}
        told.append(plain)
    return {"candidates": told, "scores": scores}


def _places(dataset: Dataset, drawn: list[Figure]) -> list[tuple[str, str]]:
    """The parts of the page that its head leads to."""
    found = [("choose", "Choose"), ("models", "Models"), *((figure.name, "Figures") for figure in drawn[:1])]
    found.append(("survey", "The survey's figures"))
    found += [("claims", "Claims"), ("insights", "Insights"), ("data", "Data sets")]
    return [*found, *([("provenance", "Provenance")] if dataset.runs else []), ("method", "Method")]
