"""The survey's Figure 7 beside what was measured here: latency and memory of the same shapes on two machines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from slm_atlas import catalog, units
from slm_atlas.anatomy import Tensor, inventory
from slm_atlas.catalog import paper
from slm_atlas.catalog.paper import CostPoint
from slm_atlas.insights import trends
from slm_atlas.insights.frame import PAPER_TOKENS, Row
from slm_atlas.report.charts import GREY, OURS, THEIRS, Rows, category_axis, finished, inline, log_axis, tooltips
from slm_atlas.report.figures import HERE, JETSON, Figure, Side, labels, processes
from slm_atlas.report.vega import alt
from slm_atlas.stats import Estimate

MIN_MODELS = 3
"""Fewer models than this in common are no comparison."""
PANELS = {"prefill_s": "First token (ms)", "decode_s": "Every further token (ms)", "peak_rss_bytes": "Memory (MiB)"}
"""What is compared: our metric, and its panel's title."""
_SCALES = {"prefill_s": 1e3, "decode_s": 1e3, "peak_rss_bytes": 1 / units.MIB}


def paper_figure(rows: Sequence[Row], side: Side = Side.BOTH) -> Figure | None:
    """Our numbers and those of Figure 7, a line a model; None where there are none.

    With both, the models are those of the figure that were measured as it was, and too few of them are no comparison.
    """
    data = cost_rows(rows, side)
    if not data:
        return None
    if side is Side.BOTH:
        caption = _caption(data)
    elif side is Side.PAPER:
        caption = f"{_growth(data)} On a Jetson Orin NX's GPU; the memory is the sum of the engine's buffers."
    else:
        caption = f"{_growth(data)} Bars are 95% intervals over {processes(data)}."
    return Figure(name="fig7", title=TITLE, caption=caption, spec=_chart(_some(data)), rows=data)


def cost_rows(rows: Sequence[Row], side: Side) -> list[dict[str, Any]]:
    """The data of `paper_figure`; empty where what was asked for is not there."""
    points = sorted(paper.fig7().models, key=lambda point: point.params_million)
    if side is Side.PAPER:
        return [_theirs(point, metric) for point in points for metric in PANELS]
    if side is Side.MINE:
        return _all_ours(rows)
    pairs = _pairs(rows, points)
    found = [entry for point, row in pairs for metric in PANELS for entry in _entries(point, row, metric)]
    return found if len(pairs) >= MIN_MODELS else []


MOST_MODELS = 60
"""So many models are drawn, from the smallest to the largest; all are in the data."""


def _some(data: Rows) -> Rows:
    names = list(dict.fromkeys(row["model"] for row in data))
    step = len(names) / MOST_MODELS
    shown = names if step <= 1 else [names[int(place * step)] for place in range(MOST_MODELS)]
    return [row for row in data if row["model"] in set(shown)]


TITLE = "The survey's Figure 7: latency and memory"


def _alike(rows: Sequence[Row]) -> list[Row]:
    """The rows that were measured as the figure was, the smallest first."""
    alike = [row for row in trends.comparable(rows, metric="decode_s") if row.settings.get("n_prompt") == PAPER_TOKENS]
    return sorted(alike, key=lambda row: (row.params or 0, row.name))


def _all_ours(rows: Sequence[Row]) -> list[dict[str, Any]]:
    alike = _alike(rows)
    named = [(label, row) for label, row in zip(labels(alike), alike, strict=True) if row.params]
    return [
        {"model": label, "params_millions": (row.params or 0) / 1e6, "what": PANELS[metric], "source": HERE}
        | _numbers(row.metrics[metric], _SCALES[metric])
        for label, row in named
        for metric in PANELS
        if metric in row.metrics
    ]


def _growth(data: Rows) -> str:
    """By how much each cost grows from the smallest model to the largest."""
    told = []
    for title in PANELS.values():
        own = sorted((row for row in data if row["what"] == title), key=lambda row: row["params_millions"])
        if own:
            what, unit = title.removesuffix(")").split(" (")
            told.append(f"{what.lower()} from {own[0]['value']:,.3g} to {own[-1]['value']:,.4g} {unit}")
    sizes = sorted({(row["params_millions"], row["model"]) for row in data})
    return (
        f"{len(sizes)} models, from {sizes[0][1]} to {sizes[-1][1]} ({sizes[-1][0] / sizes[0][0]:.0f} times the "
        f"parameters): {', '.join(told)}."
    )


def _pairs(rows: Sequence[Row], points: Sequence[CostPoint]) -> list[tuple[CostPoint, Row]]:
    """The models of Figure 7 with the row of a file of the same tensors, in the order of the points."""
    known = by_tensors(_alike(rows))
    return [(point, known[key]) for point in points if (key := tensors_of(point.model_id)) in known]


def by_tensors(rows: Sequence[Row]) -> dict[tuple[Tensor, ...], Row]:
    """Rows of catalogued models by their tensors: models of one shape cost the same, whichever was measured."""
    # A forged file has its model's name; a model of the survey may stand for others of the same shape.
    ids = {model.name: model.id for model in catalog.models()}
    return {tensors_of(ids[row.name]): row for row in rows if row.name in ids}


@cache
def tensors_of(model_id: str) -> tuple[Tensor, ...]:
    """All tensors of a catalogued model."""
    return tuple(inventory(catalog.get(model_id).architecture))


def _entries(point: CostPoint, row: Row, metric: str) -> list[dict[str, Any]]:
    """One number of a model, here and there; none if it was not measured here."""
    ours = row.metrics.get(metric)
    if ours is None:
        return []
    theirs = _theirs(point, metric)
    return [theirs | {"source": HERE, **_numbers(ours, _SCALES[metric])}, theirs]


def _theirs(point: CostPoint, metric: str) -> dict[str, Any]:
    """One number of a model in the figure."""
    numbers = {
        "prefill_s": point.first_token_latency_ms,
        "decode_s": point.decode_latency_ms_per_token,
        "peak_rss_bytes": point.memory_mib,
    }
    told = {"model": point.model, "params_millions": point.params_million, "what": PANELS[metric], "source": JETSON}
    return told | {"value": numbers[metric], "low": None, "high": None, "n": None}


def _numbers(estimate: Estimate, scale: float) -> dict[str, float | None]:
    low, high = (None if end is None else end * scale for end in (estimate.low, estimate.high))
    return {"value": estimate.value * scale, "low": low, "high": high, "n": estimate.n}


def _caption(data: Rows) -> str:
    models = len({row["model"] for row in data})
    orders = [f"{title.partition(' (')[0].lower()} {_rank_correlation(data, title):.2f}" for title in PANELS.values()]
    return (
        f"The {models} models of Figure 7 whose shape was measured here, {PAPER_TOKENS} tokens read and {PAPER_TOKENS} "
        f"written (random weights here); bars, often smaller than the point, are 95% intervals over "
        f"{processes(data)}. The machines differ, so the numbers do; whether the order of the models is the same is "
        f"what Spearman's rank correlation tells (1: the same): {', '.join(orders)}. The survey's memory is the sum of "
        "the engine's buffers, ours the peak of the process."
    )


def _rank_correlation(data: Rows, title: str) -> float:
    from scipy.stats import spearmanr  # half a second, where nothing else needs it

    ours, theirs = (
        [row["value"] for row in data if row["what"] == title and row["source"] == source] for source in (HERE, JETSON)
    )
    return float(spearmanr(ours, theirs).statistic)


def _chart(data: Rows) -> dict[str, Any]:
    """A panel a cost, a line a model: a point here, a square there."""
    names = list(dict.fromkeys(row["model"] for row in data))
    sources = [source for source in (HERE, JETSON) if any(row["source"] == source for row in data)]
    scale = alt.Scale(domain=sources, range=[_RANGE[source] for source in sources])
    legend = alt.Legend(orient="bottom") if len(sources) > 1 else None
    color = alt.Color("source:N", title=None, legend=legend, scale=scale)
    form = alt.Shape("source:N", title=None, legend=legend, scale=alt.Scale(domain=[HERE, JETSON], range=_FORMS))
    panels = []
    for title in PANELS.values():
        own = [row for row in data if row["what"] == title]
        base = alt.Chart(inline(own)).encode(y=alt.Y("model:N", title=None, sort=names, axis=category_axis()))
        x = alt.X("value:Q", title=title, **log_axis([row["value"] for row in own]))
        tips = tooltips(data, "model", "source", "value", "low", "high", "n")
        line = base.mark_line(color=GREY, opacity=0.5).encode(x=x, detail="model:N")
        bars = base.mark_rule(strokeWidth=1.5).encode(x=alt.X("low:Q"), x2="high:Q", color=color)
        points = base.mark_point(filled=True, size=60, opacity=0.95).encode(x=x, color=color, shape=form, tooltip=tips)
        panels.append(alt.layer(line, bars, points).properties(width=190, height=18 * len(names)))
    return finished(alt.concat(*panels, columns=3, spacing=24))


_RANGE = {HERE: OURS, JETSON: THEIRS}
_FORMS = ["circle", "square"]
