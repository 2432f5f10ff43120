"""Architectures from Hugging Face configurations: those of the catalogue, defaults, and what is wrong with odd ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slm_atlas.anatomy import inventory
from slm_atlas.catalog import load
from slm_atlas.catalog.architecture import Architecture, Multipliers, SlidingWindow
from slm_atlas.catalog.configs import configs
from slm_atlas.catalog.huggingface import architecture
from slm_atlas.catalog.huggingface.types import TYPES
from slm_atlas.errors import UserError

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 512,
    "vocab_size": 256,
}
"""As little as a configuration of this type can say."""


def changed(**keys: object) -> dict[str, Any]:
    return LLAMA | keys


def read(config: Mapping[str, object], field: str) -> object:
    """A dotted field of the architecture that a configuration describes."""
    value: object = architecture(config)
    for name in field.split("."):
        value = getattr(value, name)
    return value


# ---- the catalogue's models ---------------------------------------------------------------------------------------


def test_config_gives_the_architecture_and_its_number_of_parameters() -> None:
    for model_id, known in configs().items():
        arch, model = architecture(known.config), load.get(model_id)
        assert arch == model.architecture, model_id
        assert sum(tensor.size for tensor in inventory(arch)) == model.params, model_id


def size(arch: Architecture) -> tuple[object, ...]:
    return (arch.layers, arch.hidden, arch.attention.heads, arch.ffn.intermediate, arch.embedding.tied)


def test_every_equivalent_has_the_size_of_its_model() -> None:
    for model_id, known in configs().items():
        if known.equivalent is not None and known.equivalent["model_type"] in TYPES:
            assert size(architecture(known.equivalent)) == size(architecture(known.config)), model_id


def test_every_type_is_one_of_a_model() -> None:
    assert {known.config["model_type"] for known in configs().values()} == set(TYPES)


# ---- what transformers assumes where nothing is said --------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        (LLAMA, "attention.kv_heads", 4),
        (LLAMA, "attention.head_dim", 16),
        (LLAMA, "embedding.tied", False),
        (LLAMA, "ffn.activation", "silu"),
        (LLAMA, "norm.eps", 1e-6),
        (LLAMA, "position.theta", 10_000.0),
        (changed(head_dim=None, num_key_value_heads=None), "attention.head_dim", 16),
        (changed(attention_bias=True), "attention.out_bias", True),
        (changed(rope_parameters={"rope_theta": 5e5, "rope_type": "llama3"}), "position.theta", 5e5),
        (changed(model_type="mistral"), "attention.kv_heads", 8),
        (changed(model_type="mistral", num_key_value_heads=None), "attention.kv_heads", 4),
        (changed(model_type="stablelm", use_parallel_residual=True), "norm.shared", True),
        (changed(model_type="helium", attention_bias=True), "attention.out_bias", False),
        (changed(model_type="phi3", attention_bias=True), "attention.qkv_bias", False),
        (changed(model_type="gemma"), "attention.head_dim", 256),
        (changed(model_type="gemma", hidden_act="gelu", hidden_activation=None), "ffn.activation", "gelu_tanh"),
        (changed(model_type="gemma", hidden_act="gelu", hidden_activation="silu"), "ffn.activation", "silu"),
        (changed(model_type="gemma"), "embedding.tied", True),
        (changed(model_type="gemma2"), "embedding.logit_softcap", 30.0),
        (changed(model_type="gemma2", final_logit_softcapping=None), "embedding.logit_softcap", None),
        (changed(model_type="smollm3"), "position.none_every", 4),
        (changed(model_type="smollm3", no_rope_layers=[1, 0, 1, 0]), "position.none_every", 2),
        (changed(model_type="smollm3", no_rope_layers=[1, 1, 1, 1]), "position.none_every", None),
        (changed(model_type="qwen", intermediate_size=256), "ffn.intermediate", 128),
        (changed(model_type="opt", ffn_dim=128, word_embed_proj_dim=32), "embedding.dim", 32),
        (changed(model_type="opt", ffn_dim=128, do_layer_norm_before=False), "norm.placement", "post"),
        (changed(model_type="gpt2"), "ffn.intermediate", 256),
        (changed(model_type="mobilellm", layer_sharing=True), "repeat", 2),
    ],
)
def test_what_is_assumed(config: dict[str, Any], field: str, value: object) -> None:
    assert read(config, field) == value


@pytest.mark.parametrize(
    ("keys", "window"),
    [
        ({"sliding_window": 128}, SlidingWindow(size=128)),
        ({"sliding_window": None}, None),
        ({}, None),  # Mistral's 4096 is more than the context
        ({"sliding_window": 512}, None),
        ({"sliding_window": 128, "sliding_window_pattern": 2}, SlidingWindow(size=128, full_every=2)),
        (
            {"sliding_window": 128, "layer_types": ["sliding_attention", "full_attention"] * 2},
            SlidingWindow(size=128, full_every=2),
        ),
        (
            {"sliding_window": 128, "layer_types": ["full_attention", *["sliding_attention"] * 3]},
            SlidingWindow(size=128, full_layers=(0,)),
        ),
    ],
)
def test_where_the_window_is(keys: dict[str, Any], window: SlidingWindow | None) -> None:
    assert read(changed(model_type="mistral", **keys), "attention.window") == window


def test_a_window_that_is_not_used_is_none() -> None:
    keys = {"sliding_window": 128, "max_window_layers": 2}
    assert read(changed(model_type="qwen2", **keys), "attention.window") is None
    seen = read(changed(model_type="qwen2", use_sliding_window=True, **keys), "attention.window")
    assert seen == SlidingWindow(size=128, full_layers=(0, 1))


def test_gemma3_rotates_by_another_base_in_its_window() -> None:
    theirs = {"sliding_attention": {"rope_theta": 1e4}, "full_attention": {"rope_theta": 2e6}}
    arch = architecture(changed(model_type="gemma3_text", sliding_window=128, rope_parameters=theirs))
    assert arch.attention.window == SlidingWindow(size=128, full_layers=(), full_every=None, theta=1e4)
    assert arch.position.theta == 2e6


def test_multipliers_of_one_are_none() -> None:
    assert read(changed(model_type="granite"), "multipliers.attention") == 1.0
    own = {"attention_multiplier": 0.25, "embedding_multiplier": 1.0}
    assert read(changed(model_type="granite", **own), "multipliers") is None
    assert read(changed(model_type="granite", **own, logits_scaling=8.0), "multipliers") == Multipliers(logits=8.0)


def test_minicpm_scales_by_depth_and_width() -> None:
    scales = {"scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 32}
    found = read(changed(model_type="minicpm", **scales), "multipliers")
    assert found == Multipliers(embedding=12.0, residual=1.4 / 2, logits=2.0)


@pytest.mark.parametrize("tied", [True, False])
def test_of_a_multimodal_model_its_language_model_is_read(tied: bool) -> None:
    inner = changed(tie_word_embeddings=not tied)
    outer = {"model_type": "llava", "tie_word_embeddings": tied, "text_config": inner, "vision_config": {}}
    assert architecture(outer) == architecture(changed(tie_word_embeddings=tied))


# ---- what llama.cpp runs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "gguf"),
    [
        ({}, "llama"),
        ({"hidden_act": "relu"}, None),
        ({"shared_ffn": True}, None),
        ({"model_type": "mobilellm"}, "llama"),
        ({"model_type": "mobilellm", "layer_sharing": True}, None),
        ({"model_type": "bitnet", "hidden_act": "silu"}, "bitnet"),
        ({"model_type": "bitnet"}, None),
        ({"model_type": "gpt_neox"}, "gptneox"),
        ({"model_type": "nemotron"}, "nemotron"),
        ({"model_type": "helium", "head_dim": 16}, None),
    ],
)
def test_what_llama_cpp_computes_otherwise_it_does_not_run(keys: dict[str, Any], gguf: str | None) -> None:
    assert architecture(changed(**keys)).gguf == gguf


# ---- what is wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "no model_type"),
        ({"model_type": 7}, "no model_type"),
        (changed(model_type="qwen3_moe"), r"model_type 'qwen3_moe' is not known here; those most like it are qwen3"),
        (changed(model_type="zzz"), "arcee, bitnet, .*zamba2"),
        ({**LLAMA, "hidden_size": None}, r"has no hidden_size \(nor n_embd"),
        (changed(hidden_size="64"), "hidden_size: '64' is not a whole number of 1 or more"),
        (changed(hidden_size=True), "hidden_size: True is not a whole number"),
        (changed(num_attention_heads=0), "num_attention_heads: 0 is not a whole number"),
        (changed(num_attention_heads=5), "5 heads do not share 64 evenly"),
        (changed(num_attention_heads=[4, 4]), "num_attention_heads: 2 values for 4 layers"),
        (changed(num_hidden_layers=10**9), "num_hidden_layers: 1000000000 is not a whole number of 1 to 10000"),
        (changed(rms_norm_eps=-1.0), "rms_norm_eps: -1.0 is not a positive number"),
        (changed(rope_theta=float("nan")), "rope_theta: nan is not a positive number"),
        (changed(rope_theta=float("inf")), "rope_theta: inf is not a positive number"),
        (changed(partial_rotary_factor=2), "partial_rotary_factor: 2 is not a positive number of at most 1"),
        (changed(tie_word_embeddings="yes"), "tie_word_embeddings: 'yes' is neither true nor false"),
        (changed(hidden_act=3), "hidden_act: 3 is not a word"),
        (changed(hidden_act="mish"), r"activation 'mish' is not known here \(but: gelu"),
        (changed(model_type="stablelm", qk_layernorm=True), "qk_layernorm: models with it are not described here"),
        (changed(model_type="llama4_text", intermediate_size_mlp=8), "num_local_experts: models with it"),
        (changed(model_type="lfm2", layer_types="conv"), "layer_types: 'conv' is not a list"),
        (changed(model_type="lfm2", layer_types=["conv"]), "layer_types: 1 values for 4 layers"),
        (changed(model_type="smollm3", no_rope_layers=[1, 0, 0, 1]), "no_rope_layers: it is not every n-th layer"),
        (changed(model_type="openelm", ffn_multipliers=[0.5]), "ffn_multipliers: 1 values for 4 layers"),
    ],
)
def test_what_cannot_be_is_told_by_its_key(config: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says) as caught:
        architecture(config)
    assert "\n" not in str(caught.value)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.just(10**18),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.integers(-1, 2), max_size=3),
    st.just({}),
    st.just({"rope_theta": "x"}),
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_a_configuration_says_the_error_is_one_that_can_be_mended(data: st.DataObject) -> None:
    config = dict(data.draw(st.sampled_from([known.config for known in configs().values()])))
    for key in data.draw(st.lists(st.sampled_from(sorted(config)), min_size=1, max_size=3)):
        if data.draw(st.booleans()):
            config.pop(key, None)
        else:
            config[key] = data.draw(JUNK)
    said = complaint(config)
    assert said is None or (said and "\n" not in said)


def complaint(config: Mapping[str, object]) -> str | None:
    """What is wrong with a configuration; None: it is read, and the same each time."""
    try:
        assert hash(architecture(config)) == hash(architecture(config))
    except UserError as error:
        return str(error)
    return None
