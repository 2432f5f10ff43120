"""The stated intervals cover what they state: simulated runs with drift, autocorrelation and outliers."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slm_atlas.stats import (
    LEVEL,
    mean_estimate,
    median_estimate,
    paired_ratio,
    relative_half_width,
    weighted_mean_estimate,
)
from slm_atlas.studies.blocks import due

SIMULATIONS = 1500
TOLERANCE = 3.5 * math.sqrt(LEVEL * (1 - LEVEL) / SIMULATIONS)
"""Three and a half standard errors of the share of intervals that cover."""
TRUE_RATIO = 1.1

Times = npt.NDArray[np.float64]


def autocorrelated(rng: np.random.Generator, blocks: int, rho: float) -> Times:
    """What all runs of a block have in common, in logarithms: it wanders from block to block."""
    steps = rng.normal(0, 0.05 * math.sqrt(1 - rho**2), blocks)
    common = np.zeros(blocks)
    for block in range(blocks):
        common[block] = (rho * common[block - 1] if block else 0) + steps[block]
    return common


def arms(rng: np.random.Generator, blocks: int, rho: float, drift: float) -> tuple[Times, Times]:
    """Times of two arms, the second `TRUE_RATIO` times the first, in blocks of a machine that drifts."""
    common = autocorrelated(rng, blocks, rho) + drift * np.arange(blocks)
    first, second = (np.exp(common + rng.normal(0, 0.02, blocks)) for _ in range(2))
    return first, TRUE_RATIO * second


@pytest.mark.parametrize(("rho", "drift"), [(0.0, 0.0), (0.6, 0.0), (0.9, 0.02)])
def test_ratios_within_blocks_cover_under_drift_and_autocorrelation(rho: float, drift: float) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(SIMULATIONS):
        first, second = arms(rng, 8, rho, drift)
        found = paired_ratio(second.tolist(), first.tolist())
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= TRUE_RATIO <= found.high
    assert covered / SIMULATIONS == pytest.approx(LEVEL, abs=TOLERANCE)


@pytest.mark.parametrize(("n", "expected"), [(5, 0.9375), (8, LEVEL), (12, LEVEL), (25, LEVEL)])
@pytest.mark.parametrize("outliers", [0.0, 0.1])
def test_medians_cover_whatever_the_distribution(n: int, expected: float, outliers: float) -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(SIMULATIONS):
        slowed = rng.random(n) < outliers
        values = rng.lognormal(0, 0.03, n) * np.where(slowed, rng.choice([0.5, 2.0], n), 1)
        found = median_estimate(values.tolist())
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 1 <= found.high
    assert covered / SIMULATIONS == pytest.approx(expected, abs=TOLERANCE + 0.005)


@given(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=40))
@example([1.0, 1.0, 1.0, 1.0, 856593.477366953, 856593.477366953])
def test_the_interval_of_a_median_holds_it_and_stays_within_the_runs(values: list[float]) -> None:
    found = median_estimate(values)
    assert found.low is not None
    assert found.high is not None
    assert min(values) <= found.low <= found.value
    assert found.value <= found.high <= max(values)
    assert found.value == statistics.median(values)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)), min_size=3, max_size=20))
def test_a_ratio_turned_round_is_its_inverse(pairs: list[tuple[float, float]]) -> None:
    one, other = zip(*pairs, strict=True)
    there, back = paired_ratio(one, other), paired_ratio(other, one)
    assert there.value == pytest.approx(1 / back.value)
    assert there.low == pytest.approx(1 / (back.high or 0))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 0.0], [1.0, -1.0]])
def test_no_width_without_two_positive_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match="two of them"):
        relative_half_width(values)


def test_more_runs_of_the_same_spread_are_narrower() -> None:
    widths = [relative_half_width([1.0, 1.1] * n) for n in (2, 4, 8, 16)]
    assert widths == sorted(widths, reverse=True)


BLOCKS = 12
DISTURBED = 0.3
"""Share of the blocks, and of their repeats, in which something slows the run of one arm."""


class Blocks:
    """Log ratios of two arms in blocks, some of them disturbed."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.values: list[float] = []
        self.disturbed: set[int] = set()

    def draw(self) -> tuple[float, bool]:
        """A block's ratio, and whether it was disturbed: then the one arm or the other took longer."""
        value = math.log(TRUE_RATIO) + self._rng.normal(0, 0.028)
        slowed = bool(self._rng.random() < DISTURBED)
        return value + slowed * self._rng.choice([-1, 1]) * self._rng.exponential(0.1), slowed

    def add(self) -> None:
        value, slowed = self.draw()
        if slowed:
            self.disturbed.add(len(self.values))
        self.values.append(value)

    def repeat(self, numbers: list[int]) -> None:
        for number in numbers:
            self.values[number], _ = self.draw()

    def ratios(self) -> list[float]:
        return [math.exp(value) for value in self.values]

    def covered(self) -> bool:
        found = paired_ratio(self.ratios(), [1.0] * len(self.values))
        assert found.low is not None
        assert found.high is not None
        return found.low <= TRUE_RATIO <= found.high


def share_covered(measure: Callable[[Blocks], None]) -> float:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(SIMULATIONS):
        blocks = Blocks(rng)
        measure(blocks)
        covered += blocks.covered()
    return covered / SIMULATIONS


def repeated_for_disturbance(blocks: Blocks) -> None:
    for _ in range(BLOCKS):
        blocks.add()
    blocks.repeat(due(blocks.disturbed, [], BLOCKS))


def repeated_for_result(blocks: Blocks) -> None:
    """What must not be done: the quarter that is farthest from the others is measured again."""
    for _ in range(BLOCKS):
        blocks.add()
    middle = statistics.median(blocks.values)
    blocks.repeat(sorted(range(BLOCKS), key=lambda number: -abs(blocks.values[number] - middle))[: BLOCKS // 4])


def stopped_then_repeated(blocks: Blocks) -> None:
    """Until the interval of the ratio is narrow, at most 20 blocks; disturbed ones again; on, if it is wide then."""
    for _ in range(2):
        while len(blocks.values) < 20 and not (
            len(blocks.values) >= 5 and relative_half_width(blocks.ratios()) <= 0.04
        ):
            blocks.add()
        blocks.repeat(due(blocks.disturbed, [], len(blocks.values)))
        blocks.disturbed.clear()


def test_repeating_what_was_disturbed_keeps_the_coverage() -> None:
    assert share_covered(repeated_for_disturbance) == pytest.approx(LEVEL, abs=TOLERANCE)


def test_repeating_by_the_result_would_not() -> None:
    assert share_covered(repeated_for_result) < LEVEL - 2 * TOLERANCE


def test_stopping_costs_two_hundredths_of_coverage_with_repeats_as_without() -> None:
    assert LEVEL - 0.03 < share_covered(stopped_then_repeated) < LEVEL + TOLERANCE


def test_a_weighted_mean_of_equal_weights_is_the_mean() -> None:
    values = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0]
    plain, weighted = mean_estimate(values), weighted_mean_estimate(values, [3.0] * 6)
    assert (weighted.value, weighted.low, weighted.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_the_interval_of_a_weighted_mean_covers_its_own() -> None:
    draw = random.Random(1)
    covered = 0
    for _ in range(400):
        weights = [draw.uniform(1, 3) for _ in range(30)]
        found = weighted_mean_estimate([5 + draw.gauss(0, 1) for _ in weights], weights)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 5 <= found.high
    assert 0.92 < covered / 400 < 0.98


@pytest.mark.parametrize(("values", "weights"), [([], []), ([1.0], [1.0, 2.0]), ([1.0], [0.0])])
def test_a_weighted_mean_needs_values_and_positive_weights(values: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match="positive weight"):
        weighted_mean_estimate(values, weights)
