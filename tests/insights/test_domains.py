"""Domains are the survey's, each task counting alike; two models are compared on the items both answered."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.evals import suite
from slm_atlas.insights.answered import models
from slm_atlas.insights.domains import DOMAINS, domains, pairs

from .evaluated import evaluated, right


def test_the_domains_are_those_of_the_suite_of_the_survey() -> None:
    listed: dict[str, list[str]] = {}
    for task in suite("paper").tasks:
        listed.setdefault(task.domain, []).append(task.name)
    assert {name: list(tasks) for name, tasks in DOMAINS.items()} == listed


def test_a_domain_is_the_mean_of_its_tasks_and_names_what_is_missing() -> None:
    (model,) = models(evaluated({"one": {"arc_easy": right(0.8), "arc_challenge": right(0.3, n=1000), "sciq": [1.0]}}))
    (found,) = domains({task: each.score for task, each in model.tasks.items()})
    assert (found.name, found.tasks, found.missing) == (
        "problem solving", ("arc_easy", "arc_challenge"), ("mmlu_5shot",),
    )  # fmt: skip
    assert found.estimate.value == pytest.approx(0.55)  # not the 0.345 of all items together
    assert found.corrected is not None
    assert found.corrected.value == pytest.approx(((0.8 - 0.25) + (0.3 - 0.25)) / 2 / 0.75)
    assert found.estimate.low is not None
    assert found.estimate.low < 0.55


def test_random_weights_are_compared_with_nobody() -> None:
    found = models(evaluated({"a": {"piqa": [1.0]}, "b": {"piqa": [1.0]}}, forged=["b"]))
    assert [model.artifact for model in found] == ["a"]


def test_two_files_of_one_name_are_told_apart() -> None:
    dataset = evaluated({"a": {"piqa": [1.0]}, "b": {"piqa": [1.0]}})
    artifacts = {key: msgspec.structs.replace(each, name="same") for key, each in dataset.artifacts.items()}
    assert [model.name for model in models(dataset._replace(artifacts=artifacts))] == ["same Q4_1 a", "same Q4_1 b"]


def test_two_models_that_answer_alike_are_indistinguishable_and_the_better_one_is_named() -> None:
    tasks = {"piqa": right(0.5), "boolq": right(0.2)}
    found = pairs(models(evaluated({"a": tasks, "b": tasks | {"boolq": right(0.9)}})))
    verdicts = {pair.what: pair.verdict for pair in found}
    assert verdicts == {"piqa": "indistinguishable", "boolq": "b Q4_1 is better", "commonsense": "b Q4_1 is better"}
    by_name = {pair.what: pair for pair in found}
    assert by_name["piqa"].p_value == 1.0
    assert by_name["boolq"].difference.value == pytest.approx(0.7)
    assert by_name["commonsense"].difference.value == pytest.approx(0.35)
    assert by_name["commonsense"].p_value == pytest.approx(2 * 0.5**70)
    assert by_name["commonsense"].is_domain


def test_only_items_that_both_answered_count() -> None:
    (pair,) = pairs(models(evaluated({"a": {"piqa": right(0.5, n=40)}, "b": {"piqa": right(0.5, n=100)}})))
    assert pair.difference.n == 40


def test_rows_that_changed_in_between_are_not_the_same_items() -> None:
    dataset = evaluated({"a": {"piqa": right(0.5)}, "b": {"piqa": right(0.5)}})
    first, second = dataset.runs
    other = msgspec.structs.replace(second, settings=second.settings | {"data_hash": "other"})
    assert pairs(models(dataset._replace(runs=[first, other]))) == []
