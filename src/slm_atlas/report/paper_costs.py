"""The survey's Figure 7 beside what was measured here: latency and memory of the same shapes on two machines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import altair as alt

from slm_atlas import catalog, units
from slm_atlas.anatomy import Tensor, inventory
from slm_atlas.catalog import paper
from slm_atlas.catalog.paper import CostPoint
from slm_atlas.insights import trends
from slm_atlas.insights.frame import PAPER_TOKENS, Row
from slm_atlas.report.charts import COLORS, GREY, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import Figure
from slm_atlas.stats import Estimate

HERE = "here"
"""The source of what was measured."""
SURVEY = "the survey, on a Jetson Orin NX"
"""The source of the survey's own numbers."""
MIN_MODELS = 3
"""Fewer models than this in common are no comparison."""
PANELS = {"prefill_s": "First token (ms)", "decode_s": "Every further token (ms)", "peak_rss_bytes": "Memory (MiB)"}
"""What is compared: our metric, and its panel's title."""
_SCALES = {"prefill_s": 1e3, "decode_s": 1e3, "peak_rss_bytes": 1 / units.MIB}


def paper_figure(rows: Sequence[Row]) -> Figure | None:
    """Our numbers and those of Figure 7, a line a model; None where too few of its models were measured as it was."""
    pairs = _pairs(rows)
    if len(pairs) < MIN_MODELS:
        return None
    data = [entry for point, row in pairs for metric in PANELS for entry in _entries(point, row, metric)]
    return Figure(
        name="paper-costs",
        title="The survey's Figure 7, here and there",
        caption=_caption(data, len(pairs)),
        spec=_chart(data),
        rows=data,
    )


def _pairs(rows: Sequence[Row]) -> list[tuple[CostPoint, Row]]:
    """The models of Figure 7 with the row of a file of the same tensors, smallest first."""
    alike = [row for row in trends.comparable(rows, metric="decode_s") if row.settings.get("n_prompt") == PAPER_TOKENS]
    # A forged file has its model's name; a model of the survey may stand for others of the same shape.
    ids = {model.name: model.id for model in catalog.models()}
    by_tensors = {_tensors(ids[row.name]): row for row in alike if row.name in ids}
    points = sorted(paper.fig7().models, key=lambda point: point.params_million)
    return [(point, by_tensors[key]) for point in points if (key := _tensors(point.model_id)) in by_tensors]


@cache
def _tensors(model_id: str) -> tuple[Tensor, ...]:
    return tuple(inventory(catalog.get(model_id).architecture))


def _entries(point: CostPoint, row: Row, metric: str) -> list[dict[str, Any]]:
    """One number of a model, here and there; none if it was not measured here."""
    theirs = {
        "prefill_s": point.first_token_latency_ms,
        "decode_s": point.decode_latency_ms_per_token,
        "peak_rss_bytes": point.memory_mib,
    }
    ours = row.metrics.get(metric)
    if ours is None:
        return []
    told = {"model": point.model, "params_millions": point.params_million, "what": PANELS[metric]}
    return [
        {**told, "source": HERE, **_numbers(ours, _SCALES[metric])},
        {**told, "source": SURVEY, "value": theirs[metric], "low": None, "high": None, "n": None},
    ]


def _numbers(estimate: Estimate, scale: float) -> dict[str, float | None]:
    low, high = (None if end is None else end * scale for end in (estimate.low, estimate.high))
    return {"value": estimate.value * scale, "low": low, "high": high, "n": estimate.n}


def _caption(data: Rows, models: int) -> str:
    orders = [f"{title.partition(' (')[0].lower()} {_rank_correlation(data, title):.2f}" for title in PANELS.values()]
    return (
        f"The {models} models of Figure 7 whose shape was measured here, {PAPER_TOKENS} tokens read and {PAPER_TOKENS} "
        "written (random weights here). The machines differ, so the numbers do; whether the order of the models is the "
        f"same is what Spearman's rank correlation tells (1: the same): {', '.join(orders)}. The survey's memory is "
        "the sum of the engine's buffers, ours the peak of the process."
    )


def _rank_correlation(data: Rows, title: str) -> float:
    from scipy.stats import spearmanr  # half a second, where nothing else needs it

    ours, theirs = (
        [row["value"] for row in data if row["what"] == title and row["source"] == source] for source in (HERE, SURVEY)
    )
    return float(spearmanr(ours, theirs).statistic)


def _chart(data: Rows) -> dict[str, Any]:
    """A panel a cost, a line a model: a point here, a ring there."""
    names = list(dict.fromkeys(row["model"] for row in data))
    panels = []
    for number, title in enumerate(PANELS.values()):
        base = alt.Chart(inline([row for row in data if row["what"] == title])).encode(
            y=alt.Y("model:N", title=None, sort=names, axis=None if number else category_axis())
        )
        x = alt.X("value:Q", title=title, scale=alt.Scale(type="log", nice=True), axis=alt.Axis(tickCount=4))
        legend = alt.Legend(orient="bottom")
        color = alt.Color("source:N", title=None, legend=legend, scale=alt.Scale(domain=[HERE, SURVEY], range=_RANGE))
        tips = tooltips(data, "model", "source", "value", "low", "high", "n")
        line = base.mark_line(color=GREY, opacity=0.5).encode(x=x, detail="model:N")
        bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q", color=color)
        points = base.mark_point(filled=True, size=60, opacity=0.95).encode(x=x, color=color, tooltip=tips)
        panels.append(alt.layer(line, bars, points).properties(width=230, height=18 * len(names)))
    return finished(alt.hconcat(*panels, spacing=20))


_RANGE = (COLORS[0], COLORS[1])
