"""The report: one self-contained page, and each figure's data and picture beside it.

The page opens from disk with no network: style, scripts and data are inside it, and its content security policy forbids
it to load anything. It depends on the measurements alone, so that the same store gives the same bytes.
"""

from __future__ import annotations

import base64
from pathlib import Path

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from slm_atlas import stats
from slm_atlas.errors import UserError
from slm_atlas.insights import claims, frame
from slm_atlas.insights.capability import Capability, capability
from slm_atlas.insights.frame import Dataset
from slm_atlas.insights.profiles import Profile, profiles
from slm_atlas.report import tables
from slm_atlas.report.contexts import context_figure, context_table
from slm_atlas.report.figures import Figure, figures
from slm_atlas.report.files import PNG_SCALE, write
from slm_atlas.report.learning_figure import learning_figure
from slm_atlas.report.paper_costs import paper_figure
from slm_atlas.report.paper_quantization import quantization_figure
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
    drawn = [
        *figures(rows),
        *filter(None, [learning_figure(able.learning)]),
        *filter(None, single),
        *profile_figures(times),
    ]
    pictures = {figure.name: vl_convert.vegalite_to_svg(figure.exported()) for figure in drawn}
    page = _render(dataset, rows, times, able, drawn, pictures, title)
    try:
        for figure in drawn:
            picture = pictures[figure.name]
            write(folder / "figures" / f"{figure.name}.csv", figure.csv().encode())
            write(folder / "figures" / f"{figure.name}.svg", picture.encode())
            write(folder / "figures" / f"{figure.name}.png", vl_convert.svg_to_png(picture, scale=PNG_SCALE))
        write(folder / "index.html", page.encode())
    except OSError as error:
        raise UserError(f"The report cannot be written to {folder}: {error.strerror}.", "another folder") from error
    return folder / "index.html"


def _render(
    dataset: Dataset,
    rows: list[frame.Row],
    times: list[Profile],
    able: Capability,
    drawn: list[Figure],
    pictures: dict[str, str],
    title: str,
) -> str:
    loader = PackageLoader("slm_atlas.report", "templates")
    pages = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters["data_uri"] = _data_uri
    found = claims.findings(rows)
    return pages.get_template("index.html").render(
        title=title,
        facts=tables.summary(dataset, rows, found),
        tables=[
            tables.cost_table(rows),
            tables.score_table(rows),
            *score_tables(able),
            context_table(rows),
            tables.time_table(times),
        ],
        figures=drawn,
        pictures=pictures,
        specs={figure.name: figure.spec for figure in drawn},
        findings=found,
        failed=tables.failed_runs(dataset),
        machines=tables.machines(dataset),
        origins=tables.origins(dataset),
        smoke=any(not score.comparable for row in rows for score in row.scores.values()),
        level=f"{stats.LEVEL:.0%}",
        interval=tables.interval,
        two_digits="{:.2f}".format,
        vega=_vega() if drawn else "",
    )


def _vega() -> str:
    """The scripts that draw, as they may stand inside a page."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script")


def _data_uri(text: str, kind: str) -> str:
    """A text as an address that holds it."""
    return f"data:{kind};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
