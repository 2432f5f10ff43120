"""A time for an evaluation becomes a number of items for each task: a few of each are tried, and timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from slm_atlas import home
from slm_atlas.engines import Worker
from slm_atlas.errors import EngineError, UserError
from slm_atlas.evals import evaluate_task
from slm_atlas.evals.budget import LEAST, TaskCost, allocate, seconds
from slm_atlas.evals.compute import loading
from slm_atlas.store import content_hash
from slm_atlas.studies.evaluations import EvalTarget
from slm_atlas.studies.plan import Cell

PROBE_ITEMS = 4
"""Items of each task that are tried."""
PROBE_DEADLINE_S = 300.0
"""Longest single call of a probe."""


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a task gets of the time."""

    task: str
    """Its name."""
    limit: int
    """Items it is evaluated on."""
    items: int
    """Items there are."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How a time is spent. It is kept, so that the same command again chooses the same items."""

    shares: tuple[Share, ...]
    """The tasks that could be tried."""
    expected_s: float
    """What they take together, by the trial."""
    tokens_per_s: float
    """Tokens the engine computed a second in the trial, reading and writing together."""


class _Trial(msgspec.Struct, frozen=True, kw_only=True):
    cost: TaskCost
    tokens: int
    compute_s: float


def kept(cells: Sequence[Cell], budget_s: float) -> Budget | None:
    """How the time was spent on the same runs before; None where it was not, or nobody can read it."""
    try:
        return msgspec.json.decode(_path(cells, budget_s).read_bytes(), type=Budget)
    except (OSError, msgspec.DecodeError):
        return None


def spend(cells: Sequence[Cell], engine: str, budget_s: float) -> Budget:
    """Try a few items of each task on each model, and choose how many fit into the time.

    A task that cannot be evaluated has no share: its run records why. An item costs most where few share their
    prompt's beginning, as in the trial, so that the evaluation rather ends early.

    Args:
        cells: the evaluations, their files there.
        engine: the engine's name.
        budget_s: seconds that all of them may take.

    Raises:
        UserError: the least number of items does not fit.
    """
    trials = [trial for cell in cells if (trial := _trial(cell, engine)) is not None]
    costs = [_together([t.cost for t in trials if t.cost.task == task]) for task in dict.fromkeys(_tasks(trials))]
    if not costs:
        return Budget(shares=(), expected_s=0.0, tokens_per_s=0.0)
    numbers = allocate(costs, budget_s)
    expected_s = seconds(costs, numbers)
    if expected_s > budget_s:
        problem = f"{LEAST} items of each of {len(costs)} tasks take about {expected_s:.0f} s here, the budget is less."
        raise UserError(problem, f"--budget {expected_s:.0f}s, or fewer tasks")
    compute_s = sum(trial.compute_s for trial in trials)
    shares = tuple(
        Share(task=cost.task, limit=number, items=cost.items) for cost, number in zip(costs, numbers, strict=True)
    )
    rate = sum(trial.tokens for trial in trials) / compute_s if compute_s else 0.0
    found = Budget(shares=shares, expected_s=expected_s, tokens_per_s=rate)
    home.replace_file(_path(cells, budget_s), msgspec.json.encode(found))
    return found


def _path(cells: Sequence[Cell], budget_s: float) -> Path:
    name = content_hash([budget_s, PROBE_ITEMS, *sorted(cell.key for cell in cells)])
    return home.home() / "budgets" / f"{name}.json"


def _tasks(trials: Sequence[_Trial]) -> list[str]:
    return [trial.cost.task for trial in trials]


def _together(costs: Sequence[TaskCost]) -> TaskCost:
    """A task on every model: all get the same items, so that they can be compared."""
    return TaskCost(
        task=costs[0].task,
        fixed_s=sum(cost.fixed_s for cost in costs),
        item_s=sum(cost.item_s for cost in costs),
        items=max(cost.items for cost in costs),
    )


def _trial(cell: Cell, engine: str) -> _Trial | None:
    """A few items, timed, no answers kept or taken from before; None where they cannot be had."""
    target = cell.target
    assert isinstance(target, EvalTarget)
    if cell.subject.problem is not None:
        return None
    code, clock = target.suite.task(target.task).code, time.perf_counter()
    try:
        load = loading(cell.subject.path, target.compute, context=target.context, engine=engine)
        with Worker(engine, deadline_s=PROBE_DEADLINE_S) as worker:
            found = evaluate_task(
                worker, load, target.suite, target.task, limit=PROBE_ITEMS, data=target.data,
                allow_code=code, shots_order=target.shots_order,
            )  # fmt: skip
    except (EngineError, UserError):
        return None
    elapsed_s, worked_s = time.perf_counter() - clock, found.work.compute_s + found.work.other_s
    tried = min(PROBE_ITEMS, found.items)
    cost = TaskCost(
        task=target.task, fixed_s=max(0.0, elapsed_s - worked_s), item_s=worked_s / tried, items=found.items
    )  # fmt: skip
    return _Trial(cost=cost, tokens=found.work.computed, compute_s=worked_s)
