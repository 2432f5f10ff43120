"""A time becomes numbers of items: never more than fits, never fewer than say something, dear items fewer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.evals.budget import LEAST, TaskCost, allocate, seconds

COSTS = st.lists(
    st.builds(
        TaskCost,
        task=st.just("t"),
        fixed_s=st.floats(0, 30),
        item_s=st.floats(0, 20),
        items=st.integers(1, 20_000),
    ),
    min_size=1,
    max_size=15,
)


@given(costs=COSTS, budget_s=st.floats(1, 1e6))
def test_the_time_is_kept_unless_the_least_does_not_fit(costs: list[TaskCost], budget_s: float) -> None:
    numbers = allocate(costs, budget_s)
    least = [cost.least for cost in costs]
    assert all(low <= number <= cost.items for low, number, cost in zip(least, numbers, costs, strict=True))
    assert seconds(costs, numbers) <= budget_s or numbers == least


@given(costs=COSTS)
def test_more_time_is_never_fewer_items(costs: list[TaskCost]) -> None:
    few, many = allocate(costs, 100), allocate(costs, 1000)
    assert all(one <= other for one, other in zip(few, many, strict=True))


def test_a_task_that_costs_a_hundred_times_as_much_gets_a_tenth_of_the_items() -> None:
    tasks = [
        TaskCost(task="a", fixed_s=1, item_s=0.01, items=9999),
        TaskCost(task="b", fixed_s=1, item_s=1, items=9999),
    ]
    cheap, dear = allocate(tasks, 200)
    assert cheap / dear == pytest.approx(10, rel=0.01)
    assert seconds(tasks, [cheap, dear]) == pytest.approx(200, rel=0.02)


def test_with_time_enough_all_items_are_taken_and_without_it_the_least() -> None:
    tasks = [TaskCost(task="a", fixed_s=1, item_s=1, items=50), TaskCost(task="b", fixed_s=1, item_s=1, items=7)]
    assert allocate(tasks, 1000) == [50, 7]
    assert allocate(tasks, 1) == [LEAST, 7]
