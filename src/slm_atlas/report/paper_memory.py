"""The survey's Figure 11: what memory is used for, model by model, there and as measured here at the same context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slm_atlas import units
from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row
from slm_atlas.report.charts import COLORS, GREY, Rows, category_axis, finished, inline, tooltips
from slm_atlas.report.figures import HERE, Figure, Side, labels
from slm_atlas.report.paper_costs import by_tensors, tensors_of
from slm_atlas.report.vega import alt
from slm_atlas.survey.memory import CONTEXT

SURVEY = "the survey"
REPACKED = "weights repacked"
"""Held a second time, as today's kernels read them; the survey's engine had none of these."""
PARTS = {"weights": COLORS[0], REPACKED: COLORS[6], "KV cache": COLORS[1], "compute buffer": COLORS[2], "other": GREY}
"""From the axis outwards, with their colours. Other is here the output buffer, and the process before it loads."""
_MEASURED: Mapping[str, tuple[str, ...]] = {
    REPACKED: ("repacked_bytes",),
    "KV cache": ("kv_bytes",),
    "compute buffer": ("compute_bytes",),
    "other": ("output_bytes", "baseline_bytes"),
}


def memory_breakdown(rows: Sequence[Row], side: Side) -> Figure | None:
    """Figure 11, and ours at a context of 2048; None where nothing is known.

    With both, our models are those of the figure; alone, all that were measured alike.
    """
    data = memory_rows(rows, side)
    if not data:
        return None
    title = "The survey's Figure 11: what memory is used for"
    return Figure(name="fig11", title=title, caption=_caption(data), spec=_chart(data), rows=data)


def memory_rows(rows: Sequence[Row], side: Side) -> list[dict[str, Any]]:
    """The data of `memory_breakdown`; empty where what was asked for is not there."""
    own = _measured(rows)
    names = _matched(own) if side is Side.BOTH else _named(own) if side.mine else {}
    ours = [entry for name, row in names.items() for entry in _parts(name, row)]
    return [*(_surveyed() if side.paper else ()), *ours] if ours or not side.mine else []


def _surveyed() -> Iterator[dict[str, Any]]:
    for bar in paper.fig11().models:
        sizes = {"weights": bar.model_parameter_mib, "KV cache": bar.kv_cache_mib}
        sizes |= {"compute buffer": bar.compute_buffer_mib, "other": bar.other_mib}
        for part, size in sizes.items():
            yield {"model": bar.model, "source": SURVEY, "part": part, "MiB": size, "range": None, "n": None}


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
    others = {part: _size(row, metrics) for part, metrics in _MEASURED.items()}
    whole, width, n = _size(row, ("model_bytes",))
    sizes = {"weights": (whole - others[REPACKED][0], width, n)} | others
    for part, (size, between, runs) in sizes.items():
        told = {"model": name, "source": HERE, "part": part, "MiB": size / units.MIB}
        yield told | {"range": None if between is None else between / units.MIB, "n": runs}


def _size(row: Row, metrics: Sequence[str]) -> tuple[float, float | None, int | None]:
    """Bytes of a part, the width of the widest interval in it, and the runs behind it."""
    found = [row.metrics[metric] for metric in metrics if metric in row.metrics]
    widths = [each.high - each.low for each in found if each.low is not None and each.high is not None]
    return sum(each.value for each in found), max(widths, default=None), max((each.n for each in found), default=None)


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
            f"{source.capitalize()} ({len(bars)} models): the cache takes most of {cache} ({share:.0%}), and the "
            f"largest compute buffer is {buffer}'s, {bars[buffer]['compute buffer']:,.0f} MiB."
        )
    return f"What memory is used for at a context of {CONTEXT:,} tokens, a bar a model. {' '.join(told)}{_steady(data)}"


def _steady(data: Rows) -> str:
    """What to know of our bars: what is in them, and by how much they vary."""
    own = [row for row in data if row["source"] == HERE]
    if not own:
        return ""
    widths = [row["range"] for row in own if row["range"] is not None]
    vary = f"The widest 95% interval of a part is {max(widths):.1f} MiB wide, too narrow to draw." if widths else ""
    return (
        " Repacked weights are held a second time, as today's kernels read them. In other, here: the output buffer, "
        f"and the process before the model was loaded. {vary or 'One run a model: no intervals.'}"
    )


def _chart(data: Rows) -> dict[str, Any]:
    sources = list(dict.fromkeys(row["source"] for row in data))
    models = list(dict.fromkeys(row["model"] for row in data))
    totals: dict[tuple[str, str], float] = {}
    for row in data:
        totals[row["source"], row["model"]] = totals.get((row["source"], row["model"]), 0.0) + row["MiB"]
    domain = [0.0, max(totals.values()) * 1.02]
    parts = [part for part in PARTS if any(row["part"] == part and row["MiB"] for row in data)]
    color = alt.Color(
        "part:N",
        title=None,
        scale=alt.Scale(domain=parts, range=[PARTS[part] for part in parts]),
        legend=alt.Legend(orient="bottom", columns=4),
    )
    panels = []
    for source in sources:
        own = [{**row, "place": list(PARTS).index(row["part"])} for row in data if row["source"] == source]
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
