"""The survey's Figure 8 beside what was measured here: one model in several formats, by the length of the prompt."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row
from slm_atlas.report.charts import COLORS, Rows, finished, inline, tooltips
from slm_atlas.report.figures import HERE, JETSON, Figure, Side
from slm_atlas.report.vega import alt

PHASES = {"prefill": "Prefill (ms)", "decode": "Decode, each token (ms)"}
"""What is compared, and its axis."""
MIN_FORMATS = MIN_LENGTHS = 2
"""Fewer formats, or lengths of the prompt, are no sweep."""
MIN_RANKED = 4
"""Fewer formats in common have no order to compare."""
_SURVEYS = {"FP16": "F16", "Q3_K": "Q3_K_M", "Q5_K": "Q5_K_M"}
"""Formats that llama.cpp calls otherwise now; the last two are its own short names."""


class Point(NamedTuple):
    """A latency of a format."""

    source: str
    """`HERE` or `JETSON`."""
    phase: str
    """`prefill` or `decode`."""
    format: str
    """The label of the file's mix of types."""
    tokens: int
    """Of the prompt; in decode, before the first token that was timed."""
    ms: float
    """Milliseconds of the prompt, or of a token."""
    low: float | None = None
    """The interval's lower end, where it was measured here."""
    high: float | None = None
    """Its upper end."""
    n: int | None = None
    """Processes behind it."""


def quantization_figure(rows: Iterable[Row], side: Side = Side.BOTH) -> Figure | None:
    """Our latencies by format and those of Figure 8; None where no model was measured in formats and lengths.

    Of several such models, the one with the most formats and lengths.
    """
    found = widest_sweep(rows) if side.mine else []
    if side.mine and not found:
        return None
    points = [*_measured(found), *(_surveyed() if side.paper else ())]
    data = [point._asdict() for point in points]
    return Figure(
        name="fig8",
        title="The survey's Figure 8: quantization",
        caption=_caption(found, points, side),
        spec=_chart(data),
        rows=data,
    )


def widest_sweep(rows: Iterable[Row]) -> list[Row]:
    """The rows of the model with the most formats and lengths; empty where none has several of both."""
    return max(_sweeps(rows), key=len, default=[])


def _sweeps(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each model that was measured in several formats and at several lengths of the prompt."""
    groups: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if {"prefill_s", "decode_s"} <= row.metrics.keys() and "n_prompt" in row.settings:
            others = {name: value for name, value in row.settings.items() if name != "n_prompt"}
            settings = msgspec.json.encode(others, order="sorted")
            groups[row.host, row.engine, settings, row.architecture, row.params, row.model, row.forged].append(row)
    return [group for group in groups.values() if _is_sweep(group)]


def _is_sweep(rows: Sequence[Row]) -> bool:
    formats, lengths = {row.quantization for row in rows}, {row.settings["n_prompt"] for row in rows}
    return len(formats) >= MIN_FORMATS and len(lengths) >= MIN_LENGTHS


def _measured(rows: Iterable[Row]) -> list[Point]:
    points = []
    for row in rows:
        for phase in PHASES:
            found = row.metrics[f"{phase}_s"]
            low, high = (None if end is None else 1e3 * end for end in (found.low, found.high))
            tokens = int(row.settings["n_prompt"])
            points.append(Point(HERE, phase, row.quantization, tokens, 1e3 * found.value, low, high, found.n))
    return sorted(points, key=lambda point: (point.phase, _place(point.format), point.tokens))


def _surveyed() -> list[Point]:
    figure = paper.fig8()
    return [
        Point(JETSON, phase, _SURVEYS.get(label, label), tokens, ms)
        for phase, curves in (("prefill", figure.prefill), ("decode", figure.decode))
        for label, curve in curves.items()
        for tokens, ms in curve
    ]


def _place(label: str) -> int:
    """The place of a format, from the most bits to the fewest."""
    known = list(Quantization)
    return known.index(Quantization(label)) if label in known else len(known)


def _caption(rows: Sequence[Row], points: Sequence[Point], side: Side) -> str:
    told = " ".join(_compared(phase, points) for phase in PHASES)
    there = "a model that the survey does not name, probably Phi-1.5"
    if not rows:
        return f"One model on a Jetson Orin NX in several formats: {there}. {told}"
    ours = f"{rows[0].model} ({_weights(rows)}) in {len({found.quantization for found in rows})} formats, here"
    if not side.paper:
        return f"{ours}. {told} Bars are 95% intervals over processes."
    return (
        f"{ours}; there, {there}. {told} The models and machines differ, so the numbers do; what can be compared is "
        "how the formats are ordered, and how much each saves."
    )


def _weights(rows: Sequence[Row]) -> str:
    before = next((found.requantized_from for found in rows if found.requantized_from), None)
    return "random weights" if rows[0].forged else f"requantized from {before}" if before else "real weights"


def _compared(phase: str, points: Sequence[Point]) -> str:
    """What a phase shows: the fastest format of each source beside F16, and whether both order them alike."""
    ours, theirs = (_typical(phase, source, points) for source in (HERE, JETSON))
    places = [f"{_fastest(found)} {where}" for found, where in ((ours, "here"), (theirs, "there")) if found]
    told = f"{phase.capitalize()}: the fastest is {' and '.join(places)}"
    common = sorted(ours.keys() & theirs.keys(), key=_place)
    if len(common) < MIN_RANKED:
        return f"{told}."
    from scipy.stats import spearmanr  # half a second, where nothing else needs it

    rank = spearmanr([ours[label] for label in common], [theirs[label] for label in common]).statistic
    return (
        f"{told}; Spearman's rank correlation of the {len(common)} formats in both is {float(rank):.2f} (1: one order)."
    )


def _typical(phase: str, source: str, points: Iterable[Point]) -> dict[str, float]:
    """The median over lengths of each format, in milliseconds."""
    found: dict[str, list[float]] = defaultdict(list)
    for point in points:
        if (point.phase, point.source) == (phase, source):
            found[point.format].append(point.ms)
    return {label: statistics.median(values) for label, values in found.items()}


def _fastest(typical: Mapping[str, float]) -> str:
    label = min(typical, key=lambda each: typical[each])
    if "F16" not in typical or label == "F16":
        return label
    return f"{label} ({typical[label] / typical['F16']:.0%} of F16's time)"


def _chart(data: Rows) -> dict[str, Any]:
    """A panel a phase and source; a line a format."""
    formats = sorted({row["format"] for row in data}, key=_place)
    sources = [source for source in (HERE, JETSON) if any(row["source"] == source for row in data)]
    panels = [_panel(data, phase, source, formats) for phase in PHASES for source in sources]
    return finished(alt.concat(*panels, columns=2, spacing={"row": 84, "column": 72}, bounds="flush"))


def _panel(data: Rows, phase: str, source: str, formats: Sequence[str]) -> alt.LayerChart | alt.FacetChart:
    shown = [row for row in data if (row["phase"], row["source"]) == (phase, source)]
    title = "Tokens of the prompt" if phase == "prefill" else "Tokens before it"
    legend = alt.Legend(orient="bottom", columns=4)
    # More formats than colours are told apart by their form as well.
    scales = {
        "color": alt.Scale(domain=list(formats), range=[COLORS[i % len(COLORS)] for i in range(len(formats))]),
        "shape": alt.Scale(domain=list(formats), range=[_FORMS[i // len(COLORS)] for i in range(len(formats))]),
    }
    color = alt.Color("format:N", title=None, scale=scales["color"], sort=list(formats), legend=legend)
    form = alt.Shape("format:N", title=None, scale=scales["shape"], sort=list(formats), legend=legend)
    base = alt.Chart(inline(shown)).encode(
        x=alt.X("tokens:Q", title=title, axis=alt.Axis(tickCount=6)),
        y=alt.Y("ms:Q", title=PHASES[phase], axis=alt.Axis(tickCount=6)),
        color=color,
    )
    lines, bars = base.mark_line(strokeWidth=1.5), base.mark_rule(strokeWidth=1.5)
    points = base.mark_point(filled=True, size=45 if source == HERE else 12, opacity=0.9, aria=source == HERE)
    tips = tooltips(shown, "source", "format", "tokens", "ms", "low", "high", "n")
    layers = [lines, bars.encode(y=alt.Y("low:Q"), y2="high:Q"), points.encode(tooltip=tips, shape=form)]
    where = "here" if source == HERE else "the survey"
    return alt.layer(*layers).properties(width=330, height=240, title=f"{phase.capitalize()}, {where}")


_FORMS = ("circle", "diamond", "triangle-up")
