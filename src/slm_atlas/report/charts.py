"""The drawing of each figure: from the data shown to Vega-Lite.

Text and rules are in `currentColor`, so that a chart in the page follows its light or dark colours. A figure's data is
passed on as it is; what is added to it (a trend, the side of a label) is not a measurement and not in its CSV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from slm_atlas.report.vega import alt

Rows = Sequence[Mapping[str, Any]]

GREY = "#8d949c"
"""What is not published, or stands behind."""

COLORS = ("#4477aa", "#ee6677", "#228833", "#aa3377", GREY, "#ccbb44", "#66ccee")
"""Paul Tol's scheme "bright" (Colour Schemes, SRON/EPS/TN/09-002, 2021; its grey a little darker, so that it shows on
white), which is made to be told apart by those who do not see all colours; a test holds it to that."""

OURS, THEIRS = COLORS[:2]
"""One's own (measured here, or in the catalogue), and what the survey's figures say: a colour each in all figures."""

FONT = "Arial, Liberation Sans, Helvetica, sans-serif"
"""Letters as wide as those that charts are laid out with (Liberation Sans)."""

LOG_SPAN = 8.0
"""From this ratio of the largest model to the smallest, axes are logarithmic."""


MAX_NAMES = 24
"""More models than this in a panel stand without their names, which the pointer still shows."""


class Axis(NamedTuple):
    """An axis, linear from zero or logarithmic."""

    log: bool
    """Logarithmic."""
    low: float
    """Where it begins."""
    high: float
    """Where it ends."""

    def place(self, value: float) -> float:
        """Where a value stands, from 0 to 1."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def drawn(self) -> dict[str, Any]:
        """The axis as a channel takes it; a logarithmic one is ruled at 1, 2 and 5 times a power of ten."""
        scale = alt.Scale(type="log" if self.log else "linear", domain=[self.low, self.high], nice=False)
        if not self.log:
            return {"scale": scale, "axis": alt.Axis(tickCount=6)}
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)))
        return {
            "scale": scale,
            "axis": alt.Axis(values=[m * 10.0**power for power in powers for m in (1, 2, 5)], labelSeparation=6),
        }


def axis_of(values: Sequence[float], *, log: bool) -> Axis:
    """An axis with some room around its values.

    >>> axis_of([100.0, 500.0], log=False), axis_of([100.0, 3000.0], log=True)
    (Axis(log=False, low=0.0, high=575.0), Axis(log=True, low=62.5, high=4800.0))
    """
    low, high = min(values), max(values)
    return Axis(log=True, low=low / 1.6, high=high * 1.6) if log else Axis(log=False, low=0.0, high=high * 1.15)


def latency(rows: Rows, curves: Mapping[str, Rows], titles: Mapping[str, str]) -> dict[str, Any]:
    """A panel a phase: latency in ms over parameters, with intervals, names and a trend.

    Args:
        rows: `phase`, `params_millions`, `ms`, `low`, `high`, `model`, `weights`, ...
        curves: the trend of each phase as points of `params_millions` and `ms`; none if it is empty.
        titles: of each phase's panel.
    """
    params = [row["params_millions"] for row in rows]
    log = max(params) / min(params) >= LOG_SPAN
    x = axis_of(params, log=log)
    weights = [name for name in WEIGHTS if any(row["weights"] == name for row in rows)]
    panels = []
    for phase, title in titles.items():
        shown = [row for row in rows if row["phase"] == phase]
        y = axis_of([row[end] or row["ms"] for row in shown for end in ("low", "high")] or [1.0], log=log)
        panels.append(_latency_panel(_placed(shown, x, y), curves[phase], x, y, weights).properties(title=title))
    return finished(
        alt.concat(*panels, columns=2, spacing=64, bounds="flush").resolve_scale(color="shared", shape="shared")
    )


def _latency_panel(
    rows: Rows, curve: Rows, x_axis: Axis, y_axis: Axis, weights: Sequence[str]
) -> alt.LayerChart | alt.FacetChart:
    x = alt.X("params_millions:Q", title="Parameters (millions)", **x_axis.drawn())
    y = alt.Y("ms:Q", title=None, **y_axis.drawn())
    hues, forms = zip(*(WEIGHTS[name] for name in weights), strict=True)
    legend = alt.Legend(orient="bottom")
    color = alt.Color("weights:N", scale=alt.Scale(domain=weights, range=hues), title=None, legend=legend)
    form = alt.Shape("weights:N", scale=alt.Scale(domain=weights, range=forms), title=None, legend=legend)
    tips = tooltips(rows, "model", "quantization", "weights", "params_millions", "ms", "low", "high", "n")
    base = alt.Chart(inline(rows)).encode(x=x, y=y)
    sides = sorted({(row["left"], row["slot"]) for row in rows})
    layers = [
        alt.Chart(inline(curve)).mark_line(strokeDash=[5, 4], strokeWidth=1.25, color=GREY).encode(x=x, y=y),
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_point(filled=True, size=90, opacity=0.9).encode(color=color, shape=form, tooltip=tips),
        *(_names(base, *side) for side in sides if len(rows) <= MAX_NAMES),
    ]
    return alt.layer(*layers).properties(width=400, height=300)


WEIGHTS = {"real": (COLORS[0], "circle"), "forged (random weights)": (COLORS[1], "diamond")}
"""Colour and form of what a file holds; what no model has is not in the legend."""


def _names(base: alt.Chart, left: bool, slot: int) -> alt.Chart:
    """The names that stand on one side of their points, a line lower each slot."""
    text: dict[str, Any] = {"align": "right", "dx": -7} if left else {"align": "left", "dx": 7}
    chosen: alt.Chart = base.transform_filter(f"datum.left == {str(left).lower()} && datum.slot == {slot}")
    named: alt.Chart = chosen.mark_text(**text, dy=12 * slot if slot else -9).encode(text="model:N")
    return named


def _placed(rows: Rows, x_axis: Axis, y_axis: Axis) -> list[dict[str, Any]]:
    """Each name off the rising trend, and off the names of others.

    It stands above its point to the left; if higher points are close by, as many lines below to the right; on the
    other side where the panel would end.
    """
    placed: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: -row["ms"]):
        x, y = x_axis.place(row["params_millions"]), y_axis.place(row["ms"])
        close = [
            other["slot"]
            for other in placed
            if abs(x_axis.place(other["params_millions"]) - x) < 0.3 and y_axis.place(other["ms"]) - y < 0.1
        ]
        slot = max(close, default=-1) + 1
        placed.append({**row, "left": x > (0.7 if slot else 0.35), "slot": slot})
    return placed


def memory(rows: Rows, parts: Sequence[str], peak: str) -> dict[str, Any]:
    """A bar a model, stacked from its parts in MiB, with a tick at the peak.

    Args:
        rows: `model`, `part`, `MiB`, ...; the models in the order in which they are to stand.
        parts: the names of the parts, from the axis outwards.
        peak: the part that is the tick.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("model:N", title=None, sort=models, axis=category_axis()),
        tooltip=tooltips(rows, "model", "part", "MiB", "low", "high", "n"),
    )
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=list(parts), range=COLORS[: len(parts)]),
        legend=alt.Legend(orient="bottom"),
    )
    bars = base.transform_filter(f"datum.part != '{peak}'").transform_calculate(
        place=f"indexof({list(parts)}, datum.part)"
    )
    bars = bars.mark_bar(height=alt.RelativeBandSize(0.6)).encode(
        x=alt.X("MiB:Q", title="MiB", axis=alt.Axis(tickCount=8)), color=color, order="place:Q"
    )
    tick = 0.75 * _height(len(models)) / len(models)
    ticks = base.transform_filter(f"datum.part == '{peak}'").mark_tick(color="currentColor", thickness=2.5, size=tick)
    chart = alt.layer(bars, ticks.encode(x="MiB:Q"))
    return finished(chart.properties(width=640, height=_height(len(models))))


def accuracy(rows: Rows) -> dict[str, Any]:
    """A line a task and model: accuracy in percent, its interval, and a tick at chance.

    Args:
        rows: `task`, `model`, `percent`, `low`, `high`, `chance`, ...
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    base = alt.Chart(inline(rows)).encode(
        y=alt.Y("task:N", title=None, axis=category_axis()),
        tooltip=tooltips(rows, "model", "task", "percent", "low", "high", "chance", "n"),
    )
    if len(models) > 1:
        base = base.encode(yOffset=alt.YOffset("model:N", sort=models))
    color = alt.Color(
        "model:N", title=None, sort=models, scale=alt.Scale(range=COLORS), legend=alt.Legend(orient="bottom")
    )
    x = alt.X(
        "percent:Q",
        title="Accuracy (%)",
        scale=alt.Scale(domain=[-2, 102], nice=False),
        axis=alt.Axis(values=[0, 20, 40, 60, 80, 100]),
    )
    layers = [
        base.transform_filter("datum.chance != null").mark_tick(color=GREY, thickness=2).encode(x=alt.X("chance:Q")),
        base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", color=color),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=x, color=color),
    ]
    return finished(
        alt.layer(*layers).properties(width=640, height=_height(len({row["task"] for row in rows}), len(models)))
    )


def _height(lines: int, inside: int = 1) -> int:
    """Pixels for so many lines, each with so many marks inside; closer together where there are many."""
    return lines * max(44 if lines <= 12 else 24, 16 * inside)


def inline(rows: Rows) -> alt.InlineData:
    """Rows as a chart takes them."""
    return alt.InlineData(values=[dict(row) for row in rows])


def tooltips(rows: Rows, *fields: str) -> list[alt.Tooltip]:
    """What a pointer shows of a row: numbers to four digits."""
    numbers = {field for field in fields if any(isinstance(row[field], int | float) for row in rows)}
    return [
        alt.Tooltip(f"{field}:Q", format=".4~g") if field in numbers else alt.Tooltip(f"{field}:N") for field in fields
    ]


def log_axis(values: Sequence[float]) -> dict[str, Any]:
    """A logarithmic axis around some values, as a channel takes it."""
    return axis_of(values, log=True).drawn()


def category_axis() -> alt.Axis:
    """An axis of names: no line, no ticks."""
    return alt.Axis(ticks=False, domain=False, labelPadding=8)


def finished(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart as a Vega-Lite value, in the page's colours and type."""
    text = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "titleFontSize": 12}
    lines = {
        "gridColor": "currentColor",
        "gridOpacity": 0.12,
        "domainColor": "currentColor",
        "tickColor": "currentColor",
    }
    spec: dict[str, Any] = chart.to_dict(validate=False)
    spec["background"] = None
    spec["config"] = {
        "font": FONT,
        "view": {"stroke": None},
        "axis": {**text, **lines, "domainOpacity": 0.4, "tickOpacity": 0.4, "titleFontWeight": "normal"},
        "axisX": {"labelSeparation": 6},
        "axisY": {"labelLimit": 190},
        "legend": {**text, "symbolSize": 90, "labelLimit": 240, "columns": 3},
        "title": {"color": "currentColor", "fontSize": 13, "anchor": "start", "frame": "group", "fontWeight": 600},
        "text": {"color": "currentColor", "fontSize": 11},
        "rule": {"color": "currentColor"},
    }
    return spec
