"""The arithmetic of scores: simulated coverage of the intervals, and exact tests against enumeration."""

from __future__ import annotations

import itertools
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from slm_atlas.stats import (
    LEVEL,
    Estimate,
    average,
    chance_corrected,
    compare,
    half_width,
    items_for,
    mcnemar,
    mean_estimate,
    wilson,
)

SIMULATIONS = 2000
TOLERANCE = 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / SIMULATIONS)
"""Three and a half standard errors of the share of intervals that cover."""

share = cache(wilson)


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def covers(estimate: Estimate, truth: float) -> bool:
    low, high = ends(estimate)
    return low <= truth <= high


# ---- against chance --------------------------------------------------------------------------------------------------


@settings(deadline=None)  # the first import of scipy
@given(right=st.integers(0, 40), chance=st.floats(0, 0.9))
def test_correcting_for_chance_keeps_order_and_fixed_points(right: int, chance: float) -> None:
    score = share(right, 40)
    corrected = chance_corrected(score, chance)
    low, high = ends(corrected)
    assert low <= corrected.value <= high <= 1 + 1e-12
    assert corrected.value * (1 - chance) + chance == pytest.approx(score.value)
    assert (low <= 0 <= high) == (ends(score)[0] <= chance <= ends(score)[1])
    assert corrected.n == score.n


@pytest.mark.parametrize("chance", [-0.1, 1.0, math.nan])
def test_no_chance_is_refused(chance: float) -> None:
    with pytest.raises(ValueError, match="guessing"):
        chance_corrected(share(1, 2), chance)


# ---- averages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truths", [(0.25, 0.4, 0.6, 0.7), (0.1, 0.2), (0.5,), (0.02, 0.5, 0.98)])
def test_the_average_covers_as_stated(truths: tuple[float, ...]) -> None:
    rng, n = np.random.default_rng(1), 60
    drawn = rng.binomial(n, truths, (SIMULATIONS, len(truths)))
    covered = [covers(average([share(int(right), n) for right in row]), float(np.mean(truths))) for row in drawn]
    assert np.mean(covered) >= LEVEL - 0.01 - TOLERANCE


def test_where_hardly_any_is_right_it_covers_less_but_more_than_standard_errors() -> None:
    rng, n, truths = np.random.default_rng(1), 60, (0.01, 0.02)
    drawn = rng.binomial(n, truths, (SIMULATIONS, 2))
    ours = np.mean([covers(average([share(int(right), n) for right in row]), 0.015) for row in drawn])
    shares = drawn / n
    half = 1.96 * np.sqrt((shares * (1 - shares) / n).sum(axis=1)) / 2
    theirs = np.mean(abs(shares.mean(axis=1) - 0.015) <= half)
    assert 0.88 < ours < LEVEL
    assert theirs < ours - 0.05


def test_the_average_is_as_narrow_as_standard_errors_say() -> None:
    low, high = ends(average([share(500, 1000)] * 7))
    expected = 1.96 * math.sqrt(0.25 / 1000 / 7)
    assert (high - low) / 2 == pytest.approx(expected, rel=0.01)


def test_tasks_that_are_all_wrong_leave_an_interval() -> None:
    low, high = ends(average([share(0, 30), share(0, 30)]))
    assert (low, high > 0.05) == (0, True)
    single = Estimate(value=0.5, low=None, high=None, n=1, method="none")
    assert average([share(1, 2), single]).low is None
    with pytest.raises(ValueError, match="no scores"):
        average([])


# ---- two models on the same items ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cells", [(0.3, 0.1, 0.1, 0.5), (0.3, 0.2, 0.05, 0.45), (0.6, 0.02, 0.02, 0.36), (0.05, 0.6, 0.3, 0.05)]
)
@pytest.mark.parametrize("n", [30, 200])
def test_the_difference_covers_as_stated(cells: tuple[float, ...], n: int) -> None:
    rng, truth = np.random.default_rng(2), cells[1] - cells[2]

    @cache
    def interval(gains: int, losses: int) -> bool:
        pairs = [(0, 1)] * gains + [(1, 0)] * losses + [(1, 1)] * (n - gains - losses)
        return covers(compare(*zip(*pairs, strict=True)).difference, truth)

    drawn = rng.multinomial(n, cells, SIMULATIONS)
    covered = [interval(int(row[1]), int(row[2])) for row in drawn]
    assert np.mean(covered) >= LEVEL - TOLERANCE - 0.01


@given(losses=st.integers(0, 3000), gains=st.integers(0, 3000))
def test_mcnemar_is_the_binomial_test_however_many_items(losses: int, gains: int) -> None:
    expected = binomtest(losses, losses + gains).pvalue if losses + gains else 1.0
    assert mcnemar(losses, gains) == pytest.approx(expected, rel=1e-6, abs=1e-250)


@given(losses=st.integers(0, 6), gains=st.integers(0, 6), ties=st.integers(0, 5))
def test_mcnemar_is_exact(losses: int, gains: int, ties: int) -> None:
    first = [1] * losses + [0] * gains + [1] * ties
    second = [0] * losses + [1] * gains + [1] * ties
    if not first:
        return
    found = compare(first, second)
    worlds = list(itertools.product((-1, 1), repeat=losses + gains))  # were each item as likely one way as the other
    extreme = sum(abs(sum(world)) >= abs(gains - losses) for world in worlds) / len(worlds)
    assert found.p_value == pytest.approx(extreme)
    assert (found.only_first, found.only_second) == (losses, gains)
    assert found.difference.value == pytest.approx((gains - losses) / len(first))


@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_a_comparison_turned_round_is_its_mirror(pairs: list[tuple[int, int]]) -> None:
    first, second = zip(*pairs, strict=True)
    there, back = compare(first, second), compare(second, first)
    low, high = ends(there.difference)
    assert ends(back.difference) == pytest.approx((-high, -low))
    assert low - 1e-9 <= there.difference.value <= high + 1e-9
    assert there.p_value == back.p_value
    assert there.indistinguishable == back.indistinguishable


def test_pairs_tell_apart_what_two_intervals_do_not() -> None:
    first = [1] * 500 + [0] * 500
    second = [1] * 530 + [0] * 470
    found = compare(first, second)
    assert not found.indistinguishable
    assert ends(share(500, 1000))[1] > ends(share(530, 1000))[0]


def test_scores_that_are_no_yes_or_no_are_compared_by_their_differences() -> None:
    first, second = [0.1, 0.4, 0.35, 0.8], [0.2, 0.45, 0.5, 0.85]
    found = compare(first, second)
    expected = mean_estimate([b - a for a, b in zip(first, second, strict=True)])
    assert (found.difference, found.p_value, found.only_first) == (expected, None, None)
    assert compare([0.3], [0.4]).indistinguishable  # one item gives no interval


def test_items_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        compare([1, 0], [1])
    with pytest.raises(ValueError, match="no items"):
        compare([], [])


# ---- items for an interval -------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(n=st.integers(1, 5000), data=st.data())
def test_half_widths_are_wilsons(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = ends(wilson(right, n))
    assert half_width(n, share=right / n) == pytest.approx((high - low) / 2, abs=1e-9)
    assert half_width(n, share=right / n) <= half_width(n) + 1e-12


@given(half=st.floats(0.004, 0.49))
def test_items_for_an_interval_are_the_fewest(half: float) -> None:
    n = items_for(half)
    assert half_width(n) <= half
    assert n == 1 or half_width(n - 1) > half


@pytest.mark.parametrize("half", [0.0, 0.5, -1.0])
def test_an_interval_that_cannot_be_is_refused(half: float) -> None:
    with pytest.raises(ValueError, match="each side"):
        items_for(half)
    with pytest.raises(ValueError, match="items"):
        half_width(0)
