"""Curves over worked examples: gains are of the same items, and the average is of tasks that ran with all numbers."""

from __future__ import annotations

import pytest

from slm_atlas.insights.answered import models
from slm_atlas.insights.learning import Curve, curves

from .evaluated import evaluated, right

PIQA = {"piqa": right(0.5), "piqa_shots_1": right(0.6), "piqa_shots_5": right(0.9)}
BOOLQ = {"boolq": right(0.4), "boolq_shots_1": right(0.4), "boolq_shots_5": right(0.2)}


def found(*tasks: dict[str, list[float]]) -> dict[str, Curve]:
    merged = {name: values for each in tasks for name, values in each.items()}
    return {curve.task: curve for curve in curves(models(evaluated({"a": merged})))}


def test_a_gain_is_of_the_same_items() -> None:
    curve = found(PIQA)["piqa"]
    assert {shots: point.value for shots, point in curve.points.items()} == {0: 0.5, 1: 0.6, 5: 0.9}
    assert curve.gain is not None
    assert (curve.gain.n, curve.fewest, curve.most) == (100, 0, 5)
    assert curve.gain.value == pytest.approx(0.4)
    assert curve.p_value == pytest.approx(2 * 0.5**40)
    assert curve.verdict == "examples help"
    assert found(BOOLQ)["boolq"].verdict == "examples harm"


def test_the_average_counts_each_task_alike() -> None:
    average = found(PIQA, BOOLQ)["average"]
    assert average.tasks == 2
    assert average.points[5].value == pytest.approx(0.55)
    assert average.gain is not None
    assert average.gain.value == pytest.approx((0.4 - 0.2) / 2)


def test_a_task_without_all_numbers_of_examples_is_not_in_the_average() -> None:
    partial = {"boolq": BOOLQ["boolq"], "boolq_shots_5": BOOLQ["boolq_shots_5"]}
    assert set(found(PIQA, partial)) == {"piqa", "boolq"}
    assert set(found({"piqa": right(0.5)})) == set()
