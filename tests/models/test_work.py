"""The least a model file makes the engine do for a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from anatomy.shapes import gptneox, llama, qwen2
from slm_atlas.anatomy import inventory
from slm_atlas.anatomy.costs import decode_bytes as estimated_decode_bytes
from slm_atlas.anatomy.quantization import Quantization as Q
from slm_atlas.anatomy.quantization import tensor_types
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import Header, TensorInfo, Value, read_header
from slm_atlas.models.work import decode_bytes, prompt_flops


def header(*tensors: TensorInfo, **metadata: Value) -> Header:
    keys = {f"x.{name}": value for name, value in metadata.items()}
    return Header({"general.architecture": "x", **keys}, tensors, 0)


def f32(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(name, shape, 0, 0)


@pytest.mark.parametrize("arch", [llama(), llama(tied=False), gptneox(), qwen2()])
def test_bytes_read_for_a_token_are_those_estimated(arch: Architecture, tmp_path: Path) -> None:
    tensors = inventory(arch)
    expected = estimated_decode_bytes(arch, tensors, tensor_types(tensors, Q.Q4_0), depth=0)
    assert decode_bytes(read_header(forge(Order("X", arch, Q.Q4_0), tmp_path / "x.gguf"))) == expected


@pytest.mark.parametrize("name", ["position_embd.weight", "per_layer_token_embd.weight"])
def test_what_is_looked_up_is_not_read(name: str) -> None:
    found = header(f32("token_embd.weight", 4, 2), f32(name, 9, 2))
    assert decode_bytes(found) == 4 * 2 * 4
    assert prompt_flops(found) == 0


def test_of_a_mixture_only_the_chosen_experts_are_read() -> None:
    experts = f32("blk.0.ffn_up_exps.weight", 8, 3, 5)
    shared = f32("blk.0.ffn_up_shexp.weight", 3, 5)
    tensors = (experts, shared, f32("blk.1.attn_q.weight", 1, 1))
    assert decode_bytes(header(*tensors, expert_count=8, expert_used_count=2)) == (2 + 1) * 15 * 4 + 4
    assert prompt_flops(header(*tensors, expert_count=8, expert_used_count=2)) == 2 * (2 + 1) * 15
    assert decode_bytes(header(*tensors)) == 15 * 4 + 4  # how many are chosen is not said: none, to be safe


def test_of_a_prompt_the_head_and_the_last_layer_are_left_out() -> None:
    tensors = (
        f32("token_embd.weight", 7, 2),
        f32("blk.0.ffn_up.weight", 3, 2),
        f32("blk.0.attn_norm.weight", 2),
        f32("blk.1.ffn_up.weight", 3, 2),
        f32("output.weight", 7, 2),
    )
    assert prompt_flops(header(*tensors)) == 2 * 6
