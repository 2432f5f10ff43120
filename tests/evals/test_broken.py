"""Runs that measured nothing are recognized, and runs that measured something are left alone."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.evals.broken import MIN_ITEMS, Choice, choices_of, fault
from slm_atlas.store.records import Sample

FINITE = st.floats(-50, 0, allow_nan=False)


def test_all_ties_are_a_fault_whatever_the_targets() -> None:
    items = [Choice((-float(n), -float(n), -float(n)), n % 3) for n in range(30)]
    assert fault(items) == "all choices score alike on all 30 items: no likelihoods were measured"
    assert fault([*items, Choice((-1.0, -2.0, -3.0), 0)]) is not None  # now the first place is always taken
    assert fault([*items, Choice((-2.0, -1.0, -3.0), 0)]) is None


def test_one_letter_is_a_fault_where_targets_vary() -> None:
    items = [Choice((-2.0 - n, -1.0, -3.0, -4.0), n % 4) for n in range(30)]
    assert fault(items) == "choice B is taken on all 30 items, though the right one varies"
    assert fault([Choice(item.scores, 1) for item in items]) is None  # always right: nothing wrong with it


def test_a_weak_model_that_always_says_yes_is_no_fault() -> None:
    assert fault([Choice((-2.0, -1.0), n % 2) for n in range(100)]) is None


def test_a_few_items_prove_nothing() -> None:
    assert fault([Choice((-1.0 - n, -1.0 - n, -1.0 - n), n % 3) for n in range(MIN_ITEMS - 1)]) is None
    assert fault([]) is None


def test_no_number_is_a_fault_at_once() -> None:
    for value in (math.nan, -math.inf):
        assert fault([Choice((-1.0, value), 0)]) == "item 0 has a likelihood that is no finite number"


def test_the_same_likelihood_whatever_was_asked_is_a_fault_at_once() -> None:
    assert (
        fault([Choice((-1.0,), 0), Choice((-1.0,), 0)]) == "all 2 log probabilities are -1: the engine does not score"
    )
    assert fault([Choice((-1.0,), 0)]) is None


def test_items_are_read_from_what_is_kept_of_them() -> None:
    kept: list[dict[str, Any]] = [
        {"logprobs": [-1.0, -2.0], "target": 1},
        {"logprobs": [-3.0], "target": "word"},
        {"text": "14", "answer": "14", "target": "14"},
        {"loglikelihood": -9.0, "bytes": 3},
    ]
    samples = [Sample(metric="m", index=n, value=0.0, detail=detail) for n, detail in enumerate(kept)]
    found = choices_of([*samples, Sample(metric="other", index=0, value=1.0)])
    assert found == [Choice((-1.0, -2.0), 1), Choice((-3.0,), "word"), Choice((-9.0,), 0)]


@given(
    items=st.lists(
        st.builds(Choice, st.lists(FINITE, min_size=3, max_size=3, unique=True).map(tuple), st.integers(0, 2)),
        min_size=MIN_ITEMS,
    )
)
def test_who_chooses_two_places_is_never_broken(items: list[Choice]) -> None:
    differs = len({item.chosen for item in items}) > 1
    assert (fault(items) is None) == (differs or len({item.target for item in items}) == 1)
