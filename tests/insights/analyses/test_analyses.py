"""Insights: fronts, shapes and counterfactual models whose answers are known."""

from __future__ import annotations

import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.insights.analyses import INSIGHTS
from slm_atlas.insights.analyses.anatomy import with_all_heads, with_vocabulary
from slm_atlas.insights.analyses.insight import Insight
from slm_atlas.insights.analyses.pareto import Candidate, membership
from slm_atlas.insights.claims import Data, Evidence, of_catalogue, of_paper


def candidate(name: str, score: float, cost: float, *, error: float = 0.0) -> Candidate:
    return Candidate(name, score, error, {"decode": (cost, error)})


def test_without_errors_the_front_is_the_front() -> None:
    found = [candidate("cheap", 0.3, 1.0), candidate("good", 0.6, 2.0), candidate("beaten", 0.5, 3.0)]
    assert membership(found, "decode") == {"cheap": 1.0, "good": 1.0, "beaten": 0.0}


def test_two_alike_are_both_on_the_front() -> None:
    assert membership([candidate("a", 0.5, 1.0), candidate("b", 0.5, 1.0)], "decode") == {"a": 1.0, "b": 1.0}


def test_models_that_cannot_be_told_apart_share_the_front() -> None:
    found = [candidate("a", 0.5, 1.0, error=0.05), candidate("b", 0.5, 1.0, error=0.05)]
    shares = membership(found, "decode")
    # Neither beats the other in half of the draws, and each the other in a quarter.
    assert all(share == pytest.approx(0.75, abs=0.04) for share in shares.values())


def test_a_model_with_all_heads_caches_as_many_times_more_as_it_shared() -> None:
    model = catalog.get("qwen2-0.5b")
    shared, whole = (
        estimate(each.architecture, Quantization.Q4_K_M, context=2048).kv_bytes
        for each in (model, with_all_heads(model))
    )
    assert whole / shared == 14 / 2


def test_a_smaller_vocabulary_takes_its_rows_alone() -> None:
    model = catalog.get("qwen2-0.5b")
    whole, small = (
        estimate(each.architecture, Quantization.Q4_K_M, context=2048)
        for each in (model, with_vocabulary(model, 32_000))
    )
    assert whole.params - small.params == (model.architecture.vocab - 32_000) * model.architecture.hidden


@pytest.mark.parametrize("insight", INSIGHTS, ids=lambda insight: insight.id)
def test_every_insight_answers_on_some_facts_with_its_uncertainty(insight: Insight) -> None:
    facts = {Data.PAPER: of_paper(), Data.CATALOGUE: of_catalogue()}
    answers = [answer(facts[data]) for data, answer in insight.answers.items() if data in facts]
    assert answers
    for answer in answers:
        assert answer.n > 10
        assert all(len(line) == len(answer.columns) for line in answer.lines)
        assert any("[" in cell or "%" in cell for line in answer.lines for cell in line)


@pytest.mark.parametrize("insight", [i for i in INSIGHTS if Data.MINE in i.answers], ids=lambda insight: insight.id)
def test_an_empty_store_is_told_what_to_measure(insight: Insight) -> None:
    answer = insight.answers[Data.MINE](Evidence())
    assert answer.lacking
    assert not answer.lines
