"""What each `model_type` of transformers does that no key of its configuration says, and its name in llama.cpp.

The names and layouts are those of llama.cpp at the version the engine is built from: `conversion/*.py` says what a
configuration becomes, `src/models/*.cpp` which tensors it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from slm_atlas.catalog.architecture import Architecture, NormKind, NormPlacement, PerLayer, PositionKind, QkNorm
from slm_atlas.catalog.huggingface.keys import Keys
from slm_atlas.catalog.huggingface.listed import hymba, zamba2
from slm_atlas.catalog.huggingface.mixers import falcon_h1, granite_hybrid, lfm2, lfm2_width, qwen3_5, recurrent_gemma
from slm_atlas.catalog.huggingface.parts import (
    gemma4,
    gemma4_width,
    granite_multipliers,
    hidden_activation,
    layer_sharing,
    minicpm_multipliers,
    mla,
    openelm_width,
    openlm_width,
    opt,
    query_scale,
    rope_in_window_only,
    shared_ffn,
    softcaps,
    some_layers_without_rope,
    stablelm,
    unit_norm,
    window,
)

Part = Callable[[Keys, Architecture], Architecture]
"""Reads keys that only some types have, and changes the architecture by them."""
Width = Callable[[Keys, int, int], PerLayer]
"""The width of the feed-forward network, from the keys, the number of layers and the hidden width."""


def _plain(keys: Keys, layers: int, hidden: int) -> PerLayer:
    return keys.per_layer(layers, "intermediate_size", "ffn_dim")


def _four_times(keys: Keys, layers: int, hidden: int) -> PerLayer:
    return keys.whole("n_inner", default=4 * hidden)


def _half(keys: Keys, layers: int, hidden: int) -> PerLayer:
    """The key counts gate and up projections together."""
    return keys.whole("intermediate_size", least=2) // 2


def _shared_expert(keys: Keys, layers: int, hidden: int) -> PerLayer:
    return keys.whole("shared_intermediate_size")


def _dense_mlp(keys: Keys, layers: int, hidden: int) -> PerLayer:
    return keys.whole("intermediate_size_mlp")


class Kind(NamedTuple):
    """How the configurations of a `model_type` are read."""

    gguf: str | None
    """Its name in llama.cpp; None: llama.cpp cannot run it."""
    assumed: Mapping[str, object]
    """Values of keys that transformers assumes where a configuration lacks them."""
    fixed: Mapping[str, object] = {}
    """Dotted fields of the architecture that are so whatever the configuration says."""
    also: tuple[Part, ...] = ()
    """What its other keys say."""
    width: Width = _plain
    """The width of its feed-forward network."""
    refused: tuple[str, ...] = ()
    """Keys that must be off, because the architecture cannot tell their effect."""

    def built(self, arch: Architecture) -> Architecture:
        """The architecture with what is fixed."""
        for field, value in self.fixed.items():
            part, _, inner = field.partition(".")
            arch = replace(arch, **{part: replace(getattr(arch, part), **{inner: value}) if inner else value})
        return arch


def _assumed(
    activation: str = "silu",
    eps: float = 1e-6,
    *,
    tied: bool = False,
    theta: float = 10_000.0,
    kv_heads: int | None = None,
    **others: object,
) -> dict[str, object]:
    keys = {"hidden_act": activation, "rms_norm_eps": eps, "tie_word_embeddings": tied, "rope_theta": theta}
    return keys | {"num_key_value_heads": kv_heads} | others


LAYERNORM = {"norm.kind": NormKind.LAYERNORM, "norm.bias": True}
ALL_BIASES = {"attention.qkv_bias": True, "attention.out_bias": True, "ffn.bias": True}
NO_BIASES = {"attention.qkv_bias": False, "attention.out_bias": False}
UNGATED = {"ffn.gated": False}
FUSED_QKV = {"attention.fused_qkv": True}
NORM_OF_HEADS = {"attention.qk_norm": QkNorm.HEAD}
NORM_OF_ALL_HEADS = {"attention.qk_norm": QkNorm.FULL}
NORMS_AFTER = {"norm.placement": NormPlacement.POST}
NORMS_AROUND = {"norm.placement": NormPlacement.BOTH}

_GPT = {**LAYERNORM, **ALL_BIASES, **UNGATED, **FUSED_QKV}
_GEMMA = _assumed(tied=True, kv_heads=4, head_dim=256, hidden_activation="gelu_pytorch_tanh")
_GEMMA2 = {**_GEMMA, "sliding_window": 4096, "sliding_window_pattern": 2, "query_pre_attn_scalar": 256}
_SOFTCAPS = {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}
_TWO_THETAS = {"rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0, "sliding_window_pattern": 6}
_GEMMA_PARTS = (hidden_activation, window, softcaps, query_scale)

TYPES: Mapping[str, Kind] = {
    "arcee": Kind("arcee", _assumed("relu2", 1e-5), UNGATED),
    "bitnet": Kind(
        "bitnet",
        _assumed("relu2", 1e-5, theta=500_000.0, kv_heads=5),
        {"attention.sub_norm": True, "ffn.sub_norm": True},
    ),
    "bloom": Kind(
        "bloom",
        # Without a longest sequence: 2048 is what it was trained on.
        _assumed("gelu_new", 1e-5, tied=True, max_position_embeddings=2048),
        {**_GPT, "position.kind": PositionKind.ALIBI, "embedding.norm": True},
        width=_four_times,
    ),
    "ernie4_5": Kind("ernie4_5", _assumed(eps=1e-5, tied=True, theta=500_000.0, kv_heads=2, head_dim=128)),
    "exaone": Kind("exaone", _assumed(eps=1e-5, tied=True)),
    "exaone4": Kind(
        "exaone4",
        _assumed(eps=1e-5, sliding_window=4096, sliding_window_pattern=4),
        {**NORM_OF_HEADS, **NORMS_AFTER},
        (window, rope_in_window_only),
    ),
    "falcon_h1": Kind(
        "falcon-h1", _assumed(eps=1e-5, kv_heads=8), also=(falcon_h1,), refused=("mamba_proj_bias", "projectors_bias")
    ),
    "gemma": Kind("gemma", {**_GEMMA, "num_key_value_heads": 16}, also=(hidden_activation,)),
    "gemma2": Kind("gemma2", {**_GEMMA2, **_SOFTCAPS}, NORMS_AROUND, _GEMMA_PARTS),
    "gemma3_text": Kind(
        "gemma3",
        {**_GEMMA2, **_TWO_THETAS},
        {**NORM_OF_HEADS, **NORMS_AROUND},
        _GEMMA_PARTS,
    ),
    "gemma4_text": Kind(
        "gemma4",
        {**_GEMMA, **_TWO_THETAS, "sliding_window": 512, "global_head_dim": 512, "hidden_size_per_layer_input": 256},
        # A quarter of the wide heads is rotated; llama.cpp rotates all of it, three quarters by nothing.
        {**NORM_OF_HEADS, **NORMS_AROUND, "position.rotary_fraction": 1.0},
        (*_GEMMA_PARTS[:-1], gemma4),
        width=gemma4_width,
        refused=("enable_moe_block", "attention_k_eq_v", "num_global_key_value_heads"),
    ),
    "gpt2": Kind(
        "gpt2",
        _assumed("gelu_new", 1e-5, tied=True),
        {**_GPT, "position.kind": PositionKind.LEARNED},
        width=_four_times,
        refused=("add_cross_attention",),
    ),
    "gpt_neox": Kind(
        "gptneox",
        _assumed("gelu", 1e-5, rotary_pct=0.25, attention_bias=True),
        {**LAYERNORM, **UNGATED, **FUSED_QKV, "ffn.bias": True},
        (lambda keys, arch: replace(arch, parallel=keys.flag("use_parallel_residual", default=True)),),
    ),
    "granite": Kind("granite", _assumed(), also=(granite_multipliers,)),
    "granitemoehybrid": Kind(
        "granite",
        _assumed(num_local_experts=8),
        also=(granite_multipliers, granite_hybrid),
        width=_shared_expert,
        refused=("num_local_experts", "mamba_proj_bias"),
    ),
    "helium": Kind(None, _assumed(eps=1e-8, theta=100_000.0, kv_heads=20, head_dim=128), {"attention.out_bias": False}),
    "hunyuan_v1_dense": Kind("hunyuan-dense", _assumed(eps=1e-5), NORM_OF_HEADS),
    "hymba": Kind(None, _assumed(mamba_d_conv=4), also=(hymba,)),
    "instella": Kind(None, _assumed(eps=1e-5), NORM_OF_ALL_HEADS),
    "lfm2": Kind(
        "lfm2",
        _assumed(eps=1e-5, tied=True, theta=1_000_000.0, kv_heads=8),
        NORM_OF_HEADS,
        (lfm2,),
        lfm2_width,
        ("conv_bias",),
    ),
    "llama": Kind("llama", _assumed(), also=(shared_ffn,)),
    # Scout and Maverick are of this type too: mixtures of experts, as one without `num_local_experts` is taken to be.
    "llama4_text": Kind(
        None,
        _assumed(eps=1e-5, theta=500_000.0, kv_heads=8, head_dim=128, num_local_experts=16, no_rope_layer_interval=4),
        also=(some_layers_without_rope, unit_norm),
        width=_dense_mlp,
        refused=("num_local_experts",),
    ),
    "minicpm": Kind("minicpm", _assumed(tied=True), also=(minicpm_multipliers,)),
    "minicpm3": Kind(
        "minicpm3",
        _assumed(eps=1e-5, tied=True, scale_emb=12, scale_depth=1.4, dim_model_base=256),
        also=(mla, minicpm_multipliers),
        refused=("attention_bias",),
    ),
    "ministral3": Kind("mistral3", _assumed(eps=1e-5, theta=1_000_000.0, kv_heads=8, head_dim=128), also=(window,)),
    "mistral": Kind("llama", _assumed(kv_heads=8, sliding_window=4096), also=(window,)),
    "mobilellm": Kind("llama", _assumed(eps=1e-5), also=(layer_sharing,)),
    "nemotron": Kind("nemotron", _assumed("relu2", 1e-5, partial_rotary_factor=0.5), {**LAYERNORM, **UNGATED}),
    "olmo": Kind(
        "olmo",
        _assumed(eps=1e-5),
        {"norm.kind": NormKind.LAYERNORM, "norm.weight": False},
    ),
    "olmo2": Kind("olmo2", _assumed(eps=1e-5), {**NORM_OF_ALL_HEADS, **NORMS_AFTER}),
    "openelm": Kind("openelm", _assumed("swish"), {**FUSED_QKV, **NORM_OF_HEADS}, width=openelm_width),
    "openlm": Kind(
        None,
        _assumed(eps=1e-5),
        {"norm.kind": NormKind.LAYERNORM, **NORM_OF_ALL_HEADS},
        width=openlm_width,
    ),
    "opt": Kind(
        None,
        _assumed("relu", 1e-5, tied=True),
        {**LAYERNORM, **UNGATED, "position.kind": PositionKind.LEARNED, "position.offset": 2},
        (opt,),
    ),
    # The name is made up: its authors published no configuration.
    "pangu_pi": Kind(None, _assumed()),
    "phi": Kind(
        "phi2",
        _assumed("gelu_new", 1e-5, partial_rotary_factor=0.5),
        {**LAYERNORM, **ALL_BIASES, **UNGATED, "norm.shared": True, "parallel": True, "embedding.head_bias": True},
        refused=("qk_layernorm",),
    ),
    "phi3": Kind("phi3", _assumed(eps=1e-5), {**FUSED_QKV, **NO_BIASES, "ffn.fused_gate": True}, (window,)),
    "phonelm": Kind(None, _assumed("relu")),
    "qwen": Kind(
        "qwen",
        _assumed(),
        {**FUSED_QKV, "attention.qkv_bias": True},
        width=_half,
    ),
    "qwen2": Kind("qwen2", _assumed(kv_heads=32, use_sliding_window=False), {"attention.qkv_bias": True}, (window,)),
    "qwen3": Kind("qwen3", _assumed(kv_heads=32, use_sliding_window=False, head_dim=128), NORM_OF_HEADS, (window,)),
    "qwen3_5_text": Kind(
        "qwen35",
        _assumed(kv_heads=4, partial_rotary_factor=0.25, head_dim=256),
        {**NORM_OF_HEADS, "attention.output_gate": True},
        (qwen3_5,),
    ),
    "recurrent_gemma": Kind(
        None,
        {
            **_GEMMA,
            "num_key_value_heads": None,
            "max_position_embeddings": 8192,
            "partial_rotary_factor": 0.5,
            "logits_soft_cap": 30.0,
        },
        {"attention.out_bias": True, "ffn.bias": True},
        (hidden_activation, recurrent_gemma),
        width=_half,
    ),
    "smollm3": Kind(
        "smollm3",
        _assumed(tied=True, theta=2_000_000.0, kv_heads=4, use_sliding_window=False, no_rope_layer_interval=4),
        also=(window, some_layers_without_rope),
    ),
    "stablelm": Kind(
        "stablelm",
        _assumed(eps=1e-5, partial_rotary_factor=0.25),
        LAYERNORM,
        (stablelm,),
        refused=("qk_layernorm",),
    ),
    "vaultgemma": Kind(None, {**_GEMMA2, **_SOFTCAPS}, also=_GEMMA_PARTS),
    "youtu": Kind("deepseek2", _assumed(tied=True), also=(mla,), refused=("attention_bias",)),
    "zamba2": Kind(None, _assumed("gelu", 1e-5, tied=True), also=(zamba2,), refused=("add_bias_linear",)),
}
"""All types that are known here, by name."""
