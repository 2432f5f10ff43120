"""In-context learning, drawn: scores over the number of worked examples, a panel a task, a line a model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import altair as alt

from slm_atlas.insights.learning import AVERAGE, Curve
from slm_atlas.report.charts import COLORS, Rows, finished, inline, tooltips
from slm_atlas.report.figures import Figure

COLUMNS = 3
"""Panels beside each other."""
MARGIN = 4.0
"""Percent of room above and below the intervals."""


def learning_figure(curves: Sequence[Curve]) -> Figure | None:
    """A panel a task, the average first; None where no task ran with several numbers of worked examples."""
    if not curves:
        return None
    tasks = sorted({curve.task for curve in curves}, key=lambda task: (task != AVERAGE, task))
    data = [row for curve in curves for row in _rows(curve)]
    data.sort(key=lambda row: (tasks.index(row["task"]), row["model"], row["shots"]))
    words = "; ".join(_words(curve) for curve in curves if curve.task == AVERAGE)
    caption = (
        "Scores by the number of worked examples before a question, with 95% intervals over the items. "
        "Gains are of the same items, with most examples minus with fewest, and have intervals of their own, which are "
        f"narrower than these seem to say.{f' On average over tasks: {words}.' if words else ''}"
    )
    return Figure(name="icl", title="In-context learning", caption=caption, spec=_chart(data, tasks), rows=data)


def _rows(curve: Curve) -> Iterator[dict[str, Any]]:
    gain = curve.gain
    ends: dict[str, float | None] = {"gain": None, "gain_low": None, "gain_high": None}
    if gain is not None:
        named = zip(ends, (gain.value, gain.low, gain.high), strict=True)
        ends = {name: None if value is None else 100 * value for name, value in named}
    for shots, point in curve.points.items():
        yield {
            "task": curve.task,
            "model": curve.model,
            "shots": shots,
            "percent": 100 * point.value,
            "low": None if point.low is None else 100 * point.low,
            "high": None if point.high is None else 100 * point.high,
            "n": point.n,
            **ends,
        }


def _words(curve: Curve) -> str:
    """What the examples gain, in a few words."""
    if curve.gain is None or curve.gain.low is None or curve.gain.high is None:
        return f"{curve.model}: no gain is known"
    low, value, high = (100 * number for number in (curve.gain.low, curve.gain.value, curve.gain.high))
    change = f"{value:+.1f} [{low:+.1f}, {high:+.1f}] points from {curve.fewest} to {curve.most} examples"
    return f"{curve.model}: {change}, {curve.verdict}"


def _chart(data: Rows, tasks: Sequence[str]) -> dict[str, Any]:
    models = list(dict.fromkeys(row["model"] for row in data))
    panels = [_panel([row for row in data if row["task"] == task], task, models) for task in tasks]
    return finished(alt.concat(*panels, columns=COLUMNS, spacing=28))


def _panel(rows: Rows, task: str, models: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    shots = sorted({row["shots"] for row in rows})
    ends = [value for row in rows for value in (row["low"], row["percent"], row["high"]) if value is not None]
    domain = [max(0.0, min(ends) - MARGIN), min(100.0, max(ends) + MARGIN)]
    color = alt.Color(
        "model:N", title=None, scale=alt.Scale(domain=models, range=list(COLORS)), legend=alt.Legend(orient="bottom")
    )
    x = alt.X("shots:O", title="Worked examples", sort=shots, axis=alt.Axis(labelAngle=0))
    base = alt.Chart(inline(rows)).encode(x=x)
    if len(models) > 1:
        base = base.encode(xOffset=alt.XOffset("model:N", sort=models))
    y = alt.Y("percent:Q", title="Score (%)", scale=alt.Scale(domain=domain, zero=False), axis=alt.Axis(tickCount=5))
    tips = tooltips(rows, "model", "task", "shots", "percent", "low", "high", "n", "gain", "gain_low", "gain_high")
    layers = [
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_line(strokeWidth=1.25, opacity=0.7).encode(y=y, color=color),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, color=color, tooltip=tips),
    ]
    return alt.layer(*layers).properties(width=190, height=170, title=task.replace("_", " "))
