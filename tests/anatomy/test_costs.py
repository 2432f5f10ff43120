"""Costs are those computed by hand, and agree with one another in every model of the catalogue."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import catalog
from slm_atlas.anatomy.cache import cache_bytes, engine_cache_bytes
from slm_atlas.anatomy.costs import Estimate, decode_bytes, estimate, flops_per_token, params
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_types
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog import get
from slm_atlas.catalog.architecture import Architecture, Mixer, MixerKind, Mla, Part, PositionKind, SlidingWindow

from .shapes import changed, gptneox, llama, qwen2

# ---- by hand ------------------------------------------------------------------------------------------------------


def test_flops_of_a_small_model_by_hand() -> None:
    # A layer: q and output 256 x 256, k and v 256 x 128, three FFN matrices 256 x 512.
    layer = 2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 512
    assert flops_per_token(llama(layers=3), depth=0) == 2 * (3 * layer + 512 * 256)
    assert flops_per_token(llama(layers=3), depth=0, head=0) == 2 * 3 * layer
    # Attention: a query head's 64 numbers with those of each key, and as many with each value; 4 heads, 3 layers.
    assert flops_per_token(llama(layers=3), depth=100) - flops_per_token(llama(layers=3), depth=0) == 4 * 3 * 256 * 100


@pytest.mark.parametrize("tied", [True, False])
def test_flops_do_not_depend_on_a_tied_head_nor_on_vectors(tied: bool) -> None:
    plain = flops_per_token(llama(tied=True), depth=10)
    assert flops_per_token(llama(tied=tied), depth=10) == plain
    assert flops_per_token(qwen2(tied=tied), depth=10) == plain


def test_flops_are_about_twice_the_parameters_read() -> None:
    for model in ("smollm-135m", "smollm2-1.7b", "qwen2-1.5b"):
        found = get(model)
        assert flops_per_token(found.architecture, depth=0) == pytest.approx(2 * found.params, rel=2e-3)


def at(arch: Architecture, depth: float) -> float:
    """FLOPs of what a token does beside its matrices."""
    return flops_per_token(arch, depth=depth) - flops_per_token(arch, depth=0)


def test_attention_within_a_window_stops_growing() -> None:
    arch = changed(llama(layers=4), attention={"window": SlidingWindow(size=64, full_every=2)})
    assert at(arch, 64) == at(llama(layers=4), 64)
    assert at(arch, 1000) == at(llama(layers=2), 1000) + at(llama(layers=2), 64)


@pytest.mark.parametrize(("absorbed", "width"), [(True, 2 * 128 + 16), (False, 32 + 16 + 40)])
def test_latent_attention_multiplies_what_it_keeps(absorbed: bool, width: int) -> None:
    mla = Mla(kv_lora_rank=128, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=40, absorbed=absorbed)
    arch = changed(llama(layers=3, heads=4, kv_heads=4, head_dim=48), attention={"mla": mla})
    assert at(arch, 100) == 2 * 3 * 4 * width * 100


@given(depth=st.integers(0, 10_000))
def test_a_recurrent_layer_costs_the_same_at_any_depth(depth: int) -> None:
    mixer = Mixer(kind=MixerKind.MAMBA2, attention_layers=(0,), width=512, conv_kernel=4, state=64, heads=8, groups=1)
    arch = changed(llama(layers=3), mixer=mixer)
    assert at(arch, depth) == at(llama(layers=1), depth)


@given(depth=st.integers(0, 10_000))
def test_a_block_that_runs_twice_costs_twice(depth: int) -> None:
    once, twice = (changed(llama(), repeat=times) for times in (1, 2))
    assert inventory(once) == tuple(tensor._replace(uses=min(tensor.uses, 1)) for tensor in inventory(twice))
    assert flops_per_token(twice, depth=depth, head=0) == 2 * flops_per_token(once, depth=depth, head=0)
    assert cache_bytes(twice, depth) == 2 * cache_bytes(once, depth)


@given(layers=st.integers(1, 9), depth=st.integers(0, 100))
def test_a_shared_network_is_counted_once_and_computed_in_every_layer(layers: int, depth: int) -> None:
    own, shared = (changed(llama(layers=layers), ffn={"shared": flag}) for flag in (False, True))
    assert params(inventory(own)) - params(inventory(shared)) == (layers - 1) * 3 * 256 * 512
    assert flops_per_token(shared, depth=depth) == flops_per_token(own, depth=depth)


def read_per_token(arch: Architecture, depth: float = 0) -> float:
    tensors = inventory(arch)
    return decode_bytes(arch, tensors, tensor_types(tensors, Quantization.F32), depth=depth)


@pytest.mark.parametrize("arch", [llama(tied=True), llama(tied=False), gptneox()])
def test_a_token_reads_all_weights_but_what_is_only_looked_up(arch: Architecture) -> None:
    looked_up = 0 if arch.embedding.tied else arch.vocab * arch.hidden
    assert read_per_token(arch) == 4 * (params(inventory(arch)) - looked_up)
    learned = changed(arch, position={"kind": PositionKind.LEARNED})
    assert read_per_token(learned) == read_per_token(arch)


def test_a_token_reads_the_cache_up_to_its_depth() -> None:
    assert read_per_token(llama(), depth=100) - read_per_token(llama()) == cache_bytes(llama(), 100)


# ---- the estimate as a whole --------------------------------------------------------------------------------------


def test_an_estimate_agrees_with_itself() -> None:
    for model in catalog.models():
        found = estimate(model.architecture, Quantization.Q4_K_M, context=1000, micro_batch=256)
        assert found.params == model.params, model.id
        assert_agrees(found, model.architecture)


def assert_agrees(found: Estimate, arch: Architecture) -> None:
    assert found.params == sum(found.params_by_part.values())
    assert found.weight_bytes == sum(found.bytes_by_type.values())
    assert found.bits_per_weight == pytest.approx(8 * found.weight_bytes / found.params)
    assert 4.5 <= found.bits_per_weight <= 8.5
    assert found.kv_bytes == engine_cache_bytes(arch, 1000, micro_batch=256)
    parts = found.weight_bytes + found.kv_bytes + found.compute_bytes + found.output_bytes
    assert found.memory_bytes == parts
    assert 0 < found.decode_bytes_per_token <= found.weight_bytes + found.kv_bytes
    assert found.prefill_flops_per_token < found.decode_flops_per_token


def test_a_file_of_floats_has_their_bits() -> None:
    found = estimate(llama(), Quantization.F32)
    assert found.bits_per_weight == 32
    assert set(found.bytes_by_type) == {TensorType.F32}
    assert found.params_by_part[Part.EMBEDDING] == 512 * 256


def test_larger_contexts_and_labels_cost_more() -> None:
    arch = get("smollm-135m").architecture
    labels = map(Quantization, ("Q2_K", "Q4_K_M", "Q6_K", "F16", "F32"))
    sizes = [estimate(arch, label).weight_bytes for label in labels]
    assert sizes == sorted(set(sizes))
    memory = [estimate(arch, Quantization.Q4_0, context=2**power).memory_bytes for power in range(8, 18)]
    assert memory == sorted(set(memory))
