"""The survey's Figure 11: what memory is used for, model by model, there and as measured here at the same context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from slm_atlas import units
from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row
from slm_atlas.report.charts import COLORS, GREY, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import HERE, Figure, Side, labels
from slm_atlas.report.paper_costs import by_tensors, tensors_of
from slm_atlas.survey.memory import CONTEXT

SURVEY = "the survey"
PARTS = ("weights", "KV cache", "compute buffer", "other")
"""From the axis outwards. Other is here the output buffer, and the process before the model was loaded."""
_MEASURED: Mapping[str, tuple[str, ...]] = {
    "weights": ("model_bytes",),
    "KV cache": ("kv_bytes",),
    "compute buffer": ("compute_bytes",),
    "other": ("output_bytes", "baseline_bytes"),
}


def memory_breakdown(rows: Sequence[Row], side: Side) -> Figure | None:
    """Figure 11, and ours at a context of 2048; None where nothing is known.

    With both, our models are those of the figure; alone, all that were measured alike.
    """
    own = _measured(rows)
    names = _matched(own) if side is Side.BOTH else _named(own) if side.mine else {}
    data = [
        *(_surveyed() if side.paper else ()),
        *(entry for name, row in names.items() for entry in _parts(name, row)),
    ]
    if not data or (side.mine and not names):
        return None
    title = "The survey's Figure 11: what memory is used for"
    return Figure(name="fig11", title=title, caption=_caption(data), spec=_chart(data), rows=data)


def _surveyed() -> Iterator[dict[str, Any]]:
    for bar in paper.fig11().models:
        sizes = (bar.model_parameter_mib, bar.kv_cache_mib, bar.compute_buffer_mib, bar.other_mib)
        for part, size in zip(PARTS, sizes, strict=True):
            yield {"model": bar.model, "source": SURVEY, "part": part, "MiB": size, "n": None}


def _measured(rows: Sequence[Row]) -> list[Row]:
    """The rows at the figure's context in its format, one a file: that with most runs."""
    alike = [row for row in rows if row.settings.get("context") == CONTEXT and row.quantization == "Q4_K_M"]
    whole = [row for row in alike if {"model_bytes", "kv_bytes", "compute_bytes"} <= row.metrics.keys()]
    found = {(row.host, row.name): row for row in sorted(whole, key=lambda row: row.n_runs)}
    hosts = [row.host for row in found.values()]
    busiest = max(hosts, key=hosts.count, default="")
    return sorted((row for row in found.values() if row.host == busiest), key=lambda row: (row.params or 0, row.name))


def _named(rows: Sequence[Row]) -> dict[str, Row]:
    return dict(zip(labels(rows), rows, strict=True))


def _matched(rows: Sequence[Row]) -> dict[str, Row]:
    """By the figure's name, the row of a file of the same tensors."""
    known = by_tensors(rows)
    return {bar.model: known[key] for bar in paper.fig11().models if (key := tensors_of(bar.model_id)) in known}


def _parts(name: str, row: Row) -> Iterator[dict[str, Any]]:
    for part, metrics in _MEASURED.items():
        found = [row.metrics[metric] for metric in metrics if metric in row.metrics]
        size = sum(each.value for each in found) / units.MIB
        yield {"model": name, "source": HERE, "part": part, "MiB": size, "n": max(each.n for each in found)}


def _caption(data: Rows) -> str:
    told = []
    for source in dict.fromkeys(row["source"] for row in data):
        bars: dict[str, dict[str, float]] = {}
        for row in data:
            if row["source"] == source:
                bars.setdefault(row["model"], {})[row["part"]] = row["MiB"]
        cache = max(bars, key=lambda name: bars[name]["KV cache"] / sum(bars[name].values()))
        buffer = max(bars, key=lambda name: bars[name]["compute buffer"])
        share = bars[cache]["KV cache"] / sum(bars[cache].values())
        told.append(
            f"{source.capitalize()} ({len(bars)} models) the cache takes most of {cache} ({share:.0%}), and the "
            f"largest compute buffer is {buffer}'s, {bars[buffer]['compute buffer']:,.0f} MiB."
        )
    return (
        f"What memory is used for at a context of {CONTEXT:,} tokens, a bar a model. {' '.join(told)} In other, here: "
        "the output buffer and the process before the model was loaded. These sizes do not vary from run to run by "
        "more than a page or two, so that no interval is drawn."
    )


def _chart(data: Rows) -> dict[str, Any]:
    sources = list(dict.fromkeys(row["source"] for row in data))
    models = list(dict.fromkeys(row["model"] for row in data))
    totals: dict[tuple[str, str], float] = {}
    for row in data:
        totals[row["source"], row["model"]] = totals.get((row["source"], row["model"]), 0.0) + row["MiB"]
    domain = [0.0, max(totals.values()) * 1.02]
    colors = [COLORS[0], COLORS[1], COLORS[2], GREY]
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=list(PARTS), range=colors),
        legend=alt.Legend(orient="bottom", columns=4),
    )
    panels = []
    for source in sources:
        own = [row | {"place": PARTS.index(row["part"])} for row in data if row["source"] == source]
        shown = [model for model in models if any(row["model"] == model for row in own)]
        base = alt.Chart(inline(own)).encode(
            x=alt.X("sum(MiB):Q", title="MiB", scale=alt.Scale(domain=domain, nice=False), axis=alt.Axis(tickCount=5)),
            y=alt.Y("model:N", title=None, sort=shown, axis=category_axis()),
            color=color,
            order="place:Q",
            tooltip=tooltips(own, "model", "source", "part", "MiB", "n"),
        )
        title = source.capitalize() if len(sources) > 1 else {"text": ""}
        panels.append(base.mark_bar().properties(width=270, height=18 * len(shown), title=title))
    return finished(alt.concat(*panels, columns=2, spacing=40))
