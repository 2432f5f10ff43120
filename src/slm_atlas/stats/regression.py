"""Least squares with several predictors: coefficients with intervals, and how well it predicts what it has not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from slm_atlas.stats.estimates import LEVEL, Estimate
from slm_atlas.stats.student import t_quantile


class Regression(msgspec.Struct, frozen=True, kw_only=True):
    """A linear model fitted by least squares."""

    coefficients: dict[str, Estimate]
    """By predictor: the change of y for a unit of it, all others held, with Student's t interval."""
    r_squared: float
    """Share of y's variance that it explains among the points it was fitted to."""
    left_out: Estimate
    """The same for points it was not fitted to, each left out in turn (negative: worse than their mean), with
    the jackknife's interval (Student's t)."""
    p_value: float
    """How often predictors permuted among the points would predict the one left out as well."""
    residuals: tuple[float, ...]
    """y less what it says."""


PERMUTATIONS = 999
"""Permutations of the points behind a p value; the seed is fixed, so that it is the same each time."""


def regress(predictors: Mapping[str, Sequence[float]], y: Sequence[float]) -> Regression:
    """Fit y to predictors and a constant.

    Args:
        predictors: a value a point, by name.
        y: a value a point.

    Raises:
        ValueError: fewer than three points more than there are coefficients, or predictors that determine each other.

    >>> found = regress({"x": [0.0, 1.0, 2.0, 3.0, 4.0]}, [1.0, 3.1, 4.9, 7.0, 9.1])
    >>> round(found.coefficients["x"].value, 2), found.left_out.value > 0.99
    (2.01, True)
    """
    x = np.column_stack([np.ones(len(y)), *(np.asarray(values, dtype=float) for values in predictors.values())])
    freedom = x.shape[0] - x.shape[1]
    if freedom < 3:
        raise ValueError(f"{x.shape[0]} points for {x.shape[1]} coefficients")
    if not _has_full_rank(x):
        raise ValueError("predictors that determine each other")
    target, inverse = np.asarray(y, dtype=float), np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ target
    residuals = target - x @ beta
    half = t_quantile((1 + LEVEL) / 2, freedom) * np.sqrt(np.diag(inverse) * float(residuals @ residuals) / freedom)
    total = float(((target - target.mean()) ** 2).sum())
    return Regression(
        coefficients={
            name: Estimate(
                value=float(beta[place]),
                low=float(beta[place] - half[place]),
                high=float(beta[place] + half[place]),
                n=len(y),
                method="least squares, Student's t",
            )
            for place, name in enumerate(predictors, 1)
        },
        r_squared=1 - float(residuals @ residuals) / total if total else 0.0,
        left_out=_jackknifed(x, target),
        p_value=_permuted(x, target),
        residuals=tuple(float(value) for value in residuals),
    )


def determined(predictors: Mapping[str, Sequence[float]]) -> bool:
    """Whether points differ in each predictor, and none follows from the others: what `regress` needs."""
    columns = list(predictors.values())
    x = np.column_stack([np.ones(len(columns[0])), *(np.asarray(values, dtype=float) for values in columns)])
    return _has_full_rank(x)


def _left_out(x: np.ndarray, targets: np.ndarray) -> list[float]:
    """The share of variance explained of points left out, from the hat matrix; for each column of targets.

    The yardstick is the mean of the other points, as a prediction without predictors would be.
    """
    columns = targets.reshape(len(x), -1)
    hat = x @ np.linalg.inv(x.T @ x) @ x.T
    errors = (columns - hat @ columns) / (1 - np.diag(hat)[:, None]).clip(1e-12)
    around = (columns - columns.mean(axis=0)) * len(x) / (len(x) - 1)
    total = (around**2).sum(axis=0)
    return [
        1 - float(error) / float(of) if of else 0.0 for error, of in zip((errors**2).sum(axis=0), total, strict=True)
    ]


def _jackknifed(x: np.ndarray, target: np.ndarray) -> Estimate:
    """What is explained of points left out, and how much it varies from one set of points to another."""
    n, whole = len(target), _left_out(x, target)[0]
    without = [np.delete(np.arange(n), place) for place in range(n)]
    each = np.array([_left_out(x[kept], target[kept])[0] for kept in without if _has_full_rank(x[kept])])
    half = t_quantile((1 + LEVEL) / 2, n - 1) * math.sqrt((n - 1) * float(each.var()))
    return Estimate(value=whole, low=whole - half, high=min(1.0, whole + half), n=n, method="leave-one-out, jackknife")


def _has_full_rank(x: np.ndarray) -> bool:
    return bool(np.linalg.matrix_rank(x) == x.shape[1])


def _permuted(x: np.ndarray, target: np.ndarray) -> float:
    """P value of the null that the predictors say nothing: the share of permutations that predict as well."""
    draw = np.random.default_rng(20240915)
    shuffled = np.column_stack([target, *(draw.permutation(target) for _ in range(PERMUTATIONS))])
    found = np.array(_left_out(x, shuffled))
    return float((found >= found[0] - 1e-12).mean())
