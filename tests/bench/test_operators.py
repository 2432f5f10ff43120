"""Nodes as shares of a phase, the parts they belong to, and traces: on made-up nodes whose sums are known."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.bench.operators import observe
from slm_atlas.bench.parts import OTHER, PARTS, part_of
from slm_atlas.bench.trace import chrome_trace, keep_trace, merged, read_trace
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import NodeCost, NodeEvent, PhaseProfile


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


@pytest.mark.parametrize("nodes", [(), (cost("VIEW", "v", [1.0]),)])
def test_a_phase_in_which_nothing_was_computed_is_an_error(nodes: tuple[NodeCost, ...]) -> None:
    with pytest.raises(ValueError, match="nothing was computed"):
        observe([1.0], [PhaseProfile(seconds=(1.0,), nodes=nodes)], {})


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


@pytest.mark.parametrize(
    ("module", "part"),
    [
        ("OPTDecoder.embed_tokens", Part.EMBEDDING),
        ("OPTDecoder.project_in", Part.EMBEDDING),
        ("OPTAttention.q_proj", Part.ATTENTION),
        ("OPTAttention", Part.ATTENTION),
        ("LlamaModel.rotary_emb", Part.ATTENTION),
        ("OPTDecoderLayer.fc1", Part.FFN),
        ("OPTDecoderLayer.activation_fn", Part.FFN),
        ("RecurrentGemmaMlp.down_proj", Part.FFN),
        ("Qwen2MLP", Part.FFN),
        ("OPTDecoderLayer.self_attn_layer_norm", Part.NORM),
        ("GPT2Model.ln_f", Part.NORM),
        ("OPTForCausalLM.lm_head", Part.LM_HEAD),
        ("GPTNeoXForCausalLM.embed_out", Part.LM_HEAD),
        ("RecurrentGemmaSdpaAttention.q_proj", Part.ATTENTION),
        ("RecurrentGemmaRecurrentBlock.rg_lru", Part.MIXER),
        ("Zamba2MambaMixer.in_proj", Part.MIXER),
        ("OPTDecoderLayer after OPTAttention", Part.ATTENTION),
        ("OPTDecoderLayer after OPTDecoderLayer.fc2", Part.FFN),
        ("OPTDecoderLayer", OTHER),
        ("RecurrentGemmaModel", OTHER),
    ],
)
def test_an_operator_of_pytorch_belongs_where_its_module_does(module: str, part: str) -> None:
    assert part_of("aten::mul", module, "", {}) == part


def test_the_inventory_decides_where_a_weight_belongs() -> None:
    assert part_of("MUL_MAT", "x", "blk.attn_qkv.weight", {"blk.attn_qkv.weight": Part.MIXER}) == "mixer"


# ---- traces ---------------------------------------------------------------------------------------------------------


def test_a_trace_has_a_process_a_phase_and_a_thread_a_layer() -> None:
    def event(op: str, name: str, layer: int | None, start: float) -> NodeEvent:
        return NodeEvent(op=op, name=name, weight="", layer=layer, start_s=start, elapsed_s=0.5)

    nodes = [event("GET_ROWS", "embd", None, 0), event("VIEW", "v", 0, 1), event("ADD", "l_out-1", 1, 2)]
    trace = chrome_trace({"prefill": nodes, "decode": nodes[:1]}, {})
    assert msgspec.json.decode(msgspec.json.encode(trace)) == trace
    shown = [each for each in trace["traceEvents"] if each["ph"] == "X"]
    assert [(each["pid"], each["tid"], each["cat"]) for each in shown] == [
        (1, 0, "embedding"),
        (1, 2, "ffn"),
        (2, 0, "embedding"),
    ]
    assert [(each["ts"], each["dur"]) for each in shown[:2]] == [(0, 5e5), (2e6, 5e5)]
    named = {each["args"]["name"] for each in trace["traceEvents"] if each["ph"] == "M"}
    assert named == {"prefill", "decode", "outside layers", "layer 1"}


def test_merged_traces_keep_their_processes_apart() -> None:
    event = NodeEvent(op="ADD", name="x", weight="", layer=None, start_s=0.0, elapsed_s=1.0)
    trace = chrome_trace({"prefill": [event], "decode": [event]}, {})
    processes = [each["pid"] for each in merged([trace, trace])["traceEvents"] if each["ph"] == "X"]
    assert processes == [1, 2, 3, 4]


def test_a_trace_is_kept_by_the_key_of_its_run() -> None:
    trace = chrome_trace({"prefill": []}, {})
    keep_trace("ab12", trace)
    assert read_trace("ab12") == trace
    assert read_trace("cd34") is None
