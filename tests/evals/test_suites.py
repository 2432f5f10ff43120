"""Suites name tasks that exist, with the metric and the chance level their files imply."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from slm_atlas.errors import UserError
from slm_atlas.evals import Source, Suite, SuiteTask, all_suites, suite
from slm_atlas.evals.definitions import metrics, parts
from slm_atlas.evals.suites import known_tasks

BUNDLED = [(found, task) for found in all_suites() for task in found.tasks if task.source is Source.BUNDLED]
LM_EVAL = {task.name: task for found in all_suites() for task in found.tasks if task.source is Source.LM_EVAL}


def items(found: Suite, task: SuiteTask) -> list[dict[str, Any]]:
    text = (found.folder / f"{task.name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


@pytest.mark.parametrize(("found", "task"), BUNDLED, ids=lambda value: value.name)
def test_a_task_has_a_definition_its_main_metric_and_enough_items_of_distinct_ids(
    found: Suite, task: SuiteTask
) -> None:
    assert f"metric: {task.metric}\n" in (found.folder / f"{task.name}.yaml").read_text(encoding="utf-8")
    ids = [item["id"] for item in items(found, task)]
    assert len(set(ids)) == len(ids) >= 25


@pytest.mark.parametrize("task", LM_EVAL.values(), ids=LM_EVAL)
def test_what_is_said_of_a_task_of_lm_evals_is_what_its_definition_says(task: SuiteTask) -> None:
    for part in parts(task):
        definition = part.definition
        assert task.metric.replace("pass@1", "pass_at_k") in metrics(definition)
        assert task.code == bool(definition.get("unsafe_code"))
        assert known_tasks()[task.base].shots == (definition.get("num_fewshot") or 0)
        if isinstance(definition.get("doc_to_choice"), list):
            assert task.chance == 1 / len(definition["doc_to_choice"])
        if task.filter:
            assert task.filter in [entry["name"] for entry in definition["filter_list"]]


def test_the_suites_have_the_surveys_tasks() -> None:
    domains: dict[str, int] = {}
    for task in suite("paper").tasks:
        domains[task.domain] = domains.get(task.domain, 0) + 1
    assert domains == {"commonsense": 7, "problem solving": 3, "mathematics": 2, "coding": 2}
    figure = json.loads((resources.files("slm_atlas.catalog") / "data" / "paper" / "fig6.json").read_text())["fig6a"]
    assert {task.base for task in suite("icl").tasks} == set(figure) - {"average"}
    assert len(suite("icl").tasks) == 24
    assert len({task.name for found in all_suites() for task in found.tasks}) == 4 + 14 + 24 - 8 + 2 + 12


def test_one_form_of_a_task_has_one_name_in_all_suites() -> None:
    assert suite("paper").task("piqa") == suite("icl").task("piqa")
    assert suite("paper").task("mmlu_5shot") == suite("icl").task("mmlu_5shot")


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
