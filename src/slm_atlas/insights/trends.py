"""How a cost grows with the size of a model, over models that were measured alike.

The unit is the model, not the run: replicates of a model say how well *it* was measured, and only another model says
anything about the trend. Models are compared that share machine, engine, settings and quantization; files of one
architecture and one number of parameters (a model and its forged twin) are one model.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from slm_atlas import stats, units
from slm_atlas.insights.frame import Row
from slm_atlas.stats import Trend

MIN_MODELS = 4
"""Fewer models give no verdict: three leave one degree of freedom, and an interval 13 standard errors wide."""

MIN_SIZES = 3
"""Fewer different sizes give no verdict: through two sizes any curve passes."""

MIN_SPAN = 2.0
"""The largest model over the smallest; a narrower range says nothing of the shape of a trend."""


class Point(NamedTuple):
    """A model in a trend."""

    name: str
    """The model, or the models that share its architecture and size."""
    params: int
    """Parameters."""
    value: float
    """The cost."""
    artifact: str = ""
    """sha256 of its file, or of one of them."""


def comparable(rows: Iterable[Row], *, metric: str, across_quantizations: bool = False) -> list[Row]:
    """The largest set of rows that measured a metric alike: same machine, engine, settings and quantization."""
    groups: dict[tuple[str, str, bytes, str], list[Row]] = defaultdict(list)
    for row in rows:
        if metric in row.metrics and row.params is not None:
            settings = msgspec.json.encode(row.settings, order="sorted")
            quantization = "" if across_quantizations else row.quantization
            groups[row.host, row.engine, settings, quantization].append(row)
    return max(groups.values(), key=lambda group: (len(points(group, metric)), len(group)), default=[])


def points(rows: Iterable[Row], metric: str) -> list[Point]:
    """One point a model: files of one architecture and one number of parameters are one, at their median."""
    twins: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        if metric in row.metrics and row.params is not None:
            twins[row.architecture, row.params].append(row)
    found = []
    for (_, params), same in sorted(twins.items(), key=lambda item: item[0][1]):
        value = statistics.median(row.metrics[metric].value for row in same)
        found.append(Point(" = ".join(row.name for row in same), params, value, same[0].artifact))
    return found


def elasticity(found: Sequence[Point]) -> Trend:
    """The least-squares line through the logarithms: y = exp(intercept) * parameters ** slope.

    Its scatter is one of ratios, as that of costs is (an architecture costs 20% more, not 20 ms more), so that the
    largest model does not outweigh the rest.

    Raises:
        ValueError: fewer than three points, all of one size, or a cost that is not positive.
    """
    return stats.trend([math.log(p.params) for p in found], [math.log(p.value) for p in found])


def too_few(found: Sequence[Point]) -> str | None:
    """Why these models cannot show the shape of a trend; None if they can."""
    sizes = {point.params for point in found}
    if len(found) < MIN_MODELS or len(sizes) < MIN_SIZES:
        some = f"{units.counted(len(found), 'models')} of {units.counted(len(sizes), 'sizes')}"
        return f"{some} measured alike; a verdict needs {MIN_MODELS} models of {MIN_SIZES} sizes."
    if max(sizes) / min(sizes) < MIN_SPAN:
        span = max(sizes) / min(sizes)
        return f"The largest model is {span:.2g} times the smallest; a verdict needs {MIN_SPAN:g} times."
    return None


def residuals(found: Sequence[Point]) -> list[float]:
    """By how much each cost is above the trend, as a difference of logarithms; parameters cancel out."""
    line = elasticity(found)
    return [math.log(p.value) - line.intercept - line.slope.value * math.log(p.params) for p in found]


def furthest(found: Sequence[Point]) -> tuple[str, float]:
    """The model furthest from the trend, and its ratio to it less 1."""
    name, off = max(zip([p.name for p in found], residuals(found), strict=True), key=lambda pair: abs(pair[1]))
    return name, math.expm1(off)
