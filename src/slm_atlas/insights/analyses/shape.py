"""Which parts of a model's shape explain what it costs, beyond its size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from slm_atlas import stats
from slm_atlas.catalog import Model
from slm_atlas.insights.analyses.insight import Answer, Insight, mark
from slm_atlas.insights.claims import Data, Evidence, written
from slm_atlas.insights.claims.latency import FAMILIES, MEASURE, MIN_SHAPES, PHASES
from slm_atlas.insights.claims.shapes import SHAPE, figure_points, measured_points, predictors
from slm_atlas.insights.trends import Point
from slm_atlas.stats import Estimate

Known = Mapping[str, Sequence[tuple[Point, Model]]]


class Fitted(NamedTuple):
    """What the shape says of a phase."""

    effects: dict[str, Estimate]
    """By predictor: by how much time changes for a standard deviation of it, as a share."""
    alone: Estimate
    """R² of models left out, by size alone."""
    whole: Estimate
    """The same, with the shape."""


def _fit(pairs: Sequence[tuple[Point, Model]]) -> Fitted:
    """Least squares of log cost on log parameters and the shape, in units of each predictor's standard deviation."""
    models, logs = [model for _, model in pairs], [math.log(point.value) for point, _ in pairs]
    columns = {name: _standard(values) for name, values in predictors(models).items()}
    fit = stats.regress(columns, logs)
    alone = stats.regress({name: of for name, of in columns.items() if name not in SHAPE}, logs)
    return Fitted({name: _as_share(of) for name, of in fit.coefficients.items()}, alone.left_out, fit.left_out)


def _as_share(change: Estimate) -> Estimate:
    """A change of a logarithm as a share of what it changes."""
    low, high = (None if end is None else math.expm1(end) for end in (change.low, change.high))
    return msgspec.structs.replace(change, value=math.expm1(change.value), low=low, high=high)


def _answer(found: Known) -> Answer:
    fits = {phase: _fit(pairs) for phase, pairs in found.items()}
    told = []
    for phase, fit in fits.items():
        clear = {name: of for name, of in fit.effects.items() if name in SHAPE and _clear(of)}
        names = ", ".join(f"{name} ({of.value:+.0%})" for name, of in clear.items()) or "no part of the shape"
        told.append(f"in {phase}, {names}")
    n = min(len(pairs) for pairs in found.values())
    text = f"At equal size, one standard deviation of the shape moves the time of {n} models: {'; '.join(told)}."
    lines = tuple(line for phase, fit in fits.items() for line in _lines(phase, fit))
    marks = tuple(mark(phase.capitalize(), name, of) for phase, fit in fits.items() for name, of in fit.effects.items())
    return Answer(text=text, columns=COLUMNS, lines=lines, marks=marks, n=n, caveats=(FAMILIES, MANY))


COLUMNS = ("phase", "predictor", "change of time for a standard deviation", "apart from 0")


def _lines(phase: str, fit: Fitted) -> list[tuple[str, ...]]:
    lines = [(phase, name, written(of, "{:+.0%}"), "yes" if _clear(of) else "") for name, of in fit.effects.items()]
    left_out = f"{fit.alone.value:.2f}, {written(fit.whole, '{:.2f}')}"
    return [*lines, (phase, "left-out R² of size alone, and with the shape", left_out, "")]


MANY = "Of ten intervals of 95% one or more misses by chance in four tables of ten."


def _clear(estimate: stats.Estimate) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low * estimate.high > 0


def _standard(values: Sequence[float]) -> list[float]:
    """The values in standard deviations from their mean."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return [(value - mean) / deviation if deviation else 0.0 for value in values]


def _in_figure(_: Evidence) -> Answer:
    return _answer({phase: figure_points(cost) for phase, (cost, _) in PHASES.items()})


def _measured(evidence: Evidence) -> Answer:
    found = {phase: measured_points(evidence, metric) for phase, (_, metric) in PHASES.items()}
    n = min(len(pairs) for pairs in found.values())
    if n < MIN_SHAPES:
        return Answer(text=f"Catalogued models measured alike: {n}; {MIN_SHAPES} are needed.", n=n, lacking=MEASURE)
    if not all(stats.determined(predictors([model for _, model in pairs])) for pairs in found.values()):
        return Answer(text="The models measured do not differ in all parts of the shape.", n=n, lacking=MEASURE)
    return _answer(found)


SHAPE_INSIGHT = Insight(
    id="shape",
    question="Which parts of the shape move prefill and decode, at equal size?",
    method="Least squares of the log of time on log parameters, depth, FFN ratio, embedding's share and key-value "
    "heads over heads, in standard deviations; Student's t intervals; R² of models left out one by one.",
    answers={Data.PAPER: _in_figure, Data.MINE: _measured},
    axis="Change of time for one standard deviation",
    form="+.0%",
    reference=0.0,
)
