"""Equal content has one key, different content has two, on every machine and in every version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.store import RunKind, content_hash, run_key

from .facts import HOST

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def test_the_key_is_fixed_for_good() -> None:
    """A new value here would mean that every finished study is measured again."""
    parts = {"artifact": "ab12", "n_prompt": 50, "rope_scale": 0.1, "kind": RunKind.BENCH, "note": "é", "stop": None}
    assert run_key(**parts) == "e9a0f142bc61da173ad16e4adcbfd527e5420d63bcab57c151343914d5e45595"


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), json_values, max_size=4))
def test_the_order_of_the_parts_does_not_matter(parts: dict[str, Any]) -> None:
    assert run_key(**dict(reversed(parts.items()))) == run_key(**parts)


@given(json_values)
def test_a_trip_through_json_does_not_matter(value: Any) -> None:
    assert content_hash(msgspec.json.decode(msgspec.json.encode(value))) == content_hash(value)


@given(json_values, json_values)
def test_different_parts_have_different_keys(a: Any, b: Any) -> None:
    assert a == b or content_hash(a) != content_hash(b)


def test_numbers_strings_and_truth_are_told_apart_and_whole_numbers_are_not() -> None:
    assert len({content_hash(value) for value in (1, "1", True, None, [1], {"1": 1}, 1.5)}) == 7
    assert content_hash({"a": [1.0, -0.0, 1e3]}) == content_hash({"a": [1, 0, 1000]})


def test_structs_enums_and_tuples_are_data() -> None:
    assert content_hash(HOST) == content_hash(msgspec.to_builtins(HOST))
    assert run_key(kind=RunKind.EVAL, shape=(1, 2)) == run_key(kind="eval", shape=[1, 2])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_have_no_key(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_key(temperature=value)


def test_what_is_not_data_has_no_key() -> None:
    with pytest.raises(TypeError):
        run_key(path=Path("model.gguf"))
