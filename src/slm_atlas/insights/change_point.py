"""Whether the level of a series changed, and where: one change, by least squares, tested by permutation.

The place is where two levels fit best. Whether there is a change at all, the permutations of the series tell (Antoch
and Husková 2001, doi 10.1016/S0167-7152(01)00009-8): whatever the distribution, if the values are independent. A
machine's are not, so what is permuted is what each value adds to its predecessor: the residuals of an autoregression of
order one. Its coefficient comes from the differences of neighbours, which know neither of the change nor of a slow
drift (the idea of Chakar et al. 2017, arXiv 1403.1958), and errs on the side of no change.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MIN_VALUES = 16
"""Fewer values than this are not tested."""
MIN_SEGMENT = 3
"""Values before a change, and after it, at least."""
ALPHA = 0.01
"""A change is claimed where one as clear is seen in fewer than this share of series that have none."""
PERMUTATIONS = 1999
"""So many stand for all."""
MAX_RHO = 0.8
"""A series that remembers itself for longer cannot be told from one that wanders."""
RHO_MARGIN = 1.5
"""Standard errors (1 / sqrt(n)) added to the coefficient: too small a one finds changes where there are none."""
MAX_DEVIATIONS = 4.5
"""A difference counts as no more than so many median absolute deviations (three standard deviations)."""

Values = npt.NDArray[np.float64]


class Split(NamedTuple):
    """The best division of a series into two levels."""

    place: int
    """Index of the first value after the change."""
    p_value: float
    """How often a series without a change is divided as clearly."""
    rho: float
    """How much of a value's deviation the next one shares, at most: 0 to `MAX_RHO`."""

    @property
    def found(self) -> bool:
        """Whether a change is claimed."""
        return self.p_value < ALPHA


def split(series: Values, *, seed: int = 0) -> Split:
    """Where the level of a series changed, and how surely.

    Args:
        series: at least `MIN_VALUES` numbers, in the order of time.
        seed: of the permutations, so that the same series gives the same answer.

    Raises:
        ValueError: too few values.
    """
    if len(series) < MIN_VALUES:
        raise ValueError(f"{len(series)} values; a change needs {MIN_VALUES}")
    place = MIN_SEGMENT + int(np.argmax(_gains(series)))
    rho = memory(series, place)
    # Across the change itself a value is no news of its predecessor, and would hide the change from the permutations.
    news = np.delete(series[1:] - rho * series[:-1], place - 1)
    if np.ptp(news) <= 1e-12 * float(np.abs(series).max()):
        return Split(place, 1.0, rho)
    shuffled = np.random.default_rng(seed).permuted(np.tile(news, (PERMUTATIONS, 1)), axis=1)
    as_clear = int((_gains(shuffled).max(axis=-1) >= _gains(news).max() * (1 - 1e-9)).sum())
    return Split(place, (1 + as_clear) / (1 + PERMUTATIONS), rho)


def memory(series: Values, place: int) -> float:
    """How much of a value's deviation from its level the next one shares, at most.

    In an autoregression of order one, the variance of differences over two steps is 1 + rho times that over one.
    """
    one, two = (_spread(_differences(series, place, lag)) for lag in (1, 2))
    rho = two / one - 1 if one > 0 else 0.0
    return float(np.clip(rho + RHO_MARGIN / math.sqrt(len(series)), 0.0, MAX_RHO))


def _differences(series: Values, place: int, lag: int) -> Values:
    """Differences over some steps, those across a place left out."""
    first = np.arange(len(series) - lag)
    kept: Values = (series[lag:] - series[:-lag])[(first + lag < place) | (first >= place)]
    return kept


def _spread(differences: Values) -> float:
    """Their mean square about their median (a slow drift), outliers cut."""
    off = differences - np.median(differences)
    most = MAX_DEVIATIONS * float(np.median(np.abs(off)))
    return float(np.mean(np.clip(off, -most, most) ** 2)) if most > 0 else float(np.mean(off**2))


def _gains(series: Values) -> Values:
    """By how much two levels fit better than one, for each place of the change: the sum of squares between them.

    Args:
        series: numbers along the last axis.

    Returns:
        The gain of each place from `MIN_SEGMENT` to n - `MIN_SEGMENT`, along the last axis.
    """
    n = series.shape[-1]
    sums = np.cumsum(series - series.mean(axis=-1, keepdims=True), axis=-1)
    before = np.arange(MIN_SEGMENT, n - MIN_SEGMENT + 1)
    gains: Values = sums[..., before - 1] ** 2 * n / (before * (n - before))
    return gains
