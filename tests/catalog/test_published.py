"""Published scores are read, name tasks and metrics that are evaluated here, and say where they stand."""

from __future__ import annotations

from slm_atlas.catalog.published import published
from slm_atlas.evals import find_task


def test_every_published_score_is_of_tasks_that_are_evaluated_here() -> None:
    for model in published().values():
        assert model.source
        for score in model.scores:
            found = [find_task(task) for task in score.tasks]
            assert all(task.metric == score.metric or score.metric == "acc_norm" for task in found), score.title


def test_the_tuned_model_has_its_own_numbers() -> None:
    base, tuned = published()["smollm2-135m"], published()["smollm2-135m-instruct"]
    assert (base.tuned, tuned.tuned) == (False, True)
    assert {score.title: score.percent for score in base.scores} != {s.title: s.percent for s in tuned.scores}
