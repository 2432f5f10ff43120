"""The figures: from rows to the data shown, its chart, and a caption that says what to see."""

from __future__ import annotations

import csv
import io
import json
import math
import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from slm_atlas import units
from slm_atlas.insights import trends
from slm_atlas.insights.frame import PAPER_TOKENS, Row
from slm_atlas.report import charts, settings
from slm_atlas.stats import Estimate

MEMORY_PARTS = {
    "model_bytes": "model",
    "kv_bytes": "KV cache",
    "compute_bytes": "compute buffers",
    "output_bytes": "output buffer",
    "baseline_bytes": "process before loading",
    "unaccounted_bytes": "unaccounted",
}
"""The parts of a process's memory, and the names shown."""

PEAK = "peak resident set"
"""What the parts are compared with."""

_CURVE_POINTS = 40


class Side(StrEnum):
    """Whose numbers a figure shows."""

    MINE = "mine"
    """One's own: measurements in the store, and the catalogue to this day."""
    PAPER = "paper"
    """The survey's, as its figures have them."""
    BOTH = "both"
    """Side by side."""

    @property
    def mine(self) -> bool:
        """One's own are shown."""
        return self is not Side.PAPER

    @property
    def paper(self) -> bool:
        """The survey's are shown."""
        return self is not Side.MINE


HERE = "here"
"""The source of what was measured."""
JETSON = "the survey, on a Jetson Orin NX"
"""The source of the survey's own measurements of cost."""


class Theme(StrEnum):
    """What a picture stands on."""

    LIGHT = "light"
    """Black on white."""
    DARK = "dark"
    """White on near black."""


_LETTER = 9
"""Pixels of a letter of a title, at most about."""
_INKS = {Theme.LIGHT: ("#1c2024", "#ffffff"), Theme.DARK: ("#e4e7ea", "#14171a")}
"""Of text and rules, and of the ground: those of the page."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A chart, and all that is shown with it."""

    name: str
    """Its file name, without an ending."""
    title: str
    """What it shows, in a few words."""
    caption: str
    """What to see in it."""
    spec: dict[str, Any]
    """The chart, in Vega-Lite."""
    rows: list[dict[str, Any]]
    """The data shown; None where a number is missing."""

    def csv(self) -> str:
        """The data shown, as CSV with a header; a missing number is an empty field."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(self.rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def exported(self, theme: Theme = Theme.LIGHT, width: int = 640) -> dict[str, Any]:
        """The chart as a file of its own needs it: with its title, on a ground, and its caption for screen readers.

        Args:
            theme: dark on light, or light on dark.
            width: pixels that the title's lines may take.
        """
        ink, ground = _INKS[theme]
        spec: dict[str, Any] = json.loads(json.dumps(self.spec).replace("currentColor", ink))
        heading = {
            "text": textwrap.wrap(self.title, width // _LETTER),
            "fontSize": 15,
            "offset": 14,
            "color": ink,
            "anchor": "start",
            "frame": "bounds",
        }
        return {"title": heading} | spec | {"background": ground, "padding": 12, "description": self.caption}


class Labelled(Protocol):
    """What is measured in one way, and can be told apart from others: a row, or a profile."""

    @property
    def name(self) -> str:
        """The name shown."""
        ...

    @property
    def artifact(self) -> str:
        """sha256 of the file."""
        ...

    @property
    def quantization(self) -> str:
        """The label of its types."""
        ...

    @property
    def forged(self) -> bool:
        """Random weights."""
        ...

    @property
    def settings(self) -> dict[str, Any]:
        """How it was measured."""
        ...

    @property
    def host(self) -> str:
        """Id of the machine."""
        ...

    @property
    def engine(self) -> str:
        """Engine, version and build."""
        ...


def labels(rows: Sequence[Labelled]) -> list[str]:
    """A name for each row that no other row has, with as little beside the model's name as tells them apart."""
    names = [row.name for row in rows]
    apart: tuple[list[str], ...] = (
        [row.quantization for row in rows],
        ["forged" if row.forged else "real" for row in rows],
        [],
        [row.host[:8] for row in rows],
        [f"{row.engine} {row.artifact[:8]}" for row in rows],
    )
    for additions in apart:
        count = Counter(names)
        both = zip(names, additions or _differing(names, rows), strict=True)
        names = [f"{name} {more}".strip() if count[name] > 1 else name for name, more in both]
    return names


def _differing(names: Sequence[str], rows: Sequence[Labelled]) -> list[str]:
    """The settings of each row that tell it from others so named."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        groups[name].append(place)
    found = [""] * len(rows)
    for places in groups.values():
        for place, text in zip(places, settings.apart([_how(rows[each]) for each in places]), strict=True):
            found[place] = text
    return found


def _how(row: Labelled) -> dict[str, Any]:
    """The settings, and the precision of scores that were computed in another than stored."""
    return row.settings | ({"compute": row.compute} if isinstance(row, Row) and row.compute else {})


def latency_figure(rows: Sequence[Row]) -> Figure | None:
    """Prefill and decode latency against parameters; None if they were not measured."""
    chosen = latency_arms(rows)
    data = [entry for phase in ("prefill", "decode") for entry in _latency_rows(chosen, phase)]
    if not data:
        return None
    tokens = chosen[0].settings.get("n_prompt", PAPER_TOKENS)
    titles = {"prefill": f"Prefill of {tokens} tokens (ms)", "decode": "Decode, each token (ms)"}
    curves = {phase: _curve(chosen, f"{phase}_s") for phase in titles}
    caption = (
        f"Each point is a model, its bar the 95% interval of the median over {processes(data)} (often smaller than the "
        "point). "
        + (FORGED if any(row.forged for row in chosen) else "")
        + " ".join(_curve_caption(phase, chosen, bool(curve)) for phase, curve in curves.items())
        + _left_out(rows, chosen, "decode_s")
    )
    spec = charts.latency(data, curves, titles)
    return Figure(name="latency", title="Latency against parameters", caption=caption, spec=spec, rows=data)


def latency_arms(rows: Sequence[Row]) -> list[Row]:
    """The rows that `latency_figure` shows."""
    return trends.comparable(rows, metric="decode_s", across_quantizations=True)


FORGED = "Diamonds are forged models: their weights are random, their costs real. "


def processes(data: Sequence[Mapping[str, Any]]) -> str:
    """How many processes are behind each number: `3 fresh processes`, `3 to 6 fresh processes`."""
    return _spread(data, "fresh processes")


def _spread(data: Sequence[Mapping[str, Any]], what: str) -> str:
    counts = sorted({row["n"] for row in data if row["n"]})
    ends = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}" if counts else "no"
    return f"{ends} {what}"


def _latency_rows(rows: Sequence[Row], phase: str) -> list[dict[str, Any]]:
    return [
        {"phase": phase, **_identity(row, label), **_scaled(row.metrics[f"{phase}_s"], 1e3, "ms")}
        for row, label in zip(rows, labels(rows), strict=True)
        if f"{phase}_s" in row.metrics
    ]


def _identity(row: Row, label: str) -> dict[str, Any]:
    weights = "forged (random weights)" if row.forged else "real"
    millions = None if row.params is None else row.params / 1e6
    return {"model": label, "params_millions": millions, "quantization": row.quantization, "weights": weights}


def _scaled(estimate: Estimate, factor: float, unit: str) -> dict[str, Any]:
    """An estimate in the unit of an axis; an end that is not known stays None."""
    low, high = (None if end is None else end * factor for end in (estimate.low, estimate.high))
    value = estimate.value * factor
    return {unit: value, "low": low, "high": high, "n": estimate.n, "interval": estimate.method}


def _curve(rows: Sequence[Row], metric: str) -> list[dict[str, float]]:
    """The power law through the models of the claim, from the smallest to the largest; empty if there are too few."""
    found = trends.points(trends.comparable(rows, metric=metric), metric)
    if len({point.params for point in found}) < trends.MIN_SIZES:
        return []
    line, low, high = trends.elasticity(found), found[0].params, found[-1].params
    sizes = [low * (high / low) ** (i / (_CURVE_POINTS - 1)) for i in range(_CURVE_POINTS)]
    costs_s = [math.exp(line.intercept + line.slope.value * math.log(size)) for size in sizes]
    return [{"params_millions": size / 1e6, "ms": 1e3 * cost} for size, cost in zip(sizes, costs_s, strict=True)]


def _curve_caption(phase: str, rows: Sequence[Row], drawn: bool) -> str:
    if not drawn:
        return f"{phase.capitalize()}: too few sizes for a trend."
    chosen = trends.comparable(rows, metric=f"{phase}_s")
    power = trends.elasticity(trends.points(chosen, f"{phase}_s")).slope
    return (
        f"{phase.capitalize()}: the dashed trend of {power.n} models at {chosen[0].quantization} rises with the power "
        f"{power.value:.2f} of the parameters (95% interval {power.low:.2f} to {power.high:.2f}; 1 is in proportion)."
    )


def _left_out(rows: Sequence[Row], chosen: Sequence[Row], metric: str) -> str:
    count = sum(metric in row.metrics for row in rows) - len(chosen)
    return f" Measured otherwise or elsewhere, and only in the table: {count}." if count else ""


def memory_figure(rows: Sequence[Row]) -> Figure | None:
    """What the memory of each process consists of, beside its peak; None if it was not measured."""
    chosen = memory_arms(rows)
    data = [entry for row, label in zip(chosen, labels(chosen), strict=True) for entry in _memory_rows(row, label)]
    if not data:
        return None
    negative = any(entry["part"] == MEMORY_PARTS["unaccounted_bytes"] and entry["MiB"] < 0 for entry in data)
    caption = (
        "What the engine allocated, part by part, and the process's peak resident set (the upright line): medians over "
        f"{processes(data)}. The unaccounted part is the peak less all other parts."
        + (
            " Where it is negative, left of zero, that much was allocated and never touched: pages of the mapped file "
            "whose weights were repacked, and room for a longer prompt."
            if negative
            else ""
        )
        + _left_out(rows, chosen, "model_bytes")
    )
    spec = charts.memory(data, list(MEMORY_PARTS.values()), PEAK)
    return Figure(name="memory", title="What the memory is used for", caption=caption, spec=spec, rows=data)


def memory_arms(rows: Sequence[Row]) -> list[Row]:
    """The rows that `memory_figure` shows."""
    return trends.comparable(rows, metric="model_bytes", across_quantizations=True)


def _memory_rows(row: Row, label: str) -> list[dict[str, Any]]:
    return [
        {**_identity(row, label), "part": name, **_scaled(row.metrics[metric], 1 / units.MIB, "MiB")}
        for metric, name in (MEMORY_PARTS | {"peak_rss_bytes": PEAK}).items()
        if metric in row.metrics
    ]


def accuracy_figure(rows: Sequence[Row]) -> Figure | None:
    """The scores by task, beside what guessing gives; None if no capability was measured."""
    data = accuracy_rows(rows)
    if not data:
        return None
    scores = [score for row in rows for score in row.scores.values()]
    smoke = [not score.comparable for score in scores]
    caption = (
        f"The share of items answered well, with its 95% interval over {_spread(data, 'items')}; the grey tick is what "
        "guessing gives. Where the interval reaches the tick, nothing beyond guessing was shown."
        + (" The smoke suite is a small set of our own, not comparable with published scores." if any(smoke) else "")
    )
    title = "Accuracy: smoke suite, not comparable with published scores" if all(smoke) else "Accuracy by task"
    return Figure(name="accuracy", title=title, caption=caption, spec=charts.accuracy(data), rows=data)


def accuracy_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The data of `accuracy_figure`, a row a file and task."""
    scored = list({(row.artifact, row.host, row.compute): row for row in rows if row.scores}.values())
    return [entry for row, label in zip(scored, labels(scored), strict=True) for entry in _score_rows(row, label)]


def _score_rows(row: Row, label: str) -> list[dict[str, Any]]:
    return [
        {
            "model": label,
            "quantization": row.quantization,
            "suite": score.suite,
            "task": task,
            "metric": score.metric,
            **_scaled(score.estimate, 100, "percent"),
            "chance": None if score.chance is None else 100 * score.chance,
        }
        for task, score in sorted(row.scores.items())
        if score.is_share
    ]
