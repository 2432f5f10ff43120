"""The inventory lists every tensor once, and adds up to the parameters known: of every model, and in closed form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import catalog
from slm_atlas.anatomy.costs import params, params_by_part
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture, ListedTensor, NormPlacement, Part, PositionKind, QkNorm

from .shapes import changed, gptneox, llama


def names(arch: Architecture) -> list[str]:
    return [tensor.name for tensor in inventory(arch)]


def test_the_inventory_adds_up_to_the_parameters_of_the_catalogue() -> None:
    for model in catalog.models():
        tensors = inventory(model.architecture)
        assert params(tensors) == model.params, model.id
        assert sum(params_by_part(tensors).values()) == model.params, model.id
        assert len({tensor.name for tensor in tensors}) == len(tensors), model.id


def test_every_tensor_knows_its_layer_and_is_not_empty() -> None:
    for model in catalog.models():
        for tensor in inventory(model.architecture):
            assert tensor.size > 0
            assert tensor.uses >= 0
            assert (tensor.layer is not None) == tensor.name.startswith("blk."), model.id
            if tensor.layer is not None:
                assert tensor.name.startswith(f"blk.{tensor.layer}.")
                assert tensor.layer < model.architecture.layers


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


def counted(arch: Architecture, **changes: object) -> int:
    return params(inventory(changed(arch, **changes)))


@given(architectures())
def test_a_tied_head_drops_exactly_its_matrix(arch: Architecture) -> None:
    tied, untied = (counted(arch, embedding={"tied": flag}) for flag in (True, False))
    assert untied - tied == arch.vocab * arch.hidden


@given(architectures())
def test_biases_add_exactly_the_rows_of_their_matrices(arch: Architecture) -> None:
    def rows(*names: str) -> int:
        listed = [tensor for tensor in inventory(arch) if tensor.name.endswith(".weight") and tensor.is_matrix]
        return sum(tensor.shape[0] for tensor in listed if tensor.name.split(".")[-2] in names)

    cases = {
        ("attention", "qkv_bias"): rows("attn_q", "attn_k", "attn_v", "attn_qkv"),
        ("attention", "out_bias"): rows("attn_output"),
        ("ffn", "bias"): rows("ffn_gate", "ffn_up", "ffn_down"),
    }
    for (part, field), expected in cases.items():
        without, with_bias = (counted(arch, **{part: {field: flag}}) for flag in (False, True))
        assert with_bias - without == expected


@given(arch=architectures(), fused=st.sampled_from([("attention", "fused_qkv"), ("ffn", "fused_gate")]))
def test_fused_matrices_hold_the_same_numbers(arch: Architecture, fused: tuple[str, str]) -> None:
    part, field = fused
    apart, together = (counted(arch, **{part: {field: flag}}) for flag in (False, True))
    assert apart == together


LAYERS = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 99)), min_size=1, max_size=6)


@given(arch=architectures(), layers=LAYERS)
def test_layers_that_differ_add_up(arch: Architecture, layers: list[tuple[int, int, int]]) -> None:
    """Each layer has what a model of such layers alone has, beside what stands outside them."""

    def of(*some: tuple[int, int, int]) -> int:
        heads, kv_heads, widths = (tuple(column) for column in zip(*[(k * g, k, w) for k, g, w in some], strict=True))
        return counted(
            changed(arch, layers=len(some)),
            attention={"heads": heads, "kv_heads": kv_heads},
            ffn={"intermediate": widths},
        )

    outside = sum(tensor.size for tensor in inventory(arch) if tensor.layer is None)
    assert of(*layers) - outside == sum(of(layer) - outside for layer in layers)


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


# ---- what few models have -----------------------------------------------------------------------------------------


def test_a_projected_embedding_has_two_projections_and_a_head_of_its_width() -> None:
    shapes = {tensor.name: tensor.shape for tensor in inventory(changed(llama(tied=False), embedding={"dim": 128}))}
    assert shapes["token_embd.weight"] == shapes["output.weight"] == (512, 128)
    assert (shapes["project_in.weight"], shapes["project_out.weight"]) == ((256, 128), (128, 256))


@pytest.mark.parametrize(
    ("placement", "norms"),
    [
        (NormPlacement.PRE, ["attn_norm", "ffn_norm"]),
        (NormPlacement.POST, ["post_attention_norm", "post_ffw_norm"]),
        (NormPlacement.BOTH, ["attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"]),
    ],
)
def test_norms_stand_where_a_layer_normalizes(placement: NormPlacement, norms: list[str]) -> None:
    found = [name for name in names(changed(llama(layers=1), norm={"placement": placement})) if "norm" in name]
    assert found == [f"blk.0.{norm}.weight" for norm in norms] + ["output_norm.weight"]


def test_a_shared_network_stands_outside_the_layers() -> None:
    tensors = inventory(changed(llama(layers=5), ffn={"shared": True}))
    found = [(tensor.name, tensor.layer, tensor.uses) for tensor in tensors if tensor.part is Part.FFN]
    assert found == [(f"ffn_{name}.weight", None, 5) for name in ("gate", "up", "down")]


def test_a_listed_tensor_stands_in_the_layers_it_names() -> None:
    listed = (
        ListedTensor(name="shared.weight", shape=(4, 8), part=Part.MIXER, uses=3),
        ListedTensor(name="blk.{layer}.some.weight", shape=(2, 2), part=Part.FFN, layers=(0, 2)),
        ListedTensor(name="blk.{layer}.all.weight", shape=(3,), part=Part.NORM, uses=0),
    )
    tensors = inventory(changed(llama(layers=3), listed=listed))
    assert [(tensor.name, tensor.layer, tensor.uses) for tensor in tensors[1:-1]] == [
        ("shared.weight", None, 3),
        ("blk.0.some.weight", 0, 1),
        ("blk.2.some.weight", 2, 1),
        ("blk.0.all.weight", 0, 0),
        ("blk.1.all.weight", 1, 0),
        ("blk.2.all.weight", 2, 0),
    ]
