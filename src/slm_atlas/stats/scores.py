"""The arithmetic of scores: against chance, over tasks, two models on the same items, items for an interval."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from statistics import NormalDist

import msgspec

from slm_atlas.stats.estimates import LEVEL, Estimate, mean_estimate


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on the same items."""

    difference: Estimate
    """By how much the second scores higher than the first."""
    p_value: float | None
    """McNemar's exact test of items that one answers and the other does not; None for scores that are not 0 or 1."""
    only_first: int | None
    """Items that only the first has right; None as above."""
    only_second: int | None
    """Items that only the second has right; None as above."""

    @property
    def indistinguishable(self) -> bool:
        """Whether the interval of the difference holds 0, or there is none."""
        low, high = self.difference.low, self.difference.high
        return low is None or high is None or low <= 0 <= high


def chance_corrected(score: Estimate, chance: float) -> Estimate:
    """A score on the scale where guessing is 0 and all right is 1: (score - chance) / (1 - chance).

    Raises:
        ValueError: chance is not within [0, 1).

    >>> corrected = chance_corrected(Estimate(value=0.625, low=0.25, high=1.0, n=8, method="Wilson"), 0.25)
    >>> corrected.value, corrected.low, corrected.high
    (0.5, 0.0, 1.0)
    """
    if not 0 <= chance < 1:
        raise ValueError(f"guessing right with probability {chance}")
    scaled = [None if end is None else (end - chance) / (1 - chance) for end in (score.low, score.high)]
    value = (score.value - chance) / (1 - chance)
    method = f"{score.method}, corrected for chance {chance:g}"
    return Estimate(value=value, low=scaled[0], high=scaled[1], n=score.n, method=method)


def average(scores: Sequence[Estimate]) -> Estimate:
    """The mean of several tasks' scores, each task counting alike, with an interval made of theirs.

    MOVER (Zou, Huang and Zhang 2009): each side's distance is the root of the tasks' squared distances. Unlike the
    sum of standard errors it has a width where a task is all right or all wrong (at 1 and 2 % right of 60 items, it
    covers 90 % in simulation, those 83 %). The tasks are taken for independent
    samples, and for the very tasks that are meant: the interval says nothing of other tasks.

    Raises:
        ValueError: no scores.

    >>> one = Estimate(value=0.5, low=0.4, high=0.6, n=100, method="Wilson")
    >>> both = average([one, one])
    >>> both.value, round(both.low, 4), round(both.high, 4), both.n
    (0.5, 0.4293, 0.5707, 200)
    """
    if not scores:
        raise ValueError("the average of no scores")
    value, n, count = statistics.fmean(score.value for score in scores), sum(score.n for score in scores), len(scores)
    lows, highs = [score.low for score in scores], [score.high for score in scores]
    if None in lows or None in highs:
        return Estimate(value=value, low=None, high=None, n=n, method="none (a task has no interval)")
    below = math.hypot(*(score.value - low for score, low in zip(scores, lows, strict=True) if low is not None))
    above = math.hypot(*(high - score.value for score, high in zip(scores, highs, strict=True) if high is not None))
    method = f"MOVER over {count} task{'s' if count > 1 else ''}"
    return Estimate(value=value, low=value - below / count, high=value + above / count, n=n, method=method)


def compare(first: Sequence[float], second: Sequence[float], *, level: float = LEVEL) -> Comparison:
    """Compares two models item by item.

    Right or wrong (all scores 0 or 1): the interval of Agresti and Min (2005, doi 10.1002/sim.1781), which adds half
    an item to each cell of the table, and McNemar's exact test. Other scores: Student's t of the differences.

    Raises:
        ValueError: not as many of one as of the other, or none.

    >>> same = compare([1, 1, 0, 0] * 10, [1, 0, 1, 0] * 10)
    >>> same.difference.value, same.p_value, same.indistinguishable
    (0.0, 1.0, True)
    >>> compare([0] * 20, [1] * 20).indistinguishable
    False
    """
    pairs = list(zip(first, second, strict=True))
    if not all(score in (0, 1) for pair in pairs for score in pair):
        differences = [other - one for one, other in pairs]
        return Comparison(
            difference=mean_estimate(differences, level=level), p_value=None, only_first=None, only_second=None
        )
    losses, gains = sum(one > other for one, other in pairs), sum(other > one for one, other in pairs)
    difference = _difference(losses, gains, len(pairs), level)
    return Comparison(difference=difference, p_value=mcnemar(losses, gains), only_first=losses, only_second=gains)


def _difference(losses: int, gains: int, n: int, level: float) -> Estimate:
    """The difference of two shares of the same items, from the items that differ (Agresti and Min 2005)."""
    if n == 0:
        raise ValueError("a comparison on no items")
    more, less, items = gains + 0.5, losses + 0.5, n + 2
    middle = (more - less) / items
    half = _z(level) * math.sqrt(more + less - (more - less) ** 2 / items) / items
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    return Estimate(value=(gains - losses) / n, low=low, high=high, n=n, method="paired, Agresti and Min")


def mcnemar(losses: int, gains: int) -> float:
    """The exact two-sided p value that losses and gains are equally likely; 1 where there are none.

    >>> mcnemar(0, 5), mcnemar(3, 3), mcnemar(0, 0)
    (0.0625, 1.0, 1.0)
    """
    differing = losses + gains
    ways = tail = 1
    for fewer in range(min(losses, gains)):
        ways = ways * (differing - fewer) // (fewer + 1)  # each binomial coefficient from the one before
        tail += ways
    chance: float = 2 * tail / 2**differing
    return min(1.0, chance)


def half_width(n: int, *, share: float = 0.5, level: float = LEVEL) -> float:
    """Half the width of Wilson's interval that so many items give; at a share of one half it is widest.

    Raises:
        ValueError: no items, or no share.

    >>> round(half_width(100), 3), round(half_width(1000), 3)
    (0.096, 0.031)
    """
    if n < 1 or not 0 <= share <= 1:
        raise ValueError(f"{n} items, {share} of them right")
    z = _z(level)
    return z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))


def items_for(half: float, *, level: float = LEVEL) -> int:
    """The fewest items whose interval is no wider than half to each side, whatever the score.

    Raises:
        ValueError: half is not within (0, 1/2).

    >>> items_for(0.05), items_for(0.01)
    (381, 9600)
    """
    if not 0 < half < 0.5:
        raise ValueError(f"an interval of {half} to each side")
    z = _z(level)
    n = max(1, math.floor((z / (2 * half)) ** 2 - z * z))
    while half_width(n, level=level) > half:
        n += 1
    return n


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
