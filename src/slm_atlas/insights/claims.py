"""The paper's claims as statements tested on your own measurements, each with its effect, interval and verdict.

The unit is the model, not the run: replicates of a model say how well *it* was measured, and only another model says
anything about the trend. Models are compared that share machine, engine, settings and quantization; files of one
architecture and one number of parameters (a model and its forged twin) are one model. With four to ten of them there is
little to test with, so the rules below ask for evidence of linearity, not for the absence of evidence against it.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from slm_atlas import stats, units
from slm_atlas.insights.frame import Row
from slm_atlas.stats import Estimate, Trend

LINEAR = (0.7, 1.4)
"""Elasticities called "about linear": nearer to 1 than to a square root (0.5) or a square (2), by their ratios. Twice
the parameters then cost between 1.6 and 2.6 times as much."""

MIN_MODELS = 4
"""Fewer models give no verdict: three leave one degree of freedom, and an interval 13 standard errors wide."""

MIN_SIZES = 3
"""Fewer different sizes give no verdict: through two sizes any curve passes."""

MIN_SPAN = 2.0
"""The largest model over the smallest; a narrower range says nothing of the shape of a trend."""


class Verdict(StrEnum):
    """What the data say of a claim."""

    HOLDS = "holds"
    """They support it, and leave no room for its contrary."""
    FAILS = "fails"
    """They support its contrary."""
    UNDECIDED = "undecided"
    """They leave room for both."""
    NO_DATA = "no data"
    """Nothing that it speaks of was measured."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A statement of the paper that data can support or contradict."""

    id: str
    """The project's name for it: `L1-prefill`."""
    sentence: str
    """What is claimed, in our words."""
    source: str
    """Where the paper says it."""
    metric: str
    """The metric it speaks of."""
    test: Callable[[Claim, Sequence[Row]], Finding]
    """Gives the verdict."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What your data say of a claim."""

    claim: Claim
    """The claim."""
    verdict: Verdict
    """Holds, fails, undecided or no data."""
    effect: Estimate | None
    """The size of what was found; None where it could not be estimated."""
    meaning: str
    """What the effect is, in words."""
    n: int
    """Models behind it."""
    reason: str
    """Why this verdict."""


class Point(NamedTuple):
    """A model in a trend."""

    name: str
    """The model, or the models that share its architecture and size."""
    params: int
    """Parameters."""
    value: float
    """The cost."""


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
    return [
        Point(
            " = ".join(row.name for row in same), params, statistics.median(row.metrics[metric].value for row in same)
        )
        for (_, params), same in sorted(twins.items(), key=lambda item: item[0][1])
    ]


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
        counted = f"{len(found)} model{'s'[: len(found) != 1]} of {len(sizes)} size{'s'[: len(sizes) != 1]}"
        return f"{counted} measured alike; a verdict needs {MIN_MODELS} models of {MIN_SIZES} sizes."
    if max(sizes) / min(sizes) < MIN_SPAN:
        span = max(sizes) / min(sizes)
        return f"The largest model is {span:.2g} times the smallest; a verdict needs {MIN_SPAN:g} times."
    return None


def linear_growth(claim: Claim, rows: Sequence[Row]) -> Finding:
    """Whether a cost rises about linearly with parameters.

    Two numbers are fitted over the models: the slope of a straight line (does it rise?) and the elasticity, the slope
    of the logarithms (does doubling the parameters double it?), each with its 95% t interval.

    - *no data*: no model has the metric.
    - *undecided*: fewer than `MIN_MODELS` models or `MIN_SIZES` sizes, or sizes within a factor of `MIN_SPAN`. The
      effect is given all the same where a line fits: its interval shows how little it says.
    - *holds*: the whole interval of the elasticity lies within `LINEAR`, and that of the slope above zero. An interval
      that merely contains 1 is not enough: with few models every interval does. (This is a test of equivalence; a cost
      whose elasticity is outside `LINEAR` passes at most once in 40.)
    - *fails*: the whole interval of the elasticity lies outside `LINEAR`: less or more than linear, or falling. (A
      cost whose elasticity is inside fails at most once in 40.)
    - *undecided* otherwise: the interval crosses a border of `LINEAR`.

    A fixed cost that every model pays lowers the elasticity, as a curve that flattens does; four to ten models cannot
    tell the two apart. The claim is therefore tested as growth in proportion, on metrics without a fixed cost where
    there is a choice (`engine_bytes`, not the resident set with its interpreter), and the reason gives the straight
    line's start.
    """
    chosen = comparable(rows, metric=claim.metric)
    found = points(chosen, claim.metric)
    meaning = "elasticity: the power of the number of parameters that the cost grows with (1 is linear)"
    if not found:
        reason = "No run that ended well measured it."
        return Finding(claim=claim, verdict=Verdict.NO_DATA, effect=None, meaning=meaning, n=0, reason=reason)
    few = too_few(found)
    if few:
        effect = elasticity(found).slope if _fits(found) else None
        return Finding(claim=claim, verdict=Verdict.UNDECIDED, effect=effect, meaning=meaning, n=len(found), reason=few)
    logs, line = elasticity(found), stats.trend([p.params for p in found], [p.value for p in found])
    verdict = judge(logs.slope, line.slope)
    reason = f"{_because(verdict, logs.slope)} {_described(claim.metric, line, found)}"
    return Finding(claim=claim, verdict=verdict, effect=logs.slope, meaning=meaning, n=len(found), reason=reason)


def _fits(found: Sequence[Point]) -> bool:
    """Whether a line can be laid through these models at all."""
    return len(found) >= stats.MIN_RUNS and len({point.params for point in found}) > 1


def judge(power: Estimate, slope: Estimate) -> Verdict:
    """The verdict on linearity, from the intervals of the elasticity and of the straight line's slope."""
    low, high = LINEAR
    if power.low is None or power.high is None or slope.low is None:
        return Verdict.UNDECIDED
    if power.high < low or power.low > high:
        return Verdict.FAILS
    inside = low <= power.low and power.high <= high
    return Verdict.HOLDS if inside and slope.low > 0 else Verdict.UNDECIDED


def _because(verdict: Verdict, power: Estimate) -> str:
    interval, band = f"{power.low:.2f} to {power.high:.2f}", f"{LINEAR[0]} to {LINEAR[1]} (about linear)"
    if verdict is Verdict.HOLDS:
        return f"The interval, {interval}, lies within {band}."
    if verdict is Verdict.FAILS:
        direction = "less" if power.value < 1 else "more"
        return f"The interval, {interval}, lies outside {band}: it grows {direction} than in proportion."
    return (
        f"The interval, {interval}, is not within {band}, nor outside: more models, or sizes further apart, would tell."
    )


def _described(metric: str, line: Trend, found: Sequence[Point]) -> str:
    """The straight line in the metric's own unit, and the model furthest from the trend."""
    shown = units.format_bytes if metric.endswith("_bytes") else units.format_seconds
    low, high = line.slope.low or 0.0, line.slope.high or 0.0  # a trend of three points or more has both
    text = (
        f"A straight line starts at {shown(line.intercept)} and gains {shown(line.slope.value * 1e8)} a 100M parameters"
    )
    text += f" ({shown(low * 1e8)} to {shown(high * 1e8)}; r² {line.r_squared:.2f})."
    logs = elasticity(found)
    off = {p.name: math.log(p.value) - logs.intercept - logs.slope.value * math.log(p.params) for p in found}
    furthest = max(off, key=lambda name: abs(off[name]))
    return f"{text} Furthest from the trend: {furthest}, {math.expm1(off[furthest]):+.0%}."


CLAIMS = (
    Claim(
        id="L1-prefill",
        sentence="The latency of prefill rises about linearly with the number of parameters.",
        source="arXiv 2409.15790, runtime cost, Figure 7a (first token latency)",
        metric="prefill_s",
        test=linear_growth,
    ),
    Claim(
        id="L1-decode",
        sentence="The latency of decoding a token rises about linearly with the number of parameters.",
        source="arXiv 2409.15790, runtime cost, Figure 7b (decode latency per token)",
        metric="decode_s",
        test=linear_growth,
    ),
    Claim(
        id="M1",
        sentence="The memory a model needs (weights, KV cache, compute and output buffers) rises about linearly with "
        "the number of parameters.",
        source="arXiv 2409.15790, runtime cost, Figures 7c and 11 (memory)",
        metric="engine_bytes",
        test=linear_growth,
    ),
)
"""The claims tested so far."""


def findings(rows: Sequence[Row]) -> list[Finding]:
    """The verdict on each claim."""
    return [claim.test(claim, rows) for claim in CLAIMS]
