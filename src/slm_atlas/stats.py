"""The statistics of every number shown: an estimate, its interval and its n.

The fresh process is the statistical unit of a cost (tokens within a run are not independent), the item that of a
score. The arithmetic is scipy's, imported when first needed (0.5 s).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

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


def median_estimate(values: Sequence[float], *, level: float = LEVEL, seed: int = 0) -> Estimate:
    """The median of independent runs, with a percentile-bootstrap interval (Efron 1979).

    With fewer than `MIN_RUNS` runs there is no interval: the value alone is given.

    Raises:
        ValueError: no values.

    >>> estimate = median_estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    >>> estimate.value, estimate.low <= 3.0 <= estimate.high, estimate.n
    (3.0, True, 5)
    >>> median_estimate([2.0, 2.0, 2.0]).low, median_estimate([2.0]).low
    (2.0, None)
    """
    if not values:
        raise ValueError("the median of no values")
    n, point = len(values), statistics.median(values)
    if n < MIN_RUNS:
        return Estimate(value=point, low=None, high=None, n=n, method=f"none (n < {MIN_RUNS})")
    import numpy as np
    from scipy.stats import bootstrap

    low = high = point
    if min(values) != max(values):  # scipy warns of a degenerate sample, whose interval is the point itself
        rng = np.random.default_rng(seed)
        found = bootstrap((values,), np.median, confidence_level=level, method="percentile", rng=rng, n_resamples=2000)
        low, high = (float(end) for end in found.confidence_interval)
    return Estimate(value=point, low=low, high=high, n=n, method="bootstrap over runs")


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
    from scipy.stats import binomtest

    low, high = binomtest(successes, n).proportion_ci(level, method="wilson")
    return Estimate(value=successes / n, low=float(low), high=float(high), n=n, method="Wilson")


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
    from scipy.stats import t

    half = float(t.ppf((1 + level) / 2, n - 1)) * statistics.stdev(values) / n**0.5
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
    from scipy.stats import linregress, t

    line = linregress(x, y)
    half = float(t.ppf((1 + level) / 2, len(x) - 2) * line.stderr)
    slope = float(line.slope)
    estimate = Estimate(value=slope, low=slope - half, high=slope + half, n=len(x), method="least squares, Student's t")
    return Trend(slope=estimate, intercept=float(line.intercept), r_squared=float(line.rvalue**2))
