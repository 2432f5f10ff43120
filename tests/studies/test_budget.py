"""A time for an evaluation becomes a number of items a task: tried on the fake engine, kept, refused if too short."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.errors import UserError
from slm_atlas.evals.budget import LEAST
from slm_atlas.studies import plan
from slm_atlas.studies.budget import kept, spend
from slm_atlas.studies.evaluations import EvalTarget
from slm_atlas.studies.plan import Cell

from .subjects import ENGINE, HOST, study, subject

TASK = "smoke_reading"


def cells(*behaviours: str) -> list[Cell]:
    subjects = [subject(f"model-{number}", each, suites=("smoke",)) for number, each in enumerate(behaviours)]
    planned = plan(study(*subjects, runs=0, limit=None), subjects, HOST, ENGINE)
    return [cell for cell in planned if isinstance(cell.target, EvalTarget) and cell.target.task == TASK]


def test_all_items_where_the_time_is_enough_and_the_choice_is_kept() -> None:
    asked = cells("ok", "ok")
    assert kept(asked, 1e6) is None
    budget = spend(asked, "fake", 1e6)
    assert [(share.task, share.limit, share.items) for share in budget.shares] == [(TASK, 30, 30)]
    assert 0 < budget.expected_s < 1e6
    assert kept(asked, 1e6) == budget
    assert kept(asked, 2e6) is None
    assert kept(asked[:1], 1e6) is None


def test_a_time_too_short_for_the_least_is_refused_with_what_it_takes() -> None:
    with pytest.raises(UserError, match=f"{LEAST} items of each of 1 tasks take about .* --budget"):
        spend(cells("ok"), "fake", 1e-6)


def test_a_model_that_cannot_be_tried_is_left_to_its_run() -> None:
    assert spend(cells("refuse"), "fake", 100).shares == ()
    assert [share.task for share in spend(cells("refuse", "ok"), "fake", 1e6).shares] == [TASK]


def test_the_limit_of_a_task_is_recorded_with_its_run() -> None:
    found = subject("model", suites=("smoke",))
    limited = msgspec.structs.replace(study(found, runs=0, limit=None), limits={TASK: 21})
    planned = {cell.settings["task"]: cell.settings["limit"] for cell in plan(limited, [found], HOST, ENGINE)}
    assert planned[TASK] == 21
    assert planned["smoke_commonsense"] is None
