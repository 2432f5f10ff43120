"""Nodes added up by part and by operator: on made-up nodes whose sums are known."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import Ceilings
from slm_atlas.bench.operators import Breakdown, breakdown, observe
from slm_atlas.bench.parts import OTHER, PARTS, part_of
from slm_atlas.bench.trace import chrome_trace
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import EMPTY, NodeCost, NodeEvent, PhaseProfile


def cost(op: str, name: str, seconds: list[float], *, weight: str = "", calls: int = 1, flops: float = 0.0) -> NodeCost:
    """Nodes of which each pass has `calls`."""
    n = len(seconds)
    return NodeCost(
        op=op,
        name=name,
        weight=weight,
        dtype="f32",
        calls=calls * n,
        flops=flops * n,
        bytes=100.0 * n,
        seconds=tuple(seconds),
    )


def profiled(*nodes: NodeCost, seconds: float = 1.0) -> PhaseProfile:
    return PhaseProfile(seconds=(seconds,) * len(nodes[0].seconds), nodes=nodes)


NODES = (
    cost("MUL_MAT", "Qcur", [3.0], weight="blk.attn_q.weight", calls=2, flops=60.0),
    cost("MUL_MAT", "ffn_up", [5.0], weight="blk.ffn_up.weight", calls=2, flops=80.0),
    cost("RMS_NORM", "norm", [2.0], calls=4),
)


def shares(found: Breakdown, by: str) -> dict[str, float]:
    return {line.label: line.share.value for line in getattr(found, by)}


def test_shares_are_by_part_by_operator_and_by_node() -> None:
    found = breakdown([observe([20.0], [profiled(*NODES)], {})])
    assert shares(found, "parts") == pytest.approx({"attention": 0.3, "ffn": 0.5, "norm": 0.2})
    assert shares(found, "operators") == pytest.approx({"MUL_MAT": 0.8, "RMS_NORM": 0.2})
    assert list(shares(found, "operators")) == ["MUL_MAT", "RMS_NORM"]
    assert [line.label for line in found.nodes] == [
        "ffn: MUL_MAT ffn_up (f32)",
        "attention: MUL_MAT Qcur (f32)",
        "norm: RMS_NORM norm (f32)",
    ]


def test_seconds_are_scaled_to_the_plain_total_and_rates_follow_from_them() -> None:
    found = breakdown([observe([20.0], [profiled(*NODES, seconds=30.0)], {})], Ceilings(read_bytes_per_s=50, flops=70))
    ffn = next(line for line in found.parts if line.label == "ffn")
    assert (ffn.seconds, ffn.flops_per_s, ffn.bytes_per_s) == pytest.approx((10.0, 8.0, 10.0))
    assert (ffn.of_flops, ffn.of_bandwidth) == pytest.approx((8 / 70, 0.2))
    norm = next(line for line in found.parts if line.label == "norm")
    assert (norm.flops_per_s, norm.of_flops) == (None, None)  # no matrix product is no zero
    assert (found.overhead.value, found.plain_s.value) == (1.5, 20.0)
    assert sum(line.seconds for line in found.operators) == pytest.approx(20.0)


def test_what_it_takes_to_time_a_node_is_taken_off_each() -> None:
    view = cost("VIEW", "Qcur (view)", [1.0], calls=4)  # 0.25 each
    found = observe([1.0], [profiled(*NODES, view)], {})
    assert found.empty_s == 0.25
    kept = {"Qcur": 2.5, "ffn_up": 4.5, "norm": 1.0}
    assert {node.name: node.share for node in found.nodes} == pytest.approx({n: s / 8 for n, s in kept.items()})


def test_a_node_that_took_less_than_an_empty_one_took_nothing() -> None:
    found = observe([1.0], [profiled(*NODES, cost("ADD", "x", [0.1]), cost("VIEW", "v", [0.5]))], {})
    assert min(node.share for node in found.nodes) == 0.0


def test_a_disturbed_pass_does_not_count() -> None:
    calm = cost("MUL_MAT", "ffn_up", [1.0, 1.0, 90.0], weight="blk.ffn_up.weight")
    other = cost("MUL_MAT", "ffn_down", [1.0, 1.0, 1.0], weight="blk.ffn_down.weight")
    found = observe([1.0, 9.0, 1.0], [profiled(calm, other)], {})
    assert [node.share for node in found.nodes] == [0.5, 0.5]
    assert found.plain_s == 1.0


def test_a_node_missing_in_most_passes_took_no_time_there() -> None:
    rare = cost("CONT", "rare", [5.0])
    found = observe([1.0], [profiled(*NODES), profiled(*NODES, rare), profiled(*NODES)], {})
    (node,) = (node for node in found.nodes if node.name == "rare")
    assert node.share == 0.0
    assert node.calls == pytest.approx(1 / 3)


def test_intervals_are_over_processes() -> None:
    runs = [observe([1.0], [profiled(cost("A", "ffn", [x]), cost("B", "kq", [1 - x]))], {}) for x in (0.4, 0.5, 0.6)]
    one, three = breakdown(runs[:1]), breakdown(runs)
    assert (one.parts[0].share.n, one.parts[0].share.low) == (1, None)
    line = next(line for line in three.parts if line.label == "ffn")
    assert (line.share.n, line.share.value) == (3, 0.5)
    assert line.share.low is not None
    assert line.share.low < 0.5


@pytest.mark.parametrize("nodes", [(), (cost("VIEW", "v", [1.0]),)])
def test_a_phase_in_which_nothing_was_computed_is_an_error(nodes: tuple[NodeCost, ...]) -> None:
    with pytest.raises(ValueError, match="nothing was computed"):
        observe([1.0], [PhaseProfile(seconds=(1.0,), nodes=nodes)], {})


some_nodes = st.lists(
    st.tuples(
        st.sampled_from(["MUL_MAT", "ADD", "VIEW", "RMS_NORM"]),
        st.sampled_from(["ffn_up", "Qcur", "strange"]),
        st.floats(0.01, 10),
    ),
    min_size=1,
)


@given(st.lists(some_nodes, min_size=1, max_size=4), st.floats(0.001, 100))
def test_shares_always_add_up(processes: list[list[tuple[str, str, float]]], plain: float) -> None:
    many = cost("MUL_MAT", "ffn_up", [50.0], weight="blk.ffn_up.weight")
    profiles = [profiled(many, *(cost(op, name, [s]) for op, name, s in nodes)) for nodes in processes]
    found = breakdown([observe([plain], [each], {}) for each in profiles])
    for lines in (found.parts, found.operators, found.nodes):
        assert sum(line.share.value for line in lines) == pytest.approx(1.0)
        assert sum(line.seconds for line in lines) == pytest.approx(plain)
        assert not {line.label for line in lines} & EMPTY


# ---- parts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("node", "part"),
    [
        (("GET_ROWS", "embd", "token_embd.weight"), Part.EMBEDDING),
        (("MUL_MAT", "Qcur-3", "blk.attn_q.weight"), Part.ATTENTION),
        (("ADD", "Qcur-3", "blk.attn_q.bias"), Part.ATTENTION),
        (("ROPE", "Kcur-3", "rope_freqs.weight"), Part.ATTENTION),
        (("SET_ROWS", "cache_k_l3 (view)", ""), Part.ATTENTION),
        (("MUL_MAT", "kq-3", ""), Part.ATTENTION),
        (("FLASH_ATTN_EXT", "node_24", ""), Part.ATTENTION),
        (("ADD", "ffn_inp-3", ""), Part.ATTENTION),
        (("MUL", "ffn_norm-3", "blk.ffn_norm.weight"), Part.NORM),
        (("RMS_NORM", "Qcur_normed-3", ""), Part.NORM),
        (("MUL", "ssm_in-3", "blk.attn_norm.weight"), Part.NORM),
        (("MUL", "result_norm", "output_norm.weight"), Part.NORM),
        (("SWIGLU", "ffn_swiglu-3", ""), Part.FFN),
        (("ADD", "l_out-3", ""), Part.FFN),
        (("DIV", "ffn_moe_weights_norm-3", ""), Part.FFN),
        (("MUL_MAT", "node_26", "blk.ffn_down.weight"), Part.FFN),
        (("MUL_MAT", "result_output", "token_embd.weight"), Part.LM_HEAD),
        (("MUL_MAT", "result_output", "output.weight"), Part.LM_HEAD),
        (("MUL_MAT", "z-1", "blk.ssm_out.weight"), Part.MIXER),
        (("SSM_SCAN", "node_5", ""), Part.MIXER),
        (("CPY", "cache_r_l3 (view)", ""), Part.MIXER),
        (("GET_ROWS", "node_810", ""), OTHER),
    ],
)
def test_a_node_belongs_to_a_part(node: tuple[str, str, str], part: str) -> None:
    assert part_of(*node, {}) == part
    assert part in PARTS


def test_the_inventory_decides_where_a_weight_belongs() -> None:
    assert part_of("MUL_MAT", "x", "blk.attn_qkv.weight", {"blk.attn_qkv.weight": Part.MIXER}) == "mixer"


# ---- traces ---------------------------------------------------------------------------------------------------------


def test_a_trace_has_a_process_a_phase_and_a_thread_a_layer() -> None:
    def event(op: str, name: str, layer: int | None, start: float) -> NodeEvent:
        return NodeEvent(op=op, name=name, weight="", layer=layer, start_s=start, elapsed_s=0.5)

    nodes = [event("GET_ROWS", "embd", None, 0), event("VIEW", "v", 0, 1), event("ADD", "l_out-1", 1, 2)]
    trace = chrome_trace({"prefill": nodes, "decode": nodes[:1]}, {}, first=3)
    assert msgspec.json.decode(msgspec.json.encode(trace)) == trace
    shown = [each for each in trace["traceEvents"] if each["ph"] == "X"]
    assert [(each["pid"], each["tid"], each["cat"]) for each in shown] == [
        (3, 0, "embedding"),
        (3, 2, "ffn"),
        (4, 0, "embedding"),
    ]
    assert [(each["ts"], each["dur"]) for each in shown[:2]] == [(0, 5e5), (2e6, 5e5)]
    named = {each["args"]["name"] for each in trace["traceEvents"] if each["ph"] == "M"}
    assert named == {"prefill", "decode", "outside layers", "layer 1"}
