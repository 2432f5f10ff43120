"""The insights, drawn: numbers with their intervals, and models between what they cost and what they can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from slm_atlas.insights.analyses import Answer, Insight
from slm_atlas.insights.claims import Data
from slm_atlas.report.charts import COLORS, GREY, OURS, THEIRS, Axis, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import Figure
from slm_atlas.report.vega import alt

SOURCES = {Data.PAPER: "the survey's figures", Data.CATALOGUE: "the catalogue, to 2026", Data.MINE: "measured here"}
"""What a data set is called in a report."""
NAMED = 0.75
"""Models at least as often on the front as this have their names beside them."""
NAMES_ROOM = 0.5
"""Room left of the cheapest model for its name, as a share of the logarithmic span of costs."""
_HUES = dict(zip(SOURCES.values(), (THEIRS, COLORS[2], OURS), strict=True))
_FORMS = ["circle", "diamond", "square"]
PANEL = (330, 230)
"""Pixels of a panel, wide and high."""


def insight_figures(insight: Insight, answers: Mapping[Data, Answer]) -> list[Figure]:
    """The figures of an insight: one of all data sets' numbers, or a front for each: their scores are not one scale."""
    marks = _marks(answers)
    found = [_effects(insight, marks)] if marks else []
    return found + [_front(insight, data, answer) for data, answer in answers.items() if answer.spots]


def _marks(answers: Mapping[Data, Answer]) -> list[dict[str, Any]]:
    return [
        {
            "panel": mark.panel, "label": mark.label, "data": SOURCES[data], "value": mark.value, "low": mark.low,
            "high": mark.high, "n": answer.n, "unit": answer.unit,
        }
        for data, answer in answers.items() for mark in answer.marks
    ]  # fmt: skip


def _effects(insight: Insight, rows: list[dict[str, Any]]) -> Figure:
    caption = (
        f"{insight.axis}, with 95% intervals. "
        + ("" if insight.reference is None else "An interval across the upright line leaves open whether it changes. ")
        + insight.method
    )
    spec = effects(rows, insight.axis, insight.form, insight.reference)
    return Figure(name=f"insight-{insight.id}", title=insight.question, caption=caption, spec=spec, rows=rows)


def effects(rows: Rows, axis: str, form: str, reference: float | None) -> dict[str, Any]:
    """A panel each, a line a label, a point with its interval a data set.

    Args:
        rows: `panel`, `label`, `data`, `value`, `low`, `high`, `n`, `unit`; in the order in which they are to stand.
        axis: title of the axis of values.
        form: how d3-format writes its labels.
        reference: where an upright line says that nothing changes; None: there is none.
    """
    sources = list(dict.fromkeys(row["data"] for row in rows))
    panels = [
        _effects_panel([row for row in rows if row["panel"] == panel], sources, form, reference).properties(
            title=panel, width=PANEL[0]
        )
        for panel in dict.fromkeys(row["panel"] for row in rows)
    ]
    chart = alt.concat(*panels, columns=2, spacing=40, title=alt.TitleParams(axis, fontSize=12, fontWeight="normal"))
    return finished(chart.resolve_scale(color="shared", shape="shared"))


def _effects_panel(
    rows: Rows, sources: Sequence[str], form: str, reference: float | None
) -> alt.LayerChart | alt.FacetChart:
    labels = list(dict.fromkeys(row["label"] for row in rows))
    base = alt.Chart(inline(rows)).encode(y=alt.Y("label:N", title=None, sort=labels, axis=category_axis()))
    if len(sources) > 1:
        base = base.encode(yOffset=alt.YOffset("data:N", sort=sources))
    legend = alt.Legend(orient="bottom") if len(sources) > 1 else None
    color = alt.Color(
        "data:N", title=None, scale=alt.Scale(domain=sources, range=[_HUES[name] for name in sources]), legend=legend
    )
    form_ = alt.Shape(
        "data:N", title=None, scale=alt.Scale(domain=sources, range=_FORMS[: len(sources)]), legend=legend
    )
    x = alt.X(
        "value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5, labelExpr=_plain_zero(form))
    )
    tips = tooltips(rows, "data", "label", "value", "low", "high", "n", "unit")
    layers: list[alt.Chart] = [
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", color=color),
        base.mark_point(filled=True, size=80, opacity=1).encode(x=x, color=color, shape=form_, tooltip=tips),
    ]
    if reference is not None:
        line = alt.Chart(inline([{"at": reference}])).mark_rule(color=GREY, strokeDash=[4, 3])
        layers.insert(0, line.encode(x=alt.X("at:Q")))
    return alt.layer(*layers).properties(height=len(labels) * 22 * max(1.3, len(sources)))


def _plain_zero(form: str) -> str:
    """Labels in a form; nothing has no sign."""
    zero = "0%" if form.endswith("%") else "0"
    return f"datum.value == 0 ? '{zero}' : format(datum.value, '{form}')"


def _front(insight: Insight, data: Data, answer: Answer) -> Figure:
    rows = [
        {
            "panel": spot.panel, "model": spot.model, "cost": spot.cost, "percent": 100 * spot.score,
            "low": 100 * spot.low, "high": 100 * spot.high, "front": spot.front, "named": spot.front >= NAMED,
        }
        for spot in answer.spots
    ]  # fmt: skip
    caption = (
        f"{answer.n} models of {SOURCES[data]}: score with its 95% interval over cost, up and to the left is better. "
        f"The fuller a point, the more often the model is on the front when every number is drawn from its own "
        f"uncertainty; named are those that are in three of four draws or more. {' '.join(answer.caveats)}"
    )
    title = f"{insight.question.rstrip('?')}? ({SOURCES[data]})"
    return Figure(
        name=f"insight-{insight.id}-{data}",
        title=title,
        caption=caption,
        spec=front(rows, _HUES[SOURCES[data]]),
        rows=rows,
    )


def front(rows: Rows, hue: str = COLORS[0]) -> dict[str, Any]:
    """A panel a cost: score in percent over cost on a logarithmic axis, the fuller the surer on the front.

    Args:
        rows: `panel`, `model`, `cost`, `percent`, `low`, `high`, `front` from 0 to 1, `named`.
        hue: of all points.
    """
    panels = [
        _front_panel([row for row in rows if row["panel"] == panel], panel, hue)
        for panel in dict.fromkeys(row["panel"] for row in rows)
    ]
    return finished(alt.concat(*panels, columns=2, spacing=40))


def _front_panel(rows: Rows, cost: str, hue: str) -> alt.LayerChart | alt.FacetChart:
    low, high = min(row["cost"] for row in rows), max(row["cost"] for row in rows)
    axis = Axis(log=True, low=low / (1.2 * (high / low) ** NAMES_ROOM), high=1.6 * high)
    x = alt.X("cost:Q", title=None, **axis.drawn())
    scale = alt.Scale(zero=False, nice=True)
    y = alt.Y("percent:Q", title="Score (%)", scale=scale, axis=alt.Axis(tickCount=5))
    base = alt.Chart(inline(rows)).encode(x=x)
    full = alt.Opacity("front:Q", scale=alt.Scale(domain=[0, 1], range=[0.15, 1]), legend=None)
    tips = tooltips(rows, "model", "cost", "percent", "low", "high", "front")
    layers: list[alt.Chart] = [
        base.mark_rule(strokeWidth=1.25, color=hue).encode(y=alt.Y("low:Q"), y2="high:Q", opacity=full),
        base.mark_point(filled=True, size=80, color=hue).encode(y=y, opacity=full, tooltip=tips),
        _names(base),
    ]
    return alt.layer(*layers).properties(title=cost, width=PANEL[0], height=PANEL[1])


def _names(base: alt.Chart) -> alt.Chart:
    """The names of what is likely on the front, above and to the left: what stood there would be ahead of it."""
    named: alt.Chart = base.transform_filter("datum.named").mark_text(align="right", dx=-8, dy=-7)
    return named.encode(y=alt.Y("percent:Q"), text="model:N")
