"""The drawing of the survey's figures: what models are composed of, their tokens, their data, their numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from slm_atlas.report.charts import COLORS, GREY, Axis, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.vega import alt

STEPS = ("#d9c94a", "#7fb960", "#3b9a8b", "#3a6f96", "#4b3b78")
"""Small to large, from light to dark, as matplotlib's viridis goes without its ends: told apart on white and on black,
and by lightness alone."""

NAMES = tuple(color for color in COLORS if color != GREY)
"""For labels without an order; grey is for what is not published."""

REFERENCE = "currentColor"
"""What to compare with."""

PARAMS, TOKENS = "Parameters (millions)", "Training tokens (billions)"
"""Titles of axes."""

SIZE = (640, 460)
"""Pixels of the chart of tokens, wide and high."""


def composition(title: str, rows: Rows, labels: Sequence[str], *, ordered: bool, missing: str) -> dict[str, Any]:
    """Two panels: models of each period by label, and the share of each label.

    Args:
        title: what the labels are of.
        rows: `period`, `label`, `count`, `n`, `share`, `low`, `high`.
        labels: in the order in which to stack and to explain them, from the axis outwards.
        ordered: the labels are bins of a number.
        missing: the label of models that have none.
    """
    colors = dict(zip(labels, STEPS if ordered else NAMES, strict=False))
    known = [label for label in labels if any(row["label"] == label and row["count"] for row in rows)]
    shown = [*known, *([missing] if any(row["label"] == missing for row in rows) else [])]
    scale = alt.Scale(domain=shown, range=[colors.get(label, GREY) for label in shown])
    color = alt.Color("label:N", title=None, scale=scale, legend=alt.Legend(orient="bottom", columns=6))
    x = alt.X("period:O", title=None, axis=alt.Axis(labelAngle=-45, ticks=False))
    base = alt.Chart(inline([row for row in rows if row["count"]])).encode(x=x)
    bars = base.transform_calculate(place=f"indexof({json.dumps(shown)}, datum.label)").mark_bar()
    tips = tooltips(rows, "period", "label", "count", "n", "share", "low", "high")
    bars = bars.encode(color=color, order="place:Q", tooltip=tips)
    count = alt.Y("count:Q", title=None, axis=alt.Axis(tickMinStep=1))
    share = alt.Y("share:Q", title=None, axis=alt.Axis(format="%"), scale=alt.Scale(domain=[0, 1]))
    total = base.transform_aggregate(total="sum(count)", groupby=["period"]).mark_text(dy=-7)
    panels = [
        alt.layer(bars.encode(y=count), total.encode(y="total:Q", text="total:Q")).properties(title=f"{title}: models"),
        bars.transform_filter("datum.share != null").encode(y=share).properties(title="Share of each"),
    ]
    sized = [panel.properties(width=330, height=260) for panel in panels]
    return finished(alt.concat(*sized, columns=2, spacing=48))


def tokens(rows: Rows, paper_rows: Rows, ratios: Sequence[float], axes: tuple[Axis, Axis]) -> dict[str, Any]:
    """Training tokens over parameters, both logarithmic, with lines of as many tokens a parameter.

    Args:
        rows: `model`, `year`, `params_millions`, `tokens_billions`, `tokens_per_parameter`, `named`.
        paper_rows: the survey's own points, the same; without `rows`, they are drawn as these are.
        ratios: tokens a parameter of each line; the first is the one to compare with.
        axes: of parameters, of tokens.
    """
    x = alt.X("params_millions:Q", title=PARAMS, **axes[0].drawn())
    y = alt.Y("tokens_billions:Q", title=TOKENS, **axes[1].drawn())
    few = len({row["year"] for row in rows or paper_rows}) <= len(STEPS)
    scale = alt.Scale(range=list(STEPS)) if few else alt.Scale(scheme=alt.SchemeParams(name="viridis", extent=[1, 0]))
    color = alt.Color("year:O", title="Released", scale=scale, legend=alt.Legend(orient="right", columns=1))
    shown = rows or paper_rows
    base = alt.Chart(inline(shown)).encode(x=x, y=y)
    tips = tooltips(shown, "model", "year", "params_millions", "tokens_billions", "tokens_per_parameter")
    names = base.transform_filter("datum.named").encode(text="model:N")
    left = f"datum.params_millions < {4 * axes[0].low}"  # where there is no room for a name before the point
    crossed = [r for r in ratios if r * axes[0].low < 1e3 * axes[1].high and r * axes[0].high > 1e3 * axes[1].low]
    layers: list[alt.Chart] = [
        *(layer for ratio in crossed for layer in _ratio_line(ratio, axes, reference=ratio == ratios[0])),
        base.mark_point(filled=True, size=70, opacity=0.85).encode(color=color, tooltip=tips),
        names.transform_filter(left).mark_text(align="left", dx=6, dy=-12),
        names.transform_filter(f"!({left})").mark_text(align="right", dx=-9),
    ]
    if rows and paper_rows:
        squares = alt.Chart(inline(paper_rows)).mark_point(shape="square", size=130, color="currentColor", opacity=0.45)
        layers.append(squares.encode(x=x, y=y, tooltip=tips))
    return finished(alt.layer(*layers).properties(width=SIZE[0], height=SIZE[1]))


def _ratio_line(ratio: float, axes: tuple[Axis, Axis], *, reference: bool) -> tuple[alt.Chart, alt.Chart]:
    """A line of so many tokens a parameter, and its name along it."""
    params, tokens = axes
    # It ends where the axes do, so that nothing has to be clipped.
    low, high = max(params.low, 1e3 * tokens.low / ratio), min(params.high, 1e3 * tokens.high / ratio)
    ends = [(millions, ratio * millions / 1e3) for millions in (low, high)]
    rows = [{"x": millions, "y": billions, "name": f"{ratio:,.0f} tokens a parameter"} for millions, billions in ends]
    x, y = alt.X("x:Q", title=PARAMS, **params.drawn()), alt.Y("y:Q", title=TOKENS, **tokens.drawn())
    style: dict[str, Any] = {"strokeWidth": 1.75} if reference else {"strokeDash": [3, 4], "strokeWidth": 1}
    color = REFERENCE if reference else GREY
    run = SIZE[0] * (params.place(ends[1][0]) - params.place(ends[0][0]))
    rise = SIZE[1] * (tokens.place(ends[1][1]) - tokens.place(ends[0][1]))
    angle = -math.degrees(math.atan2(rise, run))
    line = alt.Chart(inline(rows)).mark_line(color=color, **style).encode(x=x, y=y)
    start = alt.Chart(inline(rows[:1])).mark_text(align="left", dx=12, dy=-7, angle=angle % 360, color=color)
    return line, start.encode(x=x, y=y, text="name:N")


def usage(title: str, rows: Rows, names: Sequence[str]) -> dict[str, Any]:
    """A circle a name and period: its area is the share of models, the number beside it their count.

    Args:
        title: what the names are of.
        rows: `period`, `label`, `count`, `n`, `share`, `low`, `high`.
        names: from top to bottom.
    """
    n = json.dumps({row["period"]: [row["period"], f"n = {row['n']}"] for row in rows})
    axis = alt.Axis(
        orient="top",
        ticks=False,
        domain=False,
        labelAngle=0,
        labelExpr=f"{n}[datum.label]",
        labelFontSize=10,
        labelPadding=18,
    )
    base = alt.Chart(inline(rows)).encode(
        x=alt.X("period:O", title=None, axis=axis),
        y=alt.Y("label:N", title=None, sort=list(names), axis=category_axis()),
        tooltip=tooltips(rows, "period", "label", "count", "n", "share", "low", "high"),
    )
    size = alt.Size("share:Q", title="Share", scale=alt.Scale(range=[8, 340], domain=[0, 1]), legend=None)
    layers = [
        base.mark_circle(color=COLORS[0], opacity=0.75).encode(size=size),
        base.mark_text(align="left", dx=12).encode(text="count:Q"),
    ]
    periods = len({row["period"] for row in rows})
    return finished(
        alt.layer(*layers).properties(
            width=max(110 * periods, 200),
            height=30 * len(names),
            title=f"{title}: models that use each, and their share (area)",
        )
    )


def measure(rows: Rows, medians: Rows, title: str, axis: Axis, reference: float | None) -> dict[str, Any]:
    """A tick a model over its period, and the median of each with its interval.

    Args:
        rows: `period`, `model`, `value`.
        medians: `period`, `median`, `low`, `high`, `n`.
        title: what the numbers are, with their unit.
        axis: of the numbers.
        reference: a value to compare with.
    """
    y = alt.Y("value:Q", title=None, **axis.drawn())
    x = alt.X("period:O", title=None, axis=alt.Axis(labelAngle=-45, ticks=False))
    models = alt.Chart(inline(rows)).mark_tick(thickness=2, opacity=0.5, color=COLORS[0], width=16)
    middle = alt.Chart(inline(medians)).encode(x=x)
    tips = tooltips(medians, "period", "median", "low", "high", "n")
    layers = [
        models.encode(x=x, y=y, tooltip=tooltips(rows, "model", "period", "value")),
        middle.mark_line(color=COLORS[3], strokeWidth=1.5, opacity=0.6).encode(y=alt.Y("median:Q")),
        middle.mark_rule(color=COLORS[3], strokeWidth=3).encode(y=alt.Y("low:Q"), y2="high:Q"),
        middle.mark_point(filled=True, size=90, color=COLORS[3], opacity=1).encode(y=alt.Y("median:Q"), tooltip=tips),
    ]
    if reference is not None:
        rule = alt.Chart(inline([{"value": reference}])).mark_rule(color=REFERENCE, strokeDash=[5, 4])
        layers.append(rule.encode(y=y))
    return finished(alt.layer(*layers).properties(width=640, height=320, title=title))
