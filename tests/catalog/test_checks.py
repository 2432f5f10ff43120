"""What must hold of a model beyond the types of its fields."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import get
from slm_atlas.catalog.architecture import Architecture, PerLayer
from slm_atlas.catalog.checks import SECTIONS, check, repeated_ids

MODEL = get("smollm-135m")


def with_heads(layers: int, heads: PerLayer, kv_heads: PerLayer) -> Architecture:
    attention = msgspec.structs.replace(MODEL.architecture.attention, heads=heads, kv_heads=kv_heads)
    return msgspec.structs.replace(MODEL.architecture, layers=layers, attention=attention)


def problems(arch: Architecture) -> list[str]:
    return check(msgspec.structs.replace(MODEL, architecture=arch))


def test_all_problems_of_a_model_are_told_at_once() -> None:
    broken = msgspec.structs.replace(MODEL, id="Bad Id", params=-1, sources={})
    assert len(check(broken)) == 2 + len(SECTIONS)


@pytest.mark.parametrize("key", ["training.tokens_billion", "architecture.attention.heads", "license"])
def test_a_source_may_be_that_of_one_field(key: str) -> None:
    assert check(msgspec.structs.replace(MODEL, sources=MODEL.sources | {key: MODEL.sources["params"]})) == []


@pytest.mark.parametrize("key", ["training.tokens", "architecture.per_layer", "source", "training.", "params.x", ""])
def test_a_source_of_what_is_not_a_field_is_a_slip(key: str) -> None:
    found = check(msgspec.structs.replace(MODEL, sources=MODEL.sources | {key: MODEL.sources["params"]}))
    assert found == [f"$.sources: `{key}` is not a field of a model"]


@given(heads=st.lists(st.integers(1, 64), min_size=1, max_size=4).map(tuple), kv_heads=st.integers(1, 64))
def test_heads_are_accepted_exactly_when_divisible(heads: tuple[int, ...], kv_heads: int) -> None:
    fits = all(count % kv_heads == 0 for count in heads)
    assert (problems(with_heads(len(heads), heads, kv_heads)) == []) is fits


@given(layers=st.integers(1, 6), heads=st.lists(st.integers(-2, 4), max_size=6).map(tuple))
def test_lists_are_accepted_exactly_when_positive_and_of_fit_length(layers: int, heads: tuple[int, ...]) -> None:
    fits = len(heads) == layers and min(heads) > 0
    assert (problems(with_heads(layers, heads, 1)) == []) is fits


def test_repeated_ids_are_found() -> None:
    other = get("smollm-360m")
    assert repeated_ids([MODEL, other, MODEL]) == [MODEL.id]
    assert repeated_ids([MODEL, other]) == []
