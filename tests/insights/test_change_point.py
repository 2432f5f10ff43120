"""A change of level is found where it is, and seldom where there is none: simulated series with memory and outliers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.insights import change_point
from slm_atlas.insights.change_point import ALPHA, MAX_RHO, MIN_VALUES, Values, memory, split

ROUNDS = 48


@pytest.fixture(autouse=True)
def few_permutations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for p-values below `ALPHA`, and ten times as fast."""
    monkeypatch.setattr(change_point, "PERMUTATIONS", 199)


def noise(rng: np.random.Generator, n: int, rho: float = 0.0, *, outliers: float = 0.0) -> Values:
    """An autoregression of order one with unit variance; some values are far off, upwards."""
    news = rng.standard_normal(n)
    series = np.zeros(n)
    for i in range(n):
        series[i] = news[i] if i == 0 else rho * series[i - 1] + np.sqrt(1 - rho**2) * news[i]
    far: Values = series + np.where(rng.random(n) < outliers, 8.0, 0.0)
    return far


@pytest.mark.parametrize(
    ("n", "rho", "outliers", "most"),
    [(16, 0.0, 0.0, ALPHA), (48, 0.0, 0.1, ALPHA), (48, 0.3, 0.0, ALPHA), (96, 0.3, 0.0, ALPHA), (48, 0.6, 0.0, 0.025)],
)
def test_false_alarms_are_as_seldom_as_stated(n: int, rho: float, outliers: float, most: float) -> None:
    rng, series = np.random.default_rng(3), 400
    found = sum(split(noise(rng, n, rho, outliers=outliers), seed=seed).found for seed in range(series))
    assert found / series <= most + 2 * np.sqrt(most * (1 - most) / series)


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.6])
@pytest.mark.parametrize("place", [6, 16, 40])
@pytest.mark.parametrize("height", [10.0, -10.0])
def test_a_change_is_found_where_it_is(rho: float, place: int, height: float) -> None:
    rng = np.random.default_rng(4)
    found = [split(noise(rng, ROUNDS, rho) + height * (np.arange(ROUNDS) >= place)) for _ in range(20)]
    assert sum(each.found for each in found) >= 16
    assert all(abs(each.place - place) <= 1 for each in found)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_a_slow_drift_is_found_too(rho: float) -> None:
    rng = np.random.default_rng(5)
    found = [split(noise(rng, ROUNDS, rho) + np.linspace(0, 12, ROUNDS)).found for _ in range(20)]
    assert sum(found) >= 18


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_units_do_not_matter(seed: int, scale: float, offset: float) -> None:
    series = noise(np.random.default_rng(seed), 24)
    one, other = split(series), split(scale * series + offset)
    assert one.place == other.place
    assert one.p_value == pytest.approx(other.p_value, abs=0.02)
    assert 0 < one.p_value <= 1


@given(st.floats(-10, 10), st.integers(MIN_VALUES, 60))
@settings(max_examples=20, deadline=None)
def test_a_series_that_never_changes_has_no_change(value: float, n: int) -> None:
    assert not split(np.full(n, value)).found


@pytest.mark.parametrize("rho", [0.0, 0.5])
def test_memory_errs_upwards_and_does_not_see_the_change(rho: float) -> None:
    rng = np.random.default_rng(6)
    plain = [noise(rng, ROUNDS, rho) for _ in range(200)]
    estimates = [memory(series, 20) for series in plain]
    assert rho < np.mean(estimates) <= MAX_RHO
    shifted = [memory(series + 50.0 * (np.arange(ROUNDS) >= 20), 20) for series in plain]
    assert shifted == pytest.approx(estimates)


def test_too_few_values_are_not_tested() -> None:
    with pytest.raises(ValueError, match="15 values; a change needs 16"):
        split(np.zeros(MIN_VALUES - 1))
