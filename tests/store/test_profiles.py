"""Profiles as samples: what goes in comes out, and there are never many."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.store.profiles import MOST_NODES, REST, Node, Observed, bounded, from_samples, to_samples
from slm_atlas.store.records import Sample


def node(part: str, op: str, name: str, share: float) -> Node:
    return Node(part=part, op=op, name=name, dtype="q4_K", share=share, calls=2.0, flops=3.0, bytes=4.0)


def observed(*nodes: Node) -> Observed:
    return Observed(plain=(1.0, 3.0, 2.0), timed_s=2.5, empty_s=1e-6, nodes=nodes)


NODES = (node("ffn", "MUL_MAT", "ffn_up", 0.75), node("norm", "RMS_NORM", "norm", 0.25))


def test_what_goes_in_comes_out() -> None:
    found = observed(*NODES)
    samples = to_samples("decode", found)
    assert from_samples("decode", samples) == found
    assert from_samples("prefill", samples) is None


def test_it_survives_json() -> None:
    samples = to_samples("decode", observed(*NODES))
    again = msgspec.json.decode(msgspec.json.encode(samples), type=list[Sample])
    assert from_samples("decode", again) == observed(*NODES)


def test_a_node_is_told_in_seconds_of_the_plain_total() -> None:
    first = next(sample for sample in to_samples("decode", observed(*NODES)) if sample.metric == "node_s")
    assert (first.scope, first.item, first.value) == ("decode", "ffn: MUL_MAT ffn_up (q4_K)", 1.5)


def test_samples_of_other_kinds_are_no_profile() -> None:
    assert from_samples("decode", [Sample(metric="decode_s", index=0, value=1.0)]) is None


many = st.lists(
    st.builds(
        node,
        st.sampled_from(["ffn", "attention", "norm"]),
        st.sampled_from(["MUL_MAT", "ADD"]),
        st.text("abc", max_size=3),
        st.floats(0.001, 1.0),
    ),
    max_size=40,
)


@given(many, st.integers(0, 10))
def test_a_bound_changes_no_sum(nodes: list[Node], most: int) -> None:
    kept = bounded(nodes, most)
    assert len(kept) <= most + 3 * 2
    for part in ("ffn", "attention", "norm"):
        for number in ("share", "calls", "flops", "bytes"):
            before, after = (sum(getattr(one, number) for one in of if one.part == part) for of in (nodes, kept))
            assert after == pytest.approx(before)
    assert all(one.name == REST for one in kept[most:])


def test_samples_are_bounded() -> None:
    nodes = [node("ffn", "MUL_MAT", str(number), 1 / 1000) for number in range(1000)]
    assert len([one for one in to_samples("decode", observed(*nodes)) if one.item]) == MOST_NODES + 1
