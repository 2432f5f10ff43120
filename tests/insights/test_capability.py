"""All that is said of scores, together: with many models, pairs are shown by domain alone."""

from __future__ import annotations

from slm_atlas.insights.capability import capability

from .evaluated import evaluated, right

TASKS = {"piqa": right(0.5), "boolq": right(0.5)}


def test_nothing_evaluated_says_nothing() -> None:
    found = capability(evaluated({}))
    assert (found.models, found.pairs, found.learning) == ([], [], [])


def test_pairs_of_many_models_are_shown_by_domain() -> None:
    few, many = capability(evaluated(dict.fromkeys("abc", TASKS))), capability(evaluated(dict.fromkeys("abcd", TASKS)))
    assert len(few.shown_pairs) == len(few.pairs) == 3 * 3
    assert (len(many.pairs), len(many.shown_pairs)) == (6 * 3, 6)
    assert {pair.what for pair in many.shown_pairs} == {"commonsense"}


def test_a_published_score_is_found_by_the_name_of_the_file() -> None:
    found = capability(evaluated({"SmolLM2-135M-Instruct": {"piqa": right(0.7)}}, metric="acc_norm"))
    (model,) = found.models
    assert [each.title for each in model.published] == ["PIQA"]
