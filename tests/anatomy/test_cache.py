"""The cache is what arithmetic by hand gives, what the survey measured, and what is known of published models."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import catalog
from slm_atlas.anatomy.cache import KV_TYPE_BYTES, cache_bytes, engine_cache_bytes, kv_numbers, padded, state_numbers
from slm_atlas.catalog import get, paper
from slm_atlas.catalog.architecture import Architecture, Mixer, MixerKind, Mla, SlidingWindow
from slm_atlas.units import GIB, MIB

from .shapes import changed, llama

F16 = 2
F32 = 4
LATENT = Mla(kv_lora_rank=128, q_lora_rank=64, qk_nope_head_dim=32, qk_rope_head_dim=16, v_head_dim=40)
MAMBA2 = Mixer(kind=MixerKind.MAMBA2, attention_layers=(1,), width=512, conv_kernel=4, state=64, heads=8, groups=2)


# ---- known --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bar", paper.fig11().models, ids=lambda bar: str(bar.model_id))
def test_the_cache_is_the_one_the_survey_measured(bar: paper.MemoryBar) -> None:
    """Figure 11 prints two decimals of a MiB; all its models agree, without exception."""
    found = cache_bytes(get(bar.model_id).architecture, 2048) / MIB
    assert round(found, 2) == bar.kv_cache_mib


@pytest.mark.parametrize(
    ("model_id", "context", "expected"),
    [
        ("smollm2-1.7b", 8192, 1.5 * GIB),
        ("qwen2-0.5b", 4096, 48 * MIB),
        ("tinyllama-1.1b", 2048, 44 * MIB),
        # 26 layers: 4 see everything, 22 a window of 512; one key-value head of 256.
        ("gemma-3-1b", 32768, 2 * 256 * (4 * 32768 + 22 * 512) * F16),
        # 32 layers keep a latent of 512 and 64 rotated dimensions.
        ("youtu-llm-2b", 1000, 32 * (512 + 64) * 1000 * F16),
        # 6 layers of 16 attend, with 8 key-value heads of 64; 10 keep two taps of 1024 channels.
        ("lfm2-350m", 1000, 6 * 2 * 8 * 64 * 1000 * F16 + 10 * 2 * 1024 * F32),
    ],
)
def test_the_cache_of_known_models(model_id: str, context: int, expected: float) -> None:
    assert cache_bytes(get(model_id).architecture, context) == expected


# ---- attention, by hand -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heads", "kv_heads"), [(4, 4), (4, 2), (4, 1)], ids=["multi-head", "grouped-query", "multi-query"]
)
def test_keys_and_values_are_those_of_the_key_value_heads(heads: int, kv_heads: int) -> None:
    arch = llama(layers=3, heads=heads, kv_heads=kv_heads, head_dim=64)
    assert cache_bytes(arch, 1000) == 3 * 2 * kv_heads * 64 * 1000 * F16


def latent(*, absorbed: bool) -> Architecture:
    mla = msgspec.structs.replace(LATENT, absorbed=absorbed)
    return changed(llama(layers=3, heads=4, kv_heads=4, head_dim=48), attention={"mla": mla})


def test_absorbed_latent_attention_keeps_the_latent_and_the_rotated_part_once() -> None:
    assert cache_bytes(latent(absorbed=True), 1000) == 3 * (128 + 16) * 1000 * F16


def test_latent_attention_that_is_not_absorbed_keeps_keys_and_values_of_all_heads() -> None:
    assert cache_bytes(latent(absorbed=False), 1000) == 3 * 4 * (32 + 16 + 40) * 1000 * F16


def test_layers_that_differ_add_up() -> None:
    arch = changed(llama(layers=2), attention={"heads": (4, 8), "kv_heads": (1, 4)})
    assert cache_bytes(arch, 100) == 2 * (1 + 4) * 64 * 100 * F16


def test_layers_that_use_the_keys_of_others_keep_none() -> None:
    arch = changed(llama(layers=5), attention={"reused_kv_layers": 2})
    assert cache_bytes(arch, 100) == cache_bytes(llama(layers=3), 100)
    assert [kv_numbers(arch, layer) for layer in range(5)] == [256, 256, 256, 0, 0]


def test_a_block_that_runs_twice_keeps_keys_for_both_times() -> None:
    assert cache_bytes(changed(llama(), repeat=2), 100) == 2 * cache_bytes(llama(), 100)


# ---- windows ------------------------------------------------------------------------------------------------------


def windowed(**window: int) -> Architecture:
    found = msgspec.structs.replace(SlidingWindow(size=64), **window)
    return changed(llama(layers=4), gguf="gemma3", attention={"window": found})


A_TOKEN = 2 * 2 * 64 * F16
"""Bytes a layer keeps of a token: keys and values of two heads of 64."""


@pytest.mark.parametrize("context", [1, 63, 64, 65, 5000])
def test_a_layer_with_a_window_keeps_no_more_than_that(context: int) -> None:
    assert cache_bytes(windowed(), context) == 4 * min(context, 64) * A_TOKEN
    assert cache_bytes(windowed(full_every=2), context) == 2 * (context + min(context, 64)) * A_TOKEN


def test_layers_that_see_everything_may_be_listed_and_have_larger_heads() -> None:
    listed = SlidingWindow(size=64, full_layers=(0, 3))
    some = changed(llama(layers=4), attention={"window": listed})
    assert cache_bytes(some, 1000) == 2 * (1000 + 64) * A_TOKEN
    large = windowed(full_every=2, full_head_dim=128)
    assert cache_bytes(large, 1000) == 2 * (2 * 1000 + 64) * A_TOKEN


def test_the_engine_keeps_a_micro_batch_beside_the_window_and_rounds_up() -> None:
    arch = windowed(full_every=2)
    assert engine_cache_bytes(arch, 1000, micro_batch=64) == 2 * (1024 + 256) * A_TOKEN
    assert engine_cache_bytes(arch, 1000, micro_batch=512) == 2 * (1024 + 768) * A_TOKEN
    assert engine_cache_bytes(arch, 200, micro_batch=512) == 4 * 256 * A_TOKEN
    # Where llama.cpp ignores the window (Mistral, Phi-3), every layer keeps the context.
    assert engine_cache_bytes(changed(arch, gguf="llama"), 1000) == 4 * 1024 * A_TOKEN


@given(st.integers(1, 200_000))
def test_padding_is_the_next_multiple(context: int) -> None:
    assert padded(context) % 256 == 0
    assert 0 <= padded(context) - context < 256


# ---- states -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # Three taps of all channels (the groups' inputs among them), and 64 numbers of state a channel.
        ({}, 3 * (512 + 2 * 2 * 64) + 64 * 512),
        ({"kind": MixerKind.DELTA_NET}, 3 * (512 + 2 * 2 * 64) + 64 * 512),
        ({"kind": MixerKind.MAMBA, "groups": 0}, 3 * 512 + 64 * 512),
        ({"kind": MixerKind.RG_LRU, "state": 0}, 3 * 512 + 512),
        ({"kind": MixerKind.SHORT_CONV, "conv_kernel": 3, "state": 0}, 2 * 512),
    ],
    ids=["Mamba-2", "delta net", "Mamba", "RG-LRU", "short convolution"],
)
def test_the_state_of_a_layer_by_hand(changes: dict[str, object], expected: int) -> None:
    assert state_numbers(changed(llama(), mixer=msgspec.structs.replace(MAMBA2, **changes))) == expected


def test_states_do_not_depend_on_the_context_nor_on_its_type() -> None:
    arch = changed(llama(layers=3), mixer=MAMBA2)
    states = 2 * state_numbers(arch) * F32
    for kv_type, size in KV_TYPE_BYTES.items():
        for context in (100, 1000):
            assert cache_bytes(arch, context, kv_type=kv_type) == states + int(context * 2 * 2 * 64 * size)
    assert cache_bytes(arch, 100, batch=3) == 3 * cache_bytes(arch, 100)


def test_a_mixer_beside_attention_adds_its_state_to_the_keys() -> None:
    beside = msgspec.structs.replace(MAMBA2, attention_layers=(0, 1, 2), beside_attention=True)
    arch = changed(llama(layers=3), mixer=beside)
    assert cache_bytes(arch, 100) == cache_bytes(llama(layers=3), 100) + 3 * state_numbers(arch) * F32


def test_a_model_of_attention_alone_has_no_state() -> None:
    assert state_numbers(llama()) == 0


# ---- for all ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kv_type", KV_TYPE_BYTES)
def test_the_cache_grows_with_batch_and_type(kv_type: str) -> None:
    factor = KV_TYPE_BYTES[kv_type] / KV_TYPE_BYTES["f16"]
    plain = cache_bytes(llama(), 1024)
    assert cache_bytes(llama(), 1024, kv_type=kv_type) == factor * plain
    assert cache_bytes(llama(), 1024, batch=3, kv_type=kv_type) == 3 * factor * plain
    assert engine_cache_bytes(llama(), 1024, batch=3, kv_type=kv_type) == 3 * factor * plain


def test_more_context_never_takes_less_and_the_engine_never_less_than_the_arithmetic() -> None:
    contexts = (1, 100, 512, 4000, 32768)
    for model in catalog.models():
        sizes = [cache_bytes(model.architecture, context) for context in contexts]
        kept = [engine_cache_bytes(model.architecture, context) for context in contexts]
        assert sizes == sorted(sizes), model.id
        assert all(0 < size <= more for size, more in zip(sizes, kept, strict=True)), model.id
