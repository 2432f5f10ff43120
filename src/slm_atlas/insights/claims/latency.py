"""What latency depends on: size, and how a model is built (claims L1 to L3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from slm_atlas import stats, units
from slm_atlas.catalog import Model, get, paper
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.claims.shapes import SHAPE, figure_points, measured_points, predictors
from slm_atlas.insights.claims.vocabulary import Claim, Data, Part, Result, no_data, too_few
from slm_atlas.insights.trends import MIN_MODELS, Point, comparable, elasticity, furthest, points, residuals
from slm_atlas.insights.trends import too_few as too_few_models
from slm_atlas.stats import BorderTest, Trend

LINEAR = (0.7, 1.4)
"""Elasticities called "about linear": nearer to 1 than to a square root (0.5) or a square (2), by their ratios. Twice
the parameters then cost between 1.6 and 2.6 times as much."""
OFF_THE_LINE = 0.1
"""The scatter around the trend (a standard deviation of logarithms) from which on architecture is said to matter."""
PHASES = {"prefill": ("first_token_latency_ms", "prefill_s"), "decode": ("decode_latency_ms_per_token", "decode_s")}
"""By phase: the cost of Figure 7, and the metric in the store."""
MEASURE = "slm study run paper-runtime"
MIN_SHAPES = 12
"""Fewer models do not tell four parts of a shape from size."""

Costs = Mapping[str, Sequence[Point]]


def linear(what: str, found: Sequence[Point]) -> Part:
    """Whether a cost grows about in proportion with parameters: its elasticity lies within `LINEAR`.

    Two one-sided tests: an interval that merely contains 1 is not enough, since with few models every one does. A fixed
    cost that every model pays lowers the elasticity, as a curve that flattens does; the two are not told apart.
    """
    line = elasticity(found)
    low, high = (against(line, border) for border in LINEAR)
    asked = f"within {LINEAR[0]} to {LINEAR[1]}"
    return Part(what=f"elasticity of {what} (1: in proportion)", asked=asked, tested=stats.within(low, high))


def against(line: Trend, border: float) -> BorderTest:
    """A line's slope against a border."""
    slope = line.slope
    return stats.t_above(slope.value, stats.slope_error(line), slope.n - 2, border, n=slope.n, method=slope.method)


def _growth(costs: Costs, more: str) -> Result:
    """L1: each phase about linear, and models scatter around it."""
    parts: list[Part] = []
    for phase, found in costs.items():
        parts.append(linear(phase, found))
        parts.append(
            Part(
                what=f"scatter of {phase} around its trend",
                asked=f"above {OFF_THE_LINE:.0%}",
                tested=stats.spread_above(residuals(found), OFF_THE_LINE, fitted=2),
                form="{:.0%}",
            )
        )
    told = ", ".join(
        f"{phase} grows with the power {part.shown}" for phase, part in zip(costs, parts[::2], strict=True)
    )
    name, off = furthest(costs["prefill"])
    summary = f"{told}; furthest from the trend in prefill is {name}, {off:+.0%}{more}"
    n = min(len(found) for found in costs.values())
    return Result(parts=tuple(parts), summary=summary[0].upper() + summary[1:], n=n, caveats=(FAMILIES, FIXED))


FAMILIES = "Sizes of a family share an architecture, and are not independent."
FIXED = "A cost that every model pays, however small, lowers the elasticity as a curve that flattens does."


def _growth_in_figure(_: Evidence) -> Result:
    costs = {phase: [point for point, _ in figure_points(cost)] for phase, (cost, _) in PHASES.items()}
    drawn = {point.model_id: point for point in paper.fig7().models}
    pair = [drawn["qwen1.5-0.5b"], drawn["qwen2-0.5b"]]
    faster = 1 - pair[0].first_token_latency_ms / pair[1].first_token_latency_ms
    return _growth(costs, f"; Qwen1.5-0.5B is {faster:.1%} faster to the first token than Qwen2-0.5B")


def _growth_measured(evidence: Evidence) -> Result:
    return _of_measured(evidence, lambda costs: _growth(costs, _pair(evidence)))


def _of_measured(evidence: Evidence, judge: Callable[[Costs], Result]) -> Result:
    """What is judged of both phases as measured, where enough models have them."""
    costs = {phase: _measured(evidence, metric) for phase, (_, metric) in PHASES.items()}
    fewest = min(costs.values(), key=len)
    if not fewest:
        return no_data("No run that ended well measured both phases.", MEASURE)
    if few := too_few_models(fewest):
        return too_few(few, len(fewest))
    return judge(costs)


def _measured(evidence: Evidence, metric: str) -> list[Point]:
    return points(comparable(evidence.rows, metric=metric), metric)


def _pair(evidence: Evidence) -> str:
    """How the survey's pair compares here; empty if it was not measured."""
    rows = {row.name: row.metrics["prefill_s"] for row in comparable(evidence.rows, metric="prefill_s")}
    one, other = rows.get("Qwen1.5-0.5B"), rows.get("Qwen2-0.5B")
    if one is None or other is None:
        return ""
    return (
        f"; Qwen1.5-0.5B takes {units.format_seconds(one.value)} to read a prompt, Qwen2-0.5B "
        f"{units.format_seconds(other.value)}"
    )


def _scatter(costs: Costs) -> Result:
    """L2: residuals of the same models in both phases."""
    both = [{point.name: off for point, off in zip(f, residuals(f), strict=True)} for f in costs.values()]
    shared = [name for name in both[0] if name in both[1]]
    if len(shared) < MIN_MODELS:
        return too_few(f"{len(shared)} models have both phases; a verdict needs {MIN_MODELS}.", len(shared))
    prefill, decode = ([of[name] for name in shared] for of in both)
    part = Part(
        what="scatter around the trend, prefill over decode",
        asked="above 1",
        tested=stats.spread_ratio_above(prefill, decode),
    )
    spreads = [stats.spread_above(values, 1.0, fitted=2).effect.value for values in (prefill, decode)]
    summary = (
        f"{len(shared)} models scatter by {spreads[0]:.0%} around the trend of prefill and by {spreads[1]:.0%} around "
        f"that of decode, a ratio of {part.shown}"
    )
    return Result(parts=(part,), summary=summary, n=len(shared), caveats=(FAMILIES,))


def _scatter_in_figure(_: Evidence) -> Result:
    return _scatter({phase: [point for point, _ in figure_points(cost)] for phase, (cost, _) in PHASES.items()})


def _scatter_measured(evidence: Evidence) -> Result:
    return _of_measured(evidence, _scatter)


def _shape(found: Mapping[str, Sequence[tuple[Point, Model]]]) -> Result:
    """L3: whether the shape predicts the residuals of models that were left out."""
    parts, told = [], []
    for phase, pairs in found.items():
        off = residuals([point for point, _ in pairs])
        columns = {name: of for name, of in predictors([model for _, model in pairs]).items() if name in SHAPE}
        if not stats.determined(columns):
            return too_few("The models measured do not differ in all four parts of the shape.", len(off))
        fit = stats.regress(columns, off)
        parts.append(
            Part(
                what=f"share of {phase}'s scatter that the shape predicts of a model left out",
                asked="more than by chance",
                tested=BorderTest(effect=fit.left_out, p_for=fit.p_value, p_against=1.0),
                form="{:.0%}",
            )
        )
        clear = [
            name
            for name, of in fit.coefficients.items()
            if of.low is not None and of.high is not None and of.low * of.high > 0
        ]
        told.append(f"{_predicts(fit.left_out.value)} of {phase}'s scatter (clear alone: {', '.join(clear) or 'none'})")
    n = min(len(pairs) for pairs in found.values())
    summary = f"Of models left out, depth, FFN width, embedding and key-value sharing predict {' and '.join(told)}"
    return Result(parts=tuple(parts), summary=summary, n=n, caveats=(FAMILIES, WORSE))


def _predicts(share: float) -> str:
    """A share of scatter; one below 0 says that the mean alone predicts better."""
    return f"{share:.0%}" if share > 0 else f"nothing ({share:.0%})"


WORSE = "A negative share: worse than predicting the mean. All parts: slm insights show shape."


def _shape_in_figure(_: Evidence) -> Result:
    return _shape({phase: figure_points(cost) for phase, (cost, _) in PHASES.items()})


def _shape_measured(evidence: Evidence) -> Result:
    found = {phase: measured_points(evidence, metric) for phase, (_, metric) in PHASES.items()}
    n = min(len(pairs) for pairs in found.values())
    if n == 0:
        return no_data("No catalogued model was measured.", MEASURE)
    if n < MIN_SHAPES:
        return too_few(f"{n} catalogued models measured alike; a verdict needs {MIN_SHAPES}.", n)
    return _shape(found)


def _doubt() -> str:
    """The survey's pair, counted as it is."""
    one, other = get("qwen1.5-0.5b"), get("qwen2-0.5b")
    drawn = {point.model_id: point.params_million for point in paper.fig7().models}
    return (
        f"'25.4% more parameters but faster' counts Qwen1.5-0.5B's tied embedding twice ({drawn[one.id]:.0f}M) and "
        f"Qwen2-0.5B's once ({drawn[other.id]:.0f}M): counted once they have {one.params / 1e6:.0f}M and "
        f"{other.params / 1e6:.0f}M, so that the faster one is the smaller by {1 - one.params / other.params:.0%}."
    )


NEEDS = {Data.CATALOGUE: "measurements: slm estimate says what arithmetic can"}
BAND = f"{LINEAR[0]} to {LINEAR[1]}"

CLAIMS = (
    Claim(
        id="L1",
        figure="fig7",
        sentence="The latency of prefill and decode rises about linearly with parameters, and architecture moves "
        "models off the line.",
        source="arXiv 2409.15790, runtime cost, Figures 7a and 7b",
        rule=f"In both phases the elasticity (slope of logarithms) lies within {BAND} (two one-sided t tests) and "
        f"models scatter around the trend by more than {OFF_THE_LINE:.0%} (chi-squared). Fails if one is outside or "
        f"below.",
        tests={Data.PAPER: _growth_in_figure, Data.MINE: _growth_measured},
        needs=NEEDS,
        doubt=_doubt(),
    ),
    Claim(
        id="L2",
        figure="fig7",
        sentence="Architecture matters more in prefill than in decode.",
        source="arXiv 2409.15790, runtime cost, insights, Figure 7",
        rule="Models scatter more around the trend with size in prefill than in decode (Pitman and Morgan's test of "
        "paired spreads). Fails if they scatter less.",
        tests={Data.PAPER: _scatter_in_figure, Data.MINE: _scatter_measured},
        needs=NEEDS,
    ),
    Claim(
        id="L3",
        figure="fig7",
        sentence="Depth, FFN width, vocabulary and sharing explain why models are off the line.",
        source="arXiv 2409.15790, runtime cost, insights",
        rule="In both phases, least squares on the four predicts the residual of models left out better than the same "
        "on permuted models does. Cannot fail: that nothing was found is no evidence of nothing.",
        tests={Data.PAPER: _shape_in_figure, Data.MINE: _shape_measured},
        needs=NEEDS,
    ),
)
"""The claims about latency."""
