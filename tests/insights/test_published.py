"""Published scores stand beside ours where the model is the very one, all tasks ran, and the metric is there."""

from __future__ import annotations

import pytest

from slm_atlas.insights.published import beside
from slm_atlas.insights.scores import Score
from slm_atlas.stats import wilson


def score(task: str, share: float, *, n: int = 1000) -> Score:
    estimate = wilson(round(share * n), n)
    return Score(
        task=task, suite="lm-eval", metric="acc", estimate=wilson(1, n), chance=0.25, others={"acc_norm": estimate}
    )


def test_the_interval_holds_the_published_number_or_not() -> None:
    tuned = beside("SmolLM2-135M-Instruct", {"hellaswag": score("hellaswag", 0.41), "piqa": score("piqa", 0.5)})
    assert [(each.title, each.held) for each in tuned] == [("HellaSwag", True), ("PIQA", False)]
    assert [each.published for each in tuned] == pytest.approx([0.409, 0.663])
    assert "(tuned)" in tuned[0].source
    (base,) = beside("SmolLM2-135M", {"hellaswag": score("hellaswag", 0.41)})
    assert base.published == pytest.approx(0.421)
    assert "(not tuned)" in base.source


def test_an_average_needs_all_its_tasks() -> None:
    assert beside("SmolLM2-135M", {"arc_easy": score("arc_easy", 0.6)}) == []
    both = {"arc_easy": score("arc_easy", 0.6), "arc_challenge": score("arc_challenge", 0.3)}
    (found,) = beside("SmolLM2-135M", both)
    assert found.ours.value == pytest.approx(0.45)
    assert found.ours.n == 2000


def test_another_model_or_metric_has_none() -> None:
    assert beside("SmolLM2-136M", {"hellaswag": score("hellaswag", 0.4)}) == []
    plain = Score(task="piqa", suite="lm-eval", metric="acc", estimate=wilson(5, 10), chance=0.5)
    assert beside("SmolLM2-135M", {"piqa": plain}) == []
