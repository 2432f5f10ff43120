"""Memory against the context, part by part: what was measured beside what the arithmetic predicts.

A run that was refused because it would not fit has a place here too: at what it would have needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec

from slm_atlas import catalog, units
from slm_atlas.anatomy import Estimate, Quantization, estimate
from slm_atlas.anatomy.cache import KV_TYPE_BYTES
from slm_atlas.insights.frame import Row
from slm_atlas.report.charts import COLORS, GREY, Rows, axis_of, finished, inline, tooltips
from slm_atlas.report.figures import Figure, labels
from slm_atlas.report.tables import NOT_MEASURED, Cell, Table
from slm_atlas.report.vega import alt

MEASURED, PREDICTED, REFUSED = "measured", "predicted", "would be needed: refused"
"""Where a number comes from."""
MIN_CONTEXTS = 3
"""Fewer contexts than this show no course."""
MAX_MODELS = 4
"""Most models drawn side by side, the smallest first; the table has all."""
PEAK = "peak resident set"
PARTS = {
    "weights": "weights in the file",
    "repacked_bytes": "weights repacked",
    "kv_bytes": "KV cache",
    "compute_bytes": "compute buffers",
    "peak_rss_bytes": PEAK,
}
"""What is drawn: the metric (`weights` is derived), and its name."""
_PREDICTIONS = {"weights": "weight_bytes", "kv_bytes": "kv_bytes", "compute_bytes": "compute_bytes"}
_COLUMNS = {
    "weights": "Weights",
    "repacked_bytes": "Repacked",
    "kv_bytes": "KV cache",
    "compute_bytes": "Compute buffer",
    "output_bytes": "Output buffer",
    "baseline_bytes": "Process before",
    "unaccounted_bytes": "Unaccounted",
    "peak_rss_bytes": "Peak memory",
}


class _Arm(NamedTuple):
    """A row at a context and a type of cache."""

    row: Row
    model: str
    context: int
    kv_type: str


def context_table(rows: Sequence[Row]) -> Table:
    """A line a model, context and type of cache: the parts of its memory, and what was predicted of them."""
    columns = ["Model", "Context", "KV type", *_COLUMNS.values(), "Predicted"]
    lines = [
        [
            Cell(arm.model, (arm.row.quantization,), arm.model.lower()),
            Cell(f"{arm.context:,}", (), arm.context),
            Cell(arm.kv_type, (), arm.kv_type),
            *(_bytes(_measured(arm.row, metric), arm.row) for metric in _COLUMNS),
            _bytes(found.memory_bytes if (found := predicted(arm)) else None, None),
        ]
        for arm in context_arms(rows)
    ]
    return Table("What their memory is used for, by context", columns, lines)


def _bytes(value: float | None, row: Row | None) -> Cell:
    if value is None:
        outcomes = sorted({str(failed.outcome) for failed in row.failures}) if row and not row.n_runs else []
        return Cell(NOT_MEASURED, tuple(outcomes))
    return Cell(units.format_bytes(value), (), value)


def context_figure(rows: Sequence[Row]) -> Figure | None:
    """Memory by part against the context, a panel a model and type of cache; None where contexts were not varied."""
    arms = context_arms(rows)
    drawn = set(list(dict.fromkeys(arm.model for arm in arms))[:MAX_MODELS])
    data = [entry for arm in arms if arm.model in drawn for entry in _entries(arm)]
    if not data:
        return None
    return Figure(
        name="contexts",
        title="Memory against the context",
        caption=_caption(data),
        spec=_chart(data),
        rows=data,
    )


def context_arms(rows: Sequence[Row]) -> list[_Arm]:
    """The largest set of rows that differ in model, context and type of cache alone, of models with contexts enough."""
    groups: dict[tuple[str, str, bytes], list[Row]] = defaultdict(list)
    for row in rows:
        if "context" in row.settings and "kv_type" in row.settings and row.params is not None:
            alike = {key: value for key, value in row.settings.items() if key not in ("context", "kv_type")}
            groups[row.host, row.engine, msgspec.json.encode(alike, order="sorted")].append(row)
    found = max((_varied(group) for group in groups.values()), key=len, default=[])
    names = dict(zip((row.artifact for row in found), _names(found), strict=True))
    arms = [_Arm(row, names[row.artifact], row.settings["context"], row.settings["kv_type"]) for row in found]
    kinds = list(dict.fromkeys(arm.kv_type for arm in sorted(arms, key=lambda arm: -_width(arm))))
    return sorted(arms, key=lambda arm: (arm.row.params or 0, arm.model, kinds.index(arm.kv_type), arm.context))


def _width(arm: _Arm) -> float:
    """The wider the cache's numbers, the earlier they stand; a type unknown here stands last."""
    return KV_TYPE_BYTES.get(arm.kv_type, 0.0)


def _varied(rows: Iterable[Row]) -> list[Row]:
    by_file: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_file[row.artifact].append(row)
    enough = [same for same in by_file.values() if len({row.settings["context"] for row in same}) >= MIN_CONTEXTS]
    return [row for same in enough for row in same if any("kv_bytes" in one.metrics for one in same)]


def _names(rows: Sequence[Row]) -> list[str]:
    """A name a row, the same for all rows of a file."""
    files = list({row.artifact: row for row in rows}.values())
    by_file = dict(zip((row.artifact for row in files), labels(files), strict=True))
    return [by_file[row.artifact] for row in rows]


def _measured(row: Row, metric: str) -> float | None:
    """A part in bytes; the file's weights are what the engine holds less what it holds a second time."""
    if metric == "weights":
        whole, twice = (row.metrics.get(name) for name in ("model_bytes", "repacked_bytes"))
        return None if whole is None or twice is None else whole.value - twice.value
    found = row.metrics.get(metric)
    return None if found is None else found.value


def predicted(arm: _Arm) -> Estimate | None:
    """What `slm estimate` says of a catalogued model; None of another."""
    ids = {model.name: model.id for model in catalog.models()}
    if arm.row.name not in ids or arm.row.quantization not in list(Quantization):
        return None
    micro_batch = int(arm.row.settings.get("micro_batch", 512))
    return _estimate(ids[arm.row.name], Quantization(arm.row.quantization), arm.context, micro_batch, arm.kv_type)


@cache
def _estimate(model_id: str, label: Quantization, context: int, micro_batch: int, kv_type: str) -> Estimate | None:
    model = catalog.get(model_id)
    arch = catalog.runnable(model) or model.architecture
    return estimate(arch, label, context=context, micro_batch=micro_batch, kv_type=kv_type)


def _entries(arm: _Arm) -> list[dict[str, Any]]:
    told = {"model": arm.model, "kv_type": arm.kv_type, "context": arm.context}
    numbers = [(name, MEASURED, _measured(arm.row, metric)) for metric, name in PARTS.items()]
    found = predicted(arm)
    if found is not None:
        numbers += [(PARTS[part], PREDICTED, getattr(found, field)) for part, field in _PREDICTIONS.items()]
        if not arm.row.n_runs:
            numbers.append((PEAK, REFUSED, found.memory_bytes))
    return [
        {**told, "part": name, "source": source, "MiB": value / units.MIB}
        for name, source, value in numbers
        if value  # a log axis has no place for what is not there
    ]


def _caption(data: Rows) -> str:
    pairs: dict[tuple[Any, ...], dict[str, float]] = defaultdict(dict)
    for row in data:
        pairs[row["part"], row["model"], row["kv_type"], row["context"]][row["source"]] = row["MiB"]
    errors: dict[str, float] = defaultdict(float)
    for (part, *_), found in pairs.items():
        if MEASURED in found and PREDICTED in found:
            errors[part] = max(errors[part], abs(found[PREDICTED] / found[MEASURED] - 1))
    refused = sum(row["source"] == REFUSED for row in data)
    agreed = "; ".join(f"{part} {error:.1%}" for part, error in errors.items())
    return (
        "What a process allocates as the context it is given grows, one panel a model and type of the KV cache, both "
        "axes logarithmic. Points are measured; dashed lines are what slm estimate says with nothing run."
        + (f" The largest difference between the two: {agreed}." if agreed else "")
        + (f" Not tried, since it would not have fitted into memory (crosses): {refused}." if refused else "")
    )


def _chart(data: Rows) -> dict[str, Any]:
    """Columns of models, rows of cache types."""
    y_axis = axis_of([row["MiB"] for row in data], log=True).drawn()
    models, kinds = (list(dict.fromkeys(row[key] for row in data)) for key in ("model", "kv_type"))
    grid = []
    for kind in kinds:
        found = [[row for row in data if (row["model"], row["kv_type"]) == (model, kind)] for model in models]
        panels = [_panel(own, f"{model}, {kind}", y_axis) for model, own in zip(models, found, strict=True) if own]
        grid.append(alt.hconcat(*panels, spacing=24))
    return finished(alt.vconcat(*grid, spacing=16))


def _panel(rows: Rows, title: str, y_axis: dict[str, Any]) -> alt.LayerChart | alt.FacetChart:
    contexts = sorted({row["context"] for row in rows})
    x = alt.X(
        "context:Q",
        title="Context (tokens)",
        scale=alt.Scale(type="log", base=2),
        axis=alt.Axis(values=contexts, labelExpr="datum.value >= 1024 ? datum.value / 1024 + 'K' : datum.value"),
    )
    legend = alt.Legend(orient="bottom", columns=len(PARTS))
    color = alt.Color("part:N", title=None, legend=legend, scale=alt.Scale(domain=list(PARTS.values()), range=_RANGE))
    # Parts may be equal: points that lie on each other are told apart by their form.
    form = alt.Shape("part:N", title=None, legend=legend, scale=alt.Scale(domain=list(PARTS.values()), range=_FORMS))
    base = alt.Chart(inline(rows)).encode(x=x, y=alt.Y("MiB:Q", title="MiB", **y_axis), color=color)
    tips = tooltips(rows, "model", "kv_type", "context", "part", "source", "MiB")
    lines = base.transform_filter(f"datum.source == '{PREDICTED}'").mark_line(strokeDash=[5, 4], strokeWidth=1.5)
    points = base.transform_filter(f"datum.source == '{MEASURED}'").mark_point(size=60, strokeWidth=1.8)
    crosses = base.transform_filter(f"datum.source == '{REFUSED}'").mark_point(
        shape="cross", angle=45, size=90, filled=True
    )
    layers = (lines, points.encode(tooltip=tips, shape=form), crosses.encode(tooltip=tips))
    return alt.layer(*layers).properties(width=230, height=190, title=title)


_RANGE = (COLORS[0], COLORS[3], COLORS[1], COLORS[2], GREY)
_FORMS = ("square", "diamond", "circle", "triangle-up", "circle")
