"""The inventory lists every tensor once, adds up to the parameters known, and refuses what it cannot list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import catalog
from slm_atlas.anatomy.costs import params, params_by_part
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture, BlockKind, Mla, NormPlacement, Part, PositionKind, QkNorm
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import UserError

from .shapes import changed, gptneox, llama

LISTED = [model for model in catalog.models() if model.architecture.gguf in ("llama", "qwen2", "gptneox")]


def names(arch: Architecture) -> list[str]:
    return [tensor.name for tensor in inventory(arch)]


@pytest.mark.parametrize("model", catalog.models(), ids=lambda model: str(model.id))
def test_the_inventory_adds_up_to_the_parameters_of_the_catalogue(model: Model) -> None:
    try:
        tensors = inventory(model.architecture)
    except UserError:
        assert model not in LISTED
        return
    assert params(tensors) == model.params
    assert sum(params_by_part(tensors).values()) == model.params
    assert len({tensor.name for tensor in tensors}) == len(tensors)


def test_parts_are_told_by_their_tensors() -> None:
    parts = params_by_part(inventory(llama(layers=3, tied=False)))
    assert parts == {
        Part.EMBEDDING: 512 * 256,
        Part.ATTENTION: 3 * 256 * (256 + 128 + 128 + 256),
        Part.FFN: 3 * 3 * 256 * 512,
        Part.NORM: 7 * 256,
        Part.LM_HEAD: 512 * 256,
    }


def test_a_tied_head_has_no_tensor_and_no_part() -> None:
    tensors = inventory(llama(tied=True))
    assert "output.weight" not in {tensor.name for tensor in tensors}
    assert Part.LM_HEAD not in params_by_part(tensors)


def test_names_and_order_are_those_of_a_file() -> None:
    assert names(llama(layers=1)) == [
        "token_embd.weight",
        "blk.0.attn_norm.weight",
        "blk.0.attn_q.weight",
        "blk.0.attn_k.weight",
        "blk.0.attn_v.weight",
        "blk.0.attn_output.weight",
        "blk.0.ffn_norm.weight",
        "blk.0.ffn_gate.weight",
        "blk.0.ffn_up.weight",
        "blk.0.ffn_down.weight",
        "output_norm.weight",
    ]


def test_a_fused_layer_has_biases_everywhere_and_no_gate() -> None:
    shapes = {tensor.name: tensor.shape for tensor in inventory(gptneox(layers=1))}
    assert shapes["blk.0.attn_qkv.weight"] == (768, 256)
    assert shapes["blk.0.attn_qkv.bias"] == (768,)
    assert shapes["blk.0.ffn_down.bias"] == (256,)
    assert "blk.0.ffn_gate.weight" not in shapes
    assert all(name.replace("weight", "bias") in shapes for name in shapes if name.startswith("blk."))


def test_layers_may_differ() -> None:
    arch = changed(llama(layers=2), attention={"heads": (4, 8), "kv_heads": (2, 4)}, ffn={"intermediate": (512, 1024)})
    shapes = {tensor.name: tensor.shape for tensor in inventory(arch)}
    assert (shapes["blk.0.attn_q.weight"], shapes["blk.1.attn_q.weight"]) == ((256, 256), (512, 256))
    assert (shapes["blk.0.attn_v.weight"], shapes["blk.1.attn_v.weight"]) == ((128, 256), (256, 256))
    assert (shapes["blk.0.ffn_down.weight"], shapes["blk.1.ffn_down.weight"]) == ((256, 512), (256, 1024))


def test_the_table_of_learned_positions_has_its_offset() -> None:
    arch = changed(llama(context=2048), position={"kind": PositionKind.LEARNED, "offset": 2})
    table = next(tensor for tensor in inventory(arch) if tensor.name == "position_embd.weight")
    assert table.shape == (2050, 256)
    assert table.part is Part.EMBEDDING


MLA = Mla(kv_lora_rank=64, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=32)


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"attention": {"mla": MLA}}, "multi-head latent attention"),
        ({"blocks": (BlockKind.RECURRENT, BlockKind.ATTENTION)}, "layers that are not attention"),
        ({"ffn": {"shared": True}}, "one FFN shared"),
        ({"repeat": 2}, "more than once"),
        ({"norm": {"placement": NormPlacement.POST}}, "norms after"),
        ({"norm": {"placement": NormPlacement.BOTH}}, "norms after"),
        ({"embedding": {"dim": 128}}, "projected embedding"),
        ({"attention": {"qk_norm": QkNorm.FULL}}, "norm over all query heads"),
    ],
)
def test_what_is_not_known_is_refused_by_name(changes: dict[str, Any], feature: str) -> None:
    with pytest.raises(UserError, match=feature):
        inventory(changed(llama(), **changes))


def test_an_embedding_as_wide_as_the_model_is_not_projected() -> None:
    assert names(changed(llama(), embedding={"dim": 256})) == names(llama())


@st.composite
def architectures(draw: st.DrawFn) -> Architecture:
    """Any small decoder the inventory knows."""
    flag = st.booleans()
    arch = llama(
        layers=draw(st.integers(1, 5)),
        hidden=draw(st.integers(1, 64)),
        kv_heads=draw(st.integers(1, 4)),
        head_dim=draw(st.integers(1, 16)),
        ffn=draw(st.integers(1, 99)),
        vocab=draw(st.integers(1, 99)),
        context=draw(st.integers(1, 99)),
        tied=draw(flag),
    )
    heads = arch.per_layer(arch.attention.kv_heads)[0] * draw(st.integers(1, 4))
    return changed(
        arch,
        attention={
            "heads": heads,
            "qkv_bias": draw(flag),
            "out_bias": draw(flag),
            "fused_qkv": draw(flag),
            "qk_norm": draw(st.sampled_from([QkNorm.NONE, QkNorm.HEAD])),
        },
        ffn={"gated": draw(flag), "bias": draw(flag)},
        norm={"weight": draw(flag), "bias": draw(flag), "final": draw(flag)},
        position={"kind": draw(st.sampled_from(PositionKind)), "offset": draw(st.integers(0, 2))},
    )


def parameters(arch: Architecture) -> int:
    """The number of parameters in closed form."""
    at, d = arch.attention, arch.hidden
    assert isinstance(at.heads, int)
    assert isinstance(at.kv_heads, int)
    assert isinstance(arch.ffn.intermediate, int)
    q, k, f = at.heads * at.head_dim, at.kv_heads * at.head_dim, arch.ffn.intermediate
    attention = d * (2 * q + 2 * k) + at.qkv_bias * (q + 2 * k) + at.out_bias * d
    attention += 2 * at.head_dim * (at.qk_norm is QkNorm.HEAD)
    ffn = (3 if arch.ffn.gated else 2) * d * f + arch.ffn.bias * ((2 if arch.ffn.gated else 1) * f + d)
    norm = d * (arch.norm.weight + arch.norm.bias)
    tables = arch.vocab * d * (1 if arch.embedding.tied else 2)
    tables += d * (arch.context + arch.position.offset) * (arch.position.kind is PositionKind.LEARNED)
    return arch.layers * (attention + ffn + 2 * norm) + arch.norm.final * norm + tables


@given(architectures())
def test_any_architecture_counts_as_in_closed_form(arch: Architecture) -> None:
    tensors = inventory(arch)
    assert params(tensors) == parameters(arch)
    assert sum(params_by_part(tensors).values()) == params(tensors)
    assert len({tensor.name for tensor in tensors}) == len(tensors)
    assert all(tensor.is_matrix == (len(tensor.shape) == 2) for tensor in tensors)
