"""Tests against a border fixed beforehand, each in both directions.

A claim says that something lies above a border. Its test has two p values: one of "it does not" (small: the claim is
supported) and one of "it does" (small: the contrary is). Neither is ever the absence of the other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import msgspec
import numpy as np

from slm_atlas.stats.estimates import LEVEL, MIN_RUNS, Estimate, Trend, trend, wilson
from slm_atlas.stats.student import t_below, t_quantile


class BorderTest(msgspec.Struct, frozen=True, kw_only=True):
    """An effect, and how well it is known to lie on either side of what was asked."""

    effect: Estimate
    """The size of what was found, with its 95% interval."""
    p_for: float
    """p value of the null that the effect is not as claimed; small values speak for the claim."""
    p_against: float
    """p value of the null that the effect is as claimed; small values speak for its contrary."""


def mean_above(values: Sequence[float], border: float = 0.0) -> BorderTest:
    """Whether the mean of independent values lies above a border (Student's t).

    Raises:
        ValueError: fewer than three values.

    >>> tested = mean_above([1.0, 1.2, 0.8, 1.1])
    >>> round(tested.effect.value, 3), tested.p_for < 0.001, tested.p_against > 0.999
    (1.025, True, True)
    """
    _need(len(values), MIN_RUNS)
    error = statistics.stdev(values) / len(values) ** 0.5
    return t_above(statistics.fmean(values), error, len(values) - 1, border, n=len(values), method="Student's t")


def t_above(value: float, error: float, freedom: float, border: float, *, n: int, method: str) -> BorderTest:
    """Whether an estimate with a standard error lies above a border, by Student's t.

    Args:
        value: the estimate.
        error: its standard error; 0 where the values do not differ.
        freedom: degrees of freedom.
        border: what it is compared with.
        n: observations.
        method: what is said of the interval.
    """
    half = t_quantile((1 + LEVEL) / 2, freedom) * error
    effect = Estimate(value=value, low=value - half, high=value + half, n=n, method=method)
    if error == 0:
        above = value > border
        return BorderTest(effect=effect, p_for=0.0 if above else 1.0, p_against=1.0 if value >= border else 0.0)
    at = (value - border) / error
    return BorderTest(effect=effect, p_for=t_below(-at, freedom), p_against=t_below(at, freedom))


def within(tested_low: BorderTest, tested_high: BorderTest) -> BorderTest:
    """Whether an effect lies between two borders: two one-sided tests (Schuirmann 1987).

    Args:
        tested_low: the effect against the lower border.
        tested_high: the same against the upper one.
    """
    inside = max(tested_low.p_for, tested_high.p_against)
    outside = min(1.0, 2 * min(tested_low.p_against, tested_high.p_for))
    return BorderTest(effect=tested_low.effect, p_for=inside, p_against=outside)


def below(tested: BorderTest) -> BorderTest:
    """The same test, claimed the other way round."""
    return BorderTest(effect=tested.effect, p_for=tested.p_against, p_against=tested.p_for)


def share_above(successes: int, n: int, border: float) -> BorderTest:
    """Whether a share lies above a border (exact binomial test, Wilson's interval).

    Raises:
        ValueError: no trials, or more successes than trials.

    >>> tested = share_above(9, 10, 0.5)
    >>> round(tested.p_for, 4), round(tested.p_against, 4)
    (0.0107, 0.999)
    """
    from scipy.stats import binom

    effect = wilson(successes, n)
    p_for, p_against = binom.sf(successes - 1, n, border), binom.cdf(successes, n, border)
    return BorderTest(effect=effect, p_for=float(p_for), p_against=float(p_against))


def share_difference(first: tuple[int, int], second: tuple[int, int]) -> BorderTest:
    """Whether the first of two shares is the larger (Fisher's exact test, Newcombe's 1998 interval, method 10).

    Args:
        first: successes and trials.
        second: successes and trials.
    """
    from scipy.stats import fisher_exact

    one, other = wilson(*first), wilson(*second)
    value = one.value - other.value
    low = value - math.hypot(one.value - _end(one.low), _end(other.high) - other.value)
    high = value + math.hypot(_end(one.high) - one.value, other.value - _end(other.low))
    table = [[first[0], first[1] - first[0]], [second[0], second[1] - second[0]]]
    p_values = [float(fisher_exact(np.array(table), alternative=side)[1]) for side in ("greater", "less")]
    effect = Estimate(value=value, low=low, high=high, n=first[1] + second[1], method="Newcombe")
    return BorderTest(effect=effect, p_for=p_values[0], p_against=p_values[1])


def _end(end: float | None) -> float:
    assert end is not None, "Wilson's interval always has ends"
    return end


def mean_difference(first: Sequence[float], second: Sequence[float], border: float = 0.0) -> BorderTest:
    """Whether the first of two means exceeds the second by more than a border (Welch 1947).

    Raises:
        ValueError: fewer than two values in either, or fewer than five together.
    """
    if min(len(first), len(second)) < 2 or len(first) + len(second) < 5:
        raise ValueError("a difference of means needs two values of each, and five in all")
    parts = [statistics.variance(values) / len(values) for values in (first, second)]
    value = statistics.fmean(first) - statistics.fmean(second)
    return _satterthwaite(value, parts, [len(first) - 1, len(second) - 1], border, n=len(first) + len(second))


def slope_difference(first: Trend, second: Trend, border: float = 0.0) -> BorderTest:
    """Whether the first of two lines rises faster than the second by more than a border (Welch-Satterthwaite)."""
    errors = [slope_error(line) for line in (first, second)]
    value = first.slope.value - second.slope.value
    n = first.slope.n + second.slope.n
    return _satterthwaite(value, [error**2 for error in errors], [first.slope.n - 2, second.slope.n - 2], border, n=n)


def _satterthwaite(
    value: float, parts: Sequence[float], freedoms: Sequence[float], border: float, *, n: int
) -> BorderTest:
    total = sum(parts)
    below_line = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    freedom = total**2 / below_line if below_line else float(sum(freedoms))
    return t_above(value, total**0.5, freedom, border, n=n, method="Welch's t")


def slope_error(line: Trend) -> float:
    """The standard error of a line's slope."""
    slope = line.slope
    return (_end(slope.high) - slope.value) / t_quantile((1 + LEVEL) / 2, slope.n - 2)


def slope_above(x: Sequence[float], y: Sequence[float], border: float = 0.0) -> BorderTest:
    """Whether the least-squares line through points rises by more than a border for a unit of x.

    Raises:
        ValueError: fewer than three points, or all x alike.
    """
    line = trend(x, y)
    slope = line.slope
    return t_above(slope.value, slope_error(line), slope.n - 2, border, n=slope.n, method=slope.method)


def rank_correlation_above(x: Sequence[float], y: Sequence[float], border: float = 0.0) -> BorderTest:
    """Whether Spearman's rank correlation lies above a border (Fisher's z; Bonett and Wright 2000, equation 6).

    Raises:
        ValueError: fewer than five points, or all alike in one of them.
    """
    _need(len(x), 5)
    if min(x) == max(x) or min(y) == max(y):
        raise ValueError("a rank correlation needs values that differ")
    from scipy.stats import norm, spearmanr

    value = float(spearmanr(x, y).statistic)
    z, error = math.atanh(max(-0.999, min(0.999, value))), math.sqrt((1 + value**2 / 2) / (len(x) - 3))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    low, high = min(value, math.tanh(z - half)), max(value, math.tanh(z + half))
    effect = Estimate(value=value, low=low, high=high, n=len(x), method="Fisher's z of ranks")
    at = (z - math.atanh(border)) / error
    return BorderTest(effect=effect, p_for=float(norm.sf(at)), p_against=float(norm.cdf(at)))


def spread_ratio_above(first: Sequence[float], second: Sequence[float]) -> BorderTest:
    """Whether the first of two paired series scatters more than the second (Pitman 1939, Morgan 1939).

    Sum and difference of the pairs are correlated if, and only if, the variances differ. The effect is the ratio of
    standard deviations, its interval the set of ratios that the test does not reject.

    Raises:
        ValueError: fewer than four pairs, or a series without spread.
    """
    from scipy.stats import pearsonr

    pairs = list(zip(first, second, strict=True))
    _need(len(pairs), 4)
    n, variances = len(pairs), (statistics.variance(first), statistics.variance(second))
    if min(variances) <= 0:
        raise ValueError("a ratio of spreads needs both")
    within_pairs = float(pearsonr(first, second).statistic)
    # Pearson's r of sum and difference, and its t; the interval solves for the ratio at which t is critical.
    sums, differences = [a + b for a, b in pairs], [a - b for a, b in pairs]
    alike = min(sums) == max(sums) or min(differences) == max(differences)  # then both scatter the same
    of_sums = 0.0 if alike else float(pearsonr(sums, differences).statistic)
    at = of_sums * math.sqrt((n - 2) / max(1e-12, 1 - of_sums**2))
    spread = 1 + 2 * (1 - within_pairs**2) * t_quantile((1 + LEVEL) / 2, n - 2) ** 2 / (n - 2)
    ratio, room = variances[0] / variances[1], math.sqrt(spread**2 - 1)
    low, high = (math.sqrt(ratio * (spread + sign * room)) for sign in (-1, 1))
    effect = Estimate(value=math.sqrt(ratio), low=low, high=high, n=n, method="Pitman and Morgan")
    return BorderTest(effect=effect, p_for=t_below(-at, n - 2), p_against=t_below(at, n - 2))


def spread_above(values: Sequence[float], border: float, *, fitted: int = 1) -> BorderTest:
    """Whether normal values scatter by more than a border (chi-squared of their variance).

    Args:
        values: residuals, or values around their mean.
        border: a standard deviation.
        fitted: parameters that were fitted to them.

    Raises:
        ValueError: no degree of freedom is left.
    """
    from scipy.stats import chi2

    freedom = len(values) - fitted
    _need(freedom, 1)
    mean = statistics.fmean(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    low, high = (math.sqrt(squares / float(chi2.ppf(at, freedom))) for at in ((1 + LEVEL) / 2, (1 - LEVEL) / 2))
    value = math.sqrt(squares / freedom)
    effect = Estimate(value=value, low=low, high=high, n=len(values), method="chi-squared")
    at = squares / border**2
    return BorderTest(effect=effect, p_for=float(chi2.sf(at, freedom)), p_against=float(chi2.cdf(at, freedom)))


def _need(n: int, least: int) -> None:
    if n < least:
        raise ValueError(f"{n} of at least {least} values")
