"""Suites name tasks that exist, with the metric and the chance level their files imply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slm_atlas.errors import UserError
from slm_atlas.evals import Suite, SuiteTask, all_suites, suite

TASKS = [(found, task) for found in all_suites() for task in found.tasks]


def items(found: Suite, task: SuiteTask) -> list[dict[str, Any]]:
    text = (found.folder / f"{task.name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.parametrize(("found", "task"), TASKS, ids=lambda value: value.name)
def test_a_task_has_a_definition_its_main_metric_and_enough_items_of_distinct_ids(
    found: Suite, task: SuiteTask
) -> None:
    assert f"metric: {task.metric}\n" in (found.folder / f"{task.name}.yaml").read_text(encoding="utf-8")
    ids = [item["id"] for item in items(found, task)]
    assert len(set(ids)) == len(ids) >= 25


def test_chance_is_one_in_the_number_of_choices() -> None:
    smoke = suite("smoke")
    task = smoke.task("smoke_commonsense")
    assert {1 / len(item["choices"]) for item in items(smoke, task)} == {task.chance}
    assert smoke.task("smoke_reading").chance == 0.5


def test_the_smoke_suite_is_not_comparable_with_published_scores() -> None:
    assert not suite("smoke").comparable


def test_an_unknown_suite_or_task_is_answered_with_those_there_are() -> None:
    with pytest.raises(UserError, match=r"no suite 'smoek'.*smoke"):
        suite("smoek")
    with pytest.raises(UserError, match=r"no task 'smoke_maths' in the suite 'smoke'.*smoke_arithmetic"):
        suite("smoke").task("smoke_maths")
