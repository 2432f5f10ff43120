"""Least squares with several predictors: known coefficients, honest prediction, and noise that predicts nothing."""

from __future__ import annotations

import numpy as np
import pytest

from slm_atlas import stats


def drawn(rng: np.random.Generator, n: int, *, effect: float) -> tuple[dict[str, list[float]], list[float]]:
    x = {name: rng.normal(0, 1, n).tolist() for name in ("a", "b", "c")}
    return x, (effect * np.array(x["a"]) + rng.normal(0, 1, n)).tolist()


def test_coefficients_are_those_of_numpy() -> None:
    x, y = drawn(np.random.default_rng(1), 30, effect=1.5)
    expected = np.linalg.lstsq(np.column_stack([np.ones(30), *x.values()]), np.array(y), rcond=None)[0]
    found = stats.regress(x, y).coefficients
    assert [of.value for of in found.values()] == pytest.approx(expected[1:])


def test_left_out_is_what_refitting_without_each_point_gives() -> None:
    x, y = drawn(np.random.default_rng(2), 15, effect=1.0)
    columns = np.column_stack([np.ones(15), *x.values()])
    target, squares, around = np.array(y), 0.0, 0.0
    for place in range(15):
        kept = np.arange(15) != place
        beta = np.linalg.lstsq(columns[kept], target[kept], rcond=None)[0]
        squares += (target[place] - columns[place] @ beta) ** 2
        around += (target[place] - target[kept].mean()) ** 2
    assert stats.regress(x, y).left_out.value == pytest.approx(1 - squares / around)


def test_noise_predicts_nothing_and_is_rarely_taken_for_something() -> None:
    rng = np.random.default_rng(3)
    found = [stats.regress(*drawn(rng, 20, effect=0.0)) for _ in range(120)]
    assert np.mean([each.left_out.value for each in found]) < 0
    assert np.mean([each.p_value <= 0.05 for each in found]) <= 0.11


def test_a_clear_effect_is_found_and_its_interval_covers_it() -> None:
    rng = np.random.default_rng(4)
    found = [stats.regress(*drawn(rng, 25, effect=2.0)) for _ in range(60)]
    assert all(each.p_value <= 0.01 for each in found)
    ends = [(each.coefficients["a"].low or 0, each.coefficients["a"].high or 0) for each in found]
    assert np.mean([low <= 2 <= high for low, high in ends]) >= 0.85


@pytest.mark.parametrize(
    ("x", "y"),
    [({"a": [1.0, 2.0, 3.0]}, [1.0, 2.0, 3.0]), ({"a": [1.0] * 8}, [1.0, 2.0] * 4)],
    ids=["few points", "a constant"],
)
def test_what_cannot_be_fitted_is_refused(x: dict[str, list[float]], y: list[float]) -> None:
    with pytest.raises(ValueError, match=r"points for|determine"):
        stats.regress(x, y)
