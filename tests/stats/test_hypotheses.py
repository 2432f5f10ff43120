"""Tests against a border: how often they err where the truth is known, and that they find what is clear."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import stats
from slm_atlas.stats import BorderTest

TRIALS = 300
THREE_ERRORS = 3 * math.sqrt(0.05 * 0.95 / TRIALS)
"""Standard errors, of a share of 5%."""
Draw = Callable[[np.random.Generator, float], BorderTest]
"""A test of data in which the effect lies so far above the border."""


def means(rng: np.random.Generator, effect: float) -> BorderTest:
    return stats.mean_above(rng.normal(effect, 1, 12).tolist())


def slopes(rng: np.random.Generator, effect: float) -> BorderTest:
    x = np.linspace(0, 3, 15)
    return stats.slope_above(x.tolist(), (effect * x + rng.normal(0, 1, 15)).tolist())


def two_means(rng: np.random.Generator, effect: float) -> BorderTest:
    return stats.mean_difference(rng.normal(effect, 1, 9).tolist(), rng.normal(0, 0.5, 14).tolist())


def shares(rng: np.random.Generator, effect: float) -> BorderTest:
    return stats.share_above(int(rng.binomial(40, min(0.99, 0.5 + effect / 4))), 40, 0.5)


def two_shares(rng: np.random.Generator, effect: float) -> BorderTest:
    first, second = (int(rng.binomial(30, 0.4 + shift)) for shift in (min(0.5, effect / 3), 0.0))
    return stats.share_difference((first, 30), (second, 30))


def ranks(rng: np.random.Generator, effect: float) -> BorderTest:
    x = rng.normal(0, 1, 25)
    return stats.rank_correlation_above(x.tolist(), (effect * x + rng.normal(0, 1, 25)).tolist())


def spreads(rng: np.random.Generator, effect: float) -> BorderTest:
    common = rng.normal(0, 1, 30)
    first, second = (common + rng.normal(0, 1 + more, 30) for more in (effect, 0.0))
    return stats.spread_ratio_above(first.tolist(), second.tolist())


def spread(rng: np.random.Generator, effect: float) -> BorderTest:
    return stats.spread_above(rng.normal(0, 1 + effect, 20).tolist(), 1.0)


def two_slopes(rng: np.random.Generator, effect: float) -> BorderTest:
    x = np.linspace(0, 3, 12)
    lines = [stats.trend(x.tolist(), (rise * x + rng.normal(0, 1, 12)).tolist()) for rise in (effect, 0.0)]
    return stats.slope_difference(lines[0], lines[1])


DRAWS = [means, slopes, two_means, shares, two_shares, ranks, spreads, spread, two_slopes]


@cache
def at_the_border(draw: Draw) -> list[BorderTest]:
    rng = np.random.default_rng(1)
    return [draw(rng, 0.0) for _ in range(TRIALS)]


@pytest.mark.parametrize("draw", DRAWS)
def test_at_the_border_each_side_is_found_as_rarely_as_said(draw: Draw) -> None:
    for p_values in zip(*((each.p_for, each.p_against) for each in at_the_border(draw)), strict=True):
        assert np.mean(np.array(p_values) <= 0.05) <= 0.05 + THREE_ERRORS


@pytest.mark.parametrize("draw", DRAWS)
def test_a_clear_effect_is_found_on_its_side_alone(draw: Draw) -> None:
    rng = np.random.default_rng(2)
    found = [draw(rng, 2.0) for _ in range(100)]
    assert np.mean([each.p_for <= 0.01 for each in found]) >= 0.8
    assert min(each.p_against for each in found) > 0.2


@pytest.mark.parametrize("draw", [means, slopes, two_means, ranks, spreads, spread, two_slopes])
def test_intervals_cover_the_truth(draw: Draw) -> None:
    truth = 1.0 if draw in (spreads, spread) else 0.0
    effects = [each.effect for each in at_the_border(draw)]
    covered = np.mean([e.low is not None and e.high is not None and e.low <= truth <= e.high for e in effects])
    assert abs(covered - 0.95) <= THREE_ERRORS


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=20), st.floats(-10, 10))
def test_claiming_the_contrary_swaps_the_p_values(values: list[float], border: float) -> None:
    tested = stats.mean_above(values, border)
    turned = stats.below(tested)
    assert (turned.p_for, turned.p_against, turned.effect) == (tested.p_against, tested.p_for, tested.effect)
    assert tested.p_for + tested.p_against >= 1 - 1e-9, "never both small"


def test_values_without_spread_lie_on_one_side() -> None:
    assert stats.mean_above([2.0] * 4, 1.0).p_for == 0
    assert stats.mean_above([2.0] * 4, 3.0).p_against == 0


def test_inside_two_borders_needs_an_interval_inside() -> None:
    def tested(values: list[float]) -> BorderTest:
        return stats.within(stats.mean_above(values, -1.0), stats.mean_above(values, 1.0))

    tight, wide, off = [0.1, -0.1, 0.05, 0.0], [3.0, -3.0, 2.0, -2.0], [5.0, 5.1, 4.9, 5.0]
    assert tested(tight).p_for < 0.01
    assert tested(wide).p_for > 0.2
    assert tested(off).p_against < 0.01


@pytest.mark.parametrize(
    "call",
    [
        lambda: stats.mean_above([1.0, 2.0]),
        lambda: stats.mean_difference([1.0], [1.0, 2.0, 3.0, 4.0]),
        lambda: stats.rank_correlation_above([1.0] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        lambda: stats.spread_ratio_above([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
def test_too_little_to_test_is_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"values|spreads"):
        call()


def test_a_ratio_of_spreads_is_known_from_its_pairs() -> None:
    rng = np.random.default_rng(4)
    second = rng.normal(0, 1, 200)
    effect = stats.spread_ratio_above((second * 2 + rng.normal(0, 0.1, 200)).tolist(), second.tolist()).effect
    assert effect.value == pytest.approx(2, rel=0.05)
    assert effect.low is not None
    assert effect.high is not None
    assert math.log(effect.high / effect.low) < 0.1, "pairs make it narrow"
