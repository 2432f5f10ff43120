"""The survey's Figure 1, a timeline of small language models: a line a family, a point a release."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from slm_atlas.catalog import Model
from slm_atlas.report.charts import OURS, THEIRS, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.vega import alt
from slm_atlas.survey.views import released

IN_SURVEY, NOT_IN_SURVEY = "in the survey", "not in the survey"
_LINE = 15
"""Pixels a family."""


def timeline_figure(models: Sequence[Model], side: Side) -> Figure | None:
    """Which families released models when; None without models.

    Args:
        models: those of the catalogue that are wanted.
        side: the survey's are its models at the dates it gives; one's own are all, at the true dates.
    """
    shown = models if side.mine else [model for model in models if model.paper.v1]
    rows = sorted((_row(model, counted=not side.mine) for model in shown), key=lambda row: row["release"])
    if not rows:
        return None
    title = "The survey's Figure 1: small language models over time"
    return Figure(name="fig1", title=title, caption=_caption(rows), spec=_chart(rows, side), rows=rows)


def _row(model: Model, *, counted: bool) -> dict[str, Any]:
    return {
        "family": model.family,
        "model": model.name,
        "organization": model.organization,
        "release": released(model, counted=counted),
        "params_millions": model.params / 1e6,
        "source": IN_SURVEY if model.paper.v1 else NOT_IN_SURVEY,
    }


def _caption(rows: Rows) -> str:
    years: dict[str, int] = defaultdict(int)
    for row in rows:
        years[row["release"][:4]] += 1
    busiest = max(years, key=lambda year: years[year])
    known = sum(row["source"] == IN_SURVEY for row in rows)
    return (
        f"{len(rows)} models of {len({row['family'] for row in rows})} families, {rows[0]['release']} to "
        f"{rows[-1]['release']}; a line a family in the order of its first release, a ring a model, its area its "
        f"parameters. Most came in {busiest} ({years[busiest]}). "
        + (f"The survey's first version counts {known} of them." if known < len(rows) else "")
    ).strip()


def _chart(rows: Rows, side: Side) -> dict[str, Any]:
    families = list(dict.fromkeys(row["family"] for row in rows))
    color = alt.Color(
        "source:N",
        title=None,
        scale=alt.Scale(domain=[IN_SURVEY, NOT_IN_SURVEY], range=[THEIRS, OURS]),
        legend=alt.Legend(orient="top") if side is Side.BOTH else None,
    )
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("release:T", title=None, axis=alt.Axis(format="%Y", tickCount="year", orient="top")),
        y=alt.Y("family:N", title=None, sort=families, axis=category_axis()),
    )
    points = base.mark_point(strokeWidth=2, opacity=0.85).encode(
        size=alt.Size("params_millions:Q", scale=alt.Scale(type="sqrt", range=[12, 190]), legend=None),
        color=color if side is Side.BOTH else alt.value(OURS if side.mine else THEIRS),
        tooltip=tooltips(rows, "model", "organization", "release", "params_millions", "source"),
    )
    return finished(points.properties(width=640, height=_LINE * len(families)))
