"""Which parts of a model's shape explain what it costs, beyond its size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from slm_atlas import stats
from slm_atlas.catalog import Model
from slm_atlas.insights.analyses.insight import Answer, Insight
from slm_atlas.insights.claims import Data, Evidence, written
from slm_atlas.insights.claims.latency import FAMILIES, MEASURE, MIN_SHAPES, PHASES
from slm_atlas.insights.claims.shapes import SHAPE, figure_points, measured_points, predictors
from slm_atlas.insights.trends import Point

Known = Mapping[str, Sequence[tuple[Point, Model]]]


def _answer(found: Known) -> Answer:
    """Least squares of log cost on log parameters and the shape, in units of each predictor's standard deviation."""
    lines: list[tuple[str, ...]] = []
    told = []
    for phase, pairs in found.items():
        models, logs = [model for _, model in pairs], [math.log(point.value) for point, _ in pairs]
        columns = {name: _standard(values) for name, values in predictors(models).items()}
        fit = stats.regress(columns, logs)
        lines += [
            (phase, name, written(of, "{:+.0%}"), "yes" if _clear(of) else "") for name, of in fit.coefficients.items()
        ]
        alone = stats.regress({name: of for name, of in columns.items() if name not in SHAPE}, logs)
        lines.append(
            (
                phase,
                "left-out R² of size alone, and with the shape",
                f"{alone.left_out.value:.2f}, {written(fit.left_out, '{:.2f}')}",
                "",
            )
        )
        clear = {name: of for name, of in fit.coefficients.items() if name in SHAPE and _clear(of)}
        names = ", ".join(f"{name} ({of.value:+.0%})" for name, of in clear.items()) or "no part of the shape"
        told.append(f"in {phase}, {names}")
    n = min(len(pairs) for pairs in found.values())
    text = (
        f"At equal size, what moves the time of {n} models by one standard deviation of the shape: {'; '.join(told)}."
    )
    columns_shown = ("phase", "predictor", "change of log time for a standard deviation", "apart from 0")
    return Answer(text=text, columns=columns_shown, lines=tuple(lines), n=n, caveats=(FAMILIES, MANY))


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
    "heads "
    "over heads, in standard deviations; Student's t intervals; R² of models left out one by one.",
    answers={Data.PAPER: _in_figure, Data.MINE: _measured},
)
