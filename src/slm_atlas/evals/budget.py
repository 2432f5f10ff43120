"""How many items each task gets, so that an evaluation takes about as long as it may."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from slm_atlas.evals.broken import MIN_ITEMS

LEAST = MIN_ITEMS
"""Items a task gets at least: fewer say little, and hide a broken run."""
_STEPS = 60
_SHORTEST_S = 1e-6


class TaskCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a task costs, all models together."""

    task: str
    """Its name."""
    fixed_s: float
    """Seconds before the first item: the model is loaded, the rows are read."""
    item_s: float
    """Seconds an item."""
    items: int
    """Items there are."""

    @property
    def least(self) -> int:
        """Items it gets at least."""
        return min(LEAST, self.items)

    def items_at(self, scale: float) -> int:
        """Items at a common scale: as many as are worth their time."""
        return max(self.least, min(self.items, math.floor(scale / math.sqrt(max(self.item_s, _SHORTEST_S)))))


def seconds(costs: Sequence[TaskCost], numbers: Sequence[int]) -> float:
    """What the tasks take together with so many items each."""
    return sum(cost.fixed_s + cost.item_s * number for cost, number in zip(costs, numbers, strict=True))


def allocate(costs: Sequence[TaskCost], budget_s: float) -> list[int]:
    """Items for each task: at least `LEAST`, at most all, and as many as fit into the time.

    A task's items are in inverse proportion to the root of what one takes: that gives the least variance of the
    average over tasks for the time (Neyman's allocation with costs, shares of one half). Where even the least number
    does not fit, that is what is returned; see `seconds`.

    >>> cheap = TaskCost(task="a", fixed_s=0, item_s=0.1, items=5000)
    >>> dear = TaskCost(task="b", fixed_s=0, item_s=10, items=5000)
    >>> allocate([cheap, dear], 1100)
    [1000, 100]
    """
    low, high = 0.0, max((cost.items + 1) * math.sqrt(max(cost.item_s, _SHORTEST_S)) for cost in costs)
    if seconds(costs, [cost.items for cost in costs]) <= budget_s:
        return [cost.items for cost in costs]
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fits = seconds(costs, [cost.items_at(middle) for cost in costs]) <= budget_s
        low, high = (middle, high) if fits else (low, middle)
    return [cost.items_at(low) for cost in costs]
