"""Estimates of costs and shares with their intervals, and the line through points."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec

from slm_atlas.stats.student import t_quantile

LEVEL = 0.95
"""The confidence level of every interval."""

MIN_RUNS = 3
"""Fewer independent runs than this give no interval."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A value with its confidence interval."""

    value: float
    """The point estimate."""
    low: float | None
    """Lower end of the interval; None when n is too small for one."""
    high: float | None
    """Upper end of the interval; None when n is too small for one."""
    n: int
    """How many independent observations stand behind it."""
    method: str
    """How the interval was made."""


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line fitted by least squares."""

    slope: Estimate
    """Change of y for a unit of x."""
    intercept: float
    """y at x = 0."""
    r_squared: float
    """Share of the variance of y that the line explains."""


def median_estimate(values: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """The median of independent runs, with the interval between order statistics that covers it at the level.

    Exact whatever the distribution, but for the interpolation between two order statistics (Hettmansperger and Sheather
    1986, doi 10.1016/0167-7152(86)90021-0). With five runs, the least and the greatest cover the median at 93.75 %, and
    are the interval; with fewer than `MIN_RUNS` there is none.

    Raises:
        ValueError: no values.

    >>> estimate = median_estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    >>> estimate.value, estimate.low, estimate.high, estimate.n
    (3.0, 1.0, 5.0, 5)
    >>> median_estimate([2.0, 2.0, 2.0]).low, median_estimate([2.0]).low
    (2.0, None)
    """
    if not values:
        raise ValueError("the median of no values")
    n, point = len(values), statistics.median(values)
    if n < MIN_RUNS:
        return Estimate(value=point, low=None, high=None, n=n, method=f"none (n < {MIN_RUNS})")
    ordered = sorted(values)
    rank = max((rank for rank in range(1, n // 2 + 1) if _coverage(n, rank) >= level), default=0)
    if rank == 0:
        method = f"least and greatest, which cover the median at {_coverage(n, 1):.1%}"
        return Estimate(value=point, low=ordered[0], high=ordered[-1], n=n, method=method)
    part = _interpolation(n, rank, level)
    low = _between(ordered[rank - 1], ordered[rank], part)
    high = _between(ordered[n - rank], ordered[n - rank - 1], part)
    return Estimate(value=point, low=low, high=high, n=n, method="order statistics of runs")


def _between(start: float, end: float, part: float) -> float:
    """A part of the way from start to end; rounding does not lead beyond either."""
    return min(max((1 - part) * start + part * end, min(start, end)), max(start, end))


def _coverage(n: int, rank: int) -> float:
    """How often the median of a distribution lies between the values of a rank from below and from above.

    >>> _coverage(5, 1), _coverage(8, 2)
    (0.9375, 0.9296875)
    """
    below: int = sum(math.comb(n, number) for number in range(rank))
    return 1 - below * 0.5 ** (n - 1)


def _interpolation(n: int, rank: int, level: float) -> float:
    """How far to go from a rank, which covers too well, to the next, which covers too little."""
    wide, narrow = _coverage(n, rank), _coverage(n, rank + 1)
    excess = (wide - level) / (wide - narrow)
    return (n - rank) * excess / (rank + (n - 2 * rank) * excess)


def relative_half_width(values: Sequence[float], *, level: float = LEVEL) -> float:
    """Half the width of the interval of positive values' geometric mean, relative to it (Student's t of logarithms).

    Raises:
        ValueError: fewer than two values, or one that is not positive.

    >>> relative_half_width([2.0, 2.0, 2.0])
    0.0
    >>> round(relative_half_width([1.0, 1.1, 0.9, 1.0]), 3)
    0.139
    """
    if len(values) < 2 or min(values) <= 0:
        raise ValueError("an interval of positive values needs two of them")
    logs = [math.log(value) for value in values]
    half = t_quantile((1 + level) / 2, len(logs) - 1) * statistics.stdev(logs) / len(logs) ** 0.5
    return math.expm1(half)


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """How many times larger one arm is than another measured beside it, block by block.

    The geometric mean of the ratios within blocks, with Student's t interval of their logarithms: what a block has in
    common (drift, another program) falls out of its ratio.

    Raises:
        ValueError: not as many of one as of the other, none, or one that is not positive.

    >>> estimate = paired_ratio([2.0, 4.2, 6.1], [1.0, 2.0, 3.0])
    >>> round(estimate.value, 2), estimate.low < 2.04 < estimate.high, estimate.n
    (2.04, True, 3)
    """
    pairs = list(zip(numerators, denominators, strict=True))
    if not pairs or min(map(min, pairs)) <= 0:
        raise ValueError("a ratio needs pairs of positive values")
    logs = [math.log(one / other) for one, other in pairs]
    n, mean = len(logs), statistics.fmean(logs)
    if n < MIN_RUNS:
        return Estimate(value=math.exp(mean), low=None, high=None, n=n, method=f"none (n < {MIN_RUNS})")
    half = t_quantile((1 + level) / 2, n - 1) * statistics.stdev(logs) / n**0.5
    low, high = math.exp(mean - half), math.exp(mean + half)
    return Estimate(value=math.exp(mean), low=low, high=high, n=n, method="Student's t of log ratios within blocks")


def wilson(successes: int, n: int, *, level: float = LEVEL) -> Estimate:
    """A proportion with Wilson's score interval (Wilson 1927).

    Raises:
        ValueError: no trials, or more successes than trials.

    >>> estimate = wilson(8, 10)
    >>> round(estimate.value, 2), round(estimate.low, 3), round(estimate.high, 3)
    (0.8, 0.49, 0.943)
    """
    if n <= 0 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} trials")
    share, z = successes / n, statistics.NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)
    return Estimate(value=share, low=low, high=high, n=n, method="Wilson")


def mean_estimate(values: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """The mean of independent items, with Student's t interval.

    Raises:
        ValueError: no values.

    >>> estimate = mean_estimate([1.0, 2.0, 3.0])
    >>> estimate.value, round(estimate.low, 2), round(estimate.high, 2)
    (2.0, -0.48, 4.48)
    """
    if not values:
        raise ValueError("the mean of no values")
    n, mean = len(values), statistics.fmean(values)
    if n < MIN_RUNS:
        return Estimate(value=mean, low=None, high=None, n=n, method=f"none (n < {MIN_RUNS})")
    half = t_quantile((1 + level) / 2, n - 1) * statistics.stdev(values) / n**0.5
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, method="Student's t")


def weighted_mean_estimate(values: Sequence[float], weights: Sequence[float], *, level: float = LEVEL) -> Estimate:
    """The mean of items of different size, with Student's t interval on its linearized (ratio) standard error.

    The weights are as random as the values: the standard error is that of a ratio of two means (Cochran, Sampling
    Techniques, 3rd ed., 2.11), of an infinite population.

    Raises:
        ValueError: no values, not as many weights, or weights that are not positive.

    >>> round(weighted_mean_estimate([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 5.0]).value, 3)
    3.25
    """
    if not values or len(values) != len(weights) or min(weights) <= 0:
        raise ValueError("a weighted mean needs values, and a positive weight for each")
    n, total = len(values), math.fsum(weights)
    mean = math.fsum(value * weight for value, weight in zip(values, weights, strict=True)) / total
    if n < MIN_RUNS:
        return Estimate(value=mean, low=None, high=None, n=n, method=f"none (n < {MIN_RUNS})")
    squares = math.fsum((weight * (value - mean)) ** 2 for value, weight in zip(values, weights, strict=True))
    half = t_quantile((1 + level) / 2, n - 1) * (n / (n - 1) * squares) ** 0.5 / total
    return Estimate(value=mean, low=mean - half, high=mean + half, n=n, method="Student's t")


def trend(x: Sequence[float], y: Sequence[float], *, level: float = LEVEL) -> Trend:
    """The least-squares line through points, its slope with Student's t interval (n - 2 degrees of freedom).

    Raises:
        ValueError: fewer than three points, or all x alike.

    >>> line = trend([1.0, 2.0, 3.0, 4.0], [2.0, 4.0, 6.0, 8.0])
    >>> round(line.slope.value, 6), round(line.intercept, 6), round(line.r_squared, 6)
    (2.0, 0.0, 1.0)
    """
    if len(x) < MIN_RUNS or min(x) == max(x):
        raise ValueError("a trend needs three points at two or more places")
    from scipy.stats import linregress

    line = linregress(x, y)
    half = t_quantile((1 + level) / 2, len(x) - 2) * float(line.stderr)
    slope = float(line.slope)
    estimate = Estimate(value=slope, low=slope - half, high=slope + half, n=len(x), method="least squares, Student's t")
    return Trend(slope=estimate, intercept=float(line.intercept), r_squared=float(line.rvalue**2))


def power_law(x: Sequence[float], y: Sequence[float], at: Sequence[float], *, level: float = LEVEL) -> list[Estimate]:
    """What a power law through points says at other places, with the interval for one new observation there.

    Least squares of the logarithms; the interval (Student's t, n - 2 degrees of freedom) holds the scatter of the
    points as well as what is not known of the line (Draper and Smith, Applied Regression Analysis, section 3.1).

    Raises:
        ValueError: fewer than three points, all x alike, or a value that is not positive.

    >>> found = power_law([1.0, 2.0, 4.0, 8.0], [3.0, 6.0, 12.0, 24.0], [16.0])[0]
    >>> round(found.value, 6), round(found.low, 6), found.n
    (48.0, 48.0, 4)
    """
    if min([*x, *y, *at], default=0.0) <= 0:
        raise ValueError("a power law needs positive values")
    logs, costs = [math.log(value) for value in x], [math.log(value) for value in y]
    line, n, middle = trend(logs, costs, level=level), len(x), statistics.fmean(logs)
    left = sum((cost - line.intercept - line.slope.value * log) ** 2 for log, cost in zip(logs, costs, strict=True))
    spread = sum((log - middle) ** 2 for log in logs)
    unit = t_quantile((1 + level) / 2, n - 2) * math.sqrt(left / (n - 2))
    found = []
    for place in map(math.log, at):
        mean = line.intercept + line.slope.value * place
        half = unit * math.sqrt(1 + 1 / n + (place - middle) ** 2 / spread)
        ends = {"low": math.exp(mean - half), "high": math.exp(mean + half)}
        found.append(Estimate(value=math.exp(mean), **ends, n=n, method="power law, Student's t for one more"))
    return found
