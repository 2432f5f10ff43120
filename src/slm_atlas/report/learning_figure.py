"""The survey's Figure 6, in-context learning: scores over the number of worked examples, and gain over size."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Dataset
from slm_atlas.insights.learning import AVERAGE, Curve
from slm_atlas.report.charts import COLORS, GREY, OURS, THEIRS, Rows, finished, inline, log_axis, tooltips
from slm_atlas.report.figures import HERE, Figure, Side
from slm_atlas.report.vega import alt

COLUMNS = 3
"""Panels beside each other."""
MARGIN = 4.0
"""Percent of room above and below the intervals."""
SURVEY = "the survey"
MEDIAN = "median of the survey's models"


def learning_figure(curves: Sequence[Curve], side: Side = Side.MINE) -> Figure | None:
    """Figure 6a: a panel a task, the average first; None where no task ran with several numbers of worked examples.

    With both, the panels are those of the tasks of the survey.
    """
    data = learning_rows(curves, side)
    if not data:
        return None
    tasks = sorted({row["task"] for row in data}, key=lambda task: (task != AVERAGE, task))
    if side is Side.BOTH:
        tasks = [task for task in tasks if task in paper.fig6().scores]
    data = [row for row in data if row["task"] in tasks]
    data.sort(key=lambda row: (tasks.index(row["task"]), row["source"], row["model"], row["shots"]))
    told = [_told(curves)] if side.mine else []
    told += [_told_survey(data)] if side.paper else []
    title = "The survey's Figure 6a: in-context learning"
    return Figure(name="fig6a", title=title, caption=" ".join(told), spec=_chart(data, tasks), rows=data)


def learning_rows(curves: Sequence[Curve], side: Side) -> list[dict[str, Any]]:
    """The data of `learning_figure`, of all tasks; empty where what was asked for is not there."""
    own = [row for curve in curves for row in _rows(curve)] if side.mine else []
    return [*own, *(_surveyed() if side.paper else ())] if own or not side.mine else []


def _surveyed() -> Iterator[dict[str, Any]]:
    nothing = {"low": None, "high": None, "n": None, "gain": None, "gain_low": None, "gain_high": None}
    for task, families in paper.fig6().scores.items():
        for family, scores in families.items():
            for shots, score in scores.items():
                told = {"task": task, "model": family, "source": SURVEY, "shots": int(shots)}
                yield told | {"percent": 100 * score} | nothing


def _told(curves: Sequence[Curve]) -> str:
    words = "; ".join(_words(curve) for curve in curves if curve.task == AVERAGE)
    return (
        "Scores by the number of worked examples before a question, with 95% intervals over the items. "
        "Gains are of the same items, with most examples minus with fewest, and have intervals of their own, which are "
        f"narrower than these seem to say.{f' On average over tasks: {words}.' if words else ''}"
    )


def _told_survey(data: Rows) -> str:
    """How many of the survey's models gain, on the tasks where most and fewest do."""
    ends: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in data:
        if row["source"] == SURVEY:
            ends[row["task"]][row["model"]][row["shots"]] = row["percent"]
    gains = {
        task: [scores[max(scores)] - scores[min(scores)] for scores in models.values()]
        for task, models in ends.items()
        if task != AVERAGE
    }
    share = {task: sum(gain > 0 for gain in found) / len(found) for task, found in gains.items()}
    most, least = max(share, key=lambda task: share[task]), min(share, key=lambda task: share[task])
    return (
        f"Thin: one model of each of {len(ends[most])} families, in the survey; thick: their median. From 0 to 5 "
        f"examples {share[most]:.0%} of them gain on {most} (median {statistics.median(gains[most]):+.1f} points) and "
        f"{share[least]:.0%} on {least} ({statistics.median(gains[least]):+.1f})."
    )


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
            "source": HERE,
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
    models = list(dict.fromkeys(row["model"] for row in data if row["source"] == HERE))
    survey = [MEDIAN] if any(row["source"] == SURVEY for row in data) else []
    panels = [_panel([row for row in data if row["task"] == task], task, [*models, *survey]) for task in tasks]
    return finished(alt.concat(*panels, columns=COLUMNS, spacing={"row": 84, "column": 64}, bounds="flush"))


def _panel(rows: Rows, task: str, models: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    shots = sorted({row["shots"] for row in rows})
    ends = [value for row in rows for value in (row["low"], row["percent"], row["high"]) if value is not None]
    domain = [max(0.0, min(ends) - MARGIN), min(100.0, max(ends) + MARGIN)]
    x = alt.X("shots:O", title="Worked examples", sort=shots, axis=alt.Axis(labelAngle=0))
    y = alt.Y("percent:Q", title="Score (%)", scale=alt.Scale(domain=domain, zero=False), axis=alt.Axis(tickCount=5))
    hues = [GREY if model == MEDIAN else color for model, color in zip(models, _cycle(len(models)), strict=True)]
    legend = alt.Legend(orient="bottom", columns=2, labelLimit=300)
    color = alt.Color("model:N", title=None, scale=alt.Scale(domain=list(models), range=hues), legend=legend)
    own = [row for row in rows if row["source"] == HERE]
    theirs = [row for row in rows if row["source"] == SURVEY]
    layers = _theirs(theirs, x, y, color) if theirs else []
    layers += _ours(own, x, y, color, [model for model in models if model != MEDIAN]) if own else []
    return alt.layer(*layers).properties(width=190, height=170, title=task.replace("_", " "))


def _cycle(number: int) -> list[str]:
    hues = [color for color in COLORS if color != GREY]
    return [hues[place % len(hues)] for place in range(number)]


def _theirs(rows: Rows, x: alt.X, y: alt.Y, color: alt.Color) -> list[alt.Chart]:
    """The survey's models as thin lines, and their median as a thick one."""
    points: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        points[row["shots"]].append(row["percent"])
    middle = [{"model": MEDIAN, "shots": at, "percent": statistics.median(of)} for at, of in points.items()]
    thin = alt.Chart(inline(rows)).mark_line(strokeWidth=0.8, opacity=0.45, color=GREY)
    thick = alt.Chart(inline(middle)).mark_line(strokeWidth=3.5, opacity=0.95, strokeDash=[6, 3])
    return [thin.encode(x=x, y=y, detail="model:N"), thick.encode(x=x, y=y, color=color)]


def _ours(rows: Rows, x: alt.X, y: alt.Y, color: alt.Color, models: Sequence[str]) -> list[alt.Chart]:
    base = alt.Chart(inline(rows)).encode(x=x)
    if len(models) > 1:
        base = base.encode(xOffset=alt.XOffset("model:N", sort=list(models)))
    tips = tooltips(rows, "model", "task", "shots", "percent", "low", "high", "n", "gain", "gain_low", "gain_high")
    return [
        base.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q", color=color),
        base.mark_line(strokeWidth=1.25, opacity=0.7).encode(y=y, color=color),
        base.mark_point(filled=True, size=70, opacity=1).encode(y=y, color=color, tooltip=tips),
    ]


# ---- Figure 6b ------------------------------------------------------------------------------------------------------


def gain_figure(curves: Sequence[Curve], sizes: dict[str, float], side: Side) -> Figure | None:
    """Figure 6b: what the worked examples gain on average over tasks, by size; None where nothing is known.

    Args:
        curves: of the models evaluated here.
        sizes: their parameters in billions, by the model's name.
        side: whose.
    """
    rows = gain_rows(curves, sizes, side)
    if not rows:
        return None
    theirs, own = ([row for row in rows if row["source"] == source] for source in (SURVEY, HERE))
    told = []
    if theirs:
        gain = sum(row["points"] > 0 for row in theirs)
        told.append(
            f"{gain} of the survey's {len(theirs)} models score higher with five worked examples than with none, on "
            f"average over eight tasks; the median gain is {statistics.median(row['points'] for row in theirs):+.1f} "
            f"points, of those below a billion parameters {_median_below(theirs):+.1f}."
        )
    if own:
        words = "; ".join(_words(curve) for curve in curves if curve.task == AVERAGE)
        told.append(f"Here, with 95% intervals over the same items: {words}.")
    title = "The survey's Figure 6b: gain from worked examples by size"
    return Figure(name="fig6b", title=title, caption=" ".join(told), spec=_gains(rows), rows=rows)


def gain_rows(curves: Sequence[Curve], sizes: dict[str, float], side: Side) -> list[dict[str, Any]]:
    """The data of `gain_figure`; empty where what was asked for is not there."""
    own = [_gained(curve, sizes[curve.model]) for curve in curves if curve.model in sizes and curve.task == AVERAGE]
    own = [row for row in own if row["points"] is not None] if side.mine else []
    theirs = [_grown(point) for point in paper.fig6().growth.points] if side.paper else []
    return theirs + own if own or not side.mine else []


def sizes_of(names: dict[str, str], dataset: Dataset) -> dict[str, float]:
    """Parameters in billions by the model's name, of the files whose number is known.

    Args:
        names: sha256 of each file, by the model's name.
        dataset: what knows the files.
    """
    params = {name: dataset.artifacts[artifact].params for name, artifact in names.items()}
    return {name: number / 1e9 for name, number in params.items() if number}


def _gained(curve: Curve, billions: float) -> dict[str, Any]:
    gain = curve.gain
    ends = (None, None, None) if gain is None else (gain.value, gain.low, gain.high)
    value, low, high = (None if end is None else 100 * end for end in ends)
    told = {"model": curve.model, "source": HERE, "params_billions": billions}
    return told | {"points": value, "low": low, "high": high, "n": None if gain is None else gain.n}


def _grown(point: paper.Growth) -> dict[str, Any]:
    told = {"model": point.model, "source": SURVEY, "params_billions": point.params_billion}
    return told | {"points": 100 * point.growth, "low": None, "high": None, "n": None}


def _median_below(rows: Rows) -> float:
    return float(statistics.median(row["points"] for row in rows if row["params_billions"] < 1))


def _gains(rows: Rows) -> dict[str, Any]:
    sources = list(dict.fromkeys(row["source"] for row in rows))
    scale = alt.Scale(domain=[SURVEY, HERE], range=[THEIRS, OURS])
    legend = alt.Legend(orient="bottom") if len(sources) > 1 else None
    base = alt.Chart(inline(rows)).encode(
        x=alt.X(
            "params_billions:Q", title="Parameters (billions)", **log_axis([row["params_billions"] for row in rows])
        ),
        y=alt.Y("points:Q", title="Gain, 0 to 5 examples (points)"),
        color=alt.Color("source:N", title=None, scale=scale, legend=legend),
    )
    tips = tooltips(rows, "model", "source", "params_billions", "points", "low", "high", "n")
    zero = alt.Chart(inline([{"zero": 0}])).mark_rule(color="currentColor", opacity=0.6)
    layers = [
        zero.encode(y="zero:Q"),
        base.mark_point(filled=True, size=70, opacity=0.7).encode(tooltip=tips),
        base.transform_filter(f"datum.source == '{HERE}'")
        .mark_rule(strokeWidth=2)
        .encode(y=alt.Y("low:Q"), y2="high:Q"),
    ]
    return finished(alt.layer(*layers).properties(width=640, height=320))
