"""The survey's figures: from models to the data shown, its chart, and a caption that says what to see."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from slm_atlas.catalog import Model, paper
from slm_atlas.report import survey_charts
from slm_atlas.report.charts import LOG_SPAN, axis_of
from slm_atlas.report.figures import Figure, Side
from slm_atlas.survey.composition import NOT_PUBLISHED, Period, Share, composition, summary
from slm_atlas.survey.facets import CHINCHILLA, Facet, Measure, tokens_per_parameter

NAMES = 20
"""So many of the names of a facet that has many are shown: the most frequent."""

RATIOS = (CHINCHILLA, 200.0, 2000.0, 20_000.0)
"""Tokens a parameter for which the figure of tokens against parameters has a line."""

Rows = list[dict[str, Any]]


# ---- facets ---------------------------------------------------------------------------------------------------------


def facet_figure(models: Sequence[Model], facet: Facet, period: Period = Period.HALF_YEAR) -> Figure | None:
    """How many models of each period have which label; None without models."""
    if facet.several:
        return _usage_figure(models, facet)
    rows = _plain(composition(models, facet, period))
    if not rows:
        return None
    caption = (
        f"{len(models)} models by {period} of release: how many have each label, and the share of each among those for "
        "which it is published. The 95% interval of each share is in the data."
    )
    spec = survey_charts.composition(facet.title, rows, facet.order, ordered=facet.ordered, missing=NOT_PUBLISHED)
    return Figure(name=facet.name, title=facet.title, caption=caption, spec=spec, rows=rows)


def _usage_figure(models: Sequence[Model], facet: Facet) -> Figure | None:
    """Which of many names are used, a year at a time; None if none is published."""
    found = [row for row in composition(models, facet, Period.YEAR) if row.share is not None]
    total: Counter[str] = Counter()
    for row in found:
        total[row.label] += row.count
    names = [name for name, _ in total.most_common(NAMES)]
    rows = _plain([row for row in found if row.label in names])
    if not rows:
        return None
    published = sum({row.period: row.n for row in found}.values())
    caption = (
        f"The {len(names)} most frequent of {len(total)}, over the {published} models of {len(models)} that name "
        "theirs: the number is how many models of the year, the circle's area their share of the year's models."
    )
    return Figure(
        name=facet.name,
        title=facet.title,
        caption=caption,
        spec=survey_charts.usage(facet.title, rows, names),
        rows=rows,
    )


def _plain(rows: Sequence[Share]) -> Rows:
    return [msgspec.structs.asdict(row) for row in rows]


# ---- measures -------------------------------------------------------------------------------------------------------


def measure_figure(models: Sequence[Model], measure: Measure, period: Period = Period.HALF_YEAR) -> Figure | None:
    """The number of every model over time, with medians; None if none is published."""
    values = [(model, measure.value(model)) for model in sorted(models, key=lambda model: model.release)]
    rows: Rows = [
        {"model": model.name, "release": model.release, "period": period.of(model.release), "value": value}
        for model, value in values
        if value is not None
    ]
    if not rows:
        return None
    medians = [msgspec.structs.asdict(row) for row in summary(models, measure, period) if row.n]
    caption = (
        f"A tick a model; the point is the median of the {period}, the bar its 95% interval (order statistics, "
        f"from three models on). Not published: {len(models) - len(rows)} of {len(models)}."
    )
    shown = [row["value"] for row in rows] + ([measure.reference] if measure.reference else [])
    axis = axis_of(shown, log=max(shown) / min(shown) >= LOG_SPAN)
    spec = survey_charts.measure(rows, medians, measure.title, axis, measure.reference)
    return Figure(name=measure.name, title=measure.title, caption=caption, spec=spec, rows=rows)


def tokens_figure(models: Sequence[Model], side: Side = Side.BOTH) -> Figure | None:
    """The survey's Figure 4: training tokens against parameters, with Chinchilla's line; None if none are published."""
    rows = [*(_catalogued(models) if side.mine else ()), *(_paper_points(models) if side.paper else ())]
    if not rows or (side.mine and not any(row["source"] == CATALOGUE for row in rows)):
        return None
    axes = tuple(axis_of([row[name] for row in rows], log=True) for name in ("params_millions", "tokens_billions"))
    most = {row["year"]: row["model"] for row in sorted(rows, key=lambda row: row["tokens_per_parameter"])}
    lead = CATALOGUE if side.mine else SURVEY
    named = [{**row, "named": row["source"] == lead and most[row["year"]] == row["model"]} for row in rows]
    circles, squares = ([row for row in named if row["source"] == source] for source in (CATALOGUE, SURVEY))
    title = "The survey's Figure 4: training tokens against parameters"
    spec = survey_charts.tokens(circles, squares, RATIOS, (axes[0], axes[1]))
    return Figure(name="fig4", title=title, caption=_above(rows, side), spec=spec, rows=rows)


CATALOGUE, SURVEY = "catalogue", "survey"


def _above(rows: Rows, side: Side) -> str:
    """How many models are above Chinchilla's line, and what is drawn."""
    told = []
    for source in (CATALOGUE, SURVEY):
        own = [row["tokens_per_parameter"] for row in rows if row["source"] == source]
        if own:
            above = sum(ratio > CHINCHILLA for ratio in own)
            told.append(f"{above} of {len(own)} models of the {source} (median {statistics.median(own):,.0f})")
    squares = " Squares: where the survey's Figure 4 draws a model." if side is Side.BOTH else ""
    return (
        f"More than Chinchilla's {CHINCHILLA:.0f} tokens a parameter (the solid line) were seen by "
        f"{' and '.join(told)}. Dashed: 10, 100 and 1000 times as many. "
        f"Named: the model with the most a parameter of each year.{squares}"
    )


def _catalogued(models: Sequence[Model]) -> Rows:
    return [
        {
            "model": model.name,
            "source": CATALOGUE,
            "year": Period.YEAR.of(model.release),
            "params_millions": model.params / 1e6,
            "tokens_billions": model.training.tokens_billion,
            "tokens_per_parameter": ratio,
        }
        for model in sorted(models, key=lambda model: model.release)
        if (ratio := tokens_per_parameter(model)) is not None
    ]


def _paper_points(models: Sequence[Model]) -> Rows:
    known = {model.id for model in models}
    return [
        {
            "model": point.model,
            "source": SURVEY,
            "year": str(point.year),
            "params_millions": 1e3 * point.params_billion,
            "tokens_billions": point.tokens_billion,
            "tokens_per_parameter": point.tokens_billion / point.params_billion,
        }
        for point in paper.fig4().points
        if point.model_id in known
    ]
