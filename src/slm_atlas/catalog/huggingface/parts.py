"""Keys of Hugging Face configurations that only some model types have, and what they change in an architecture."""

from __future__ import annotations

import math

from msgspec.structs import replace

from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Mla,
    Multipliers,
    NormPlacement,
    PerLayer,
    QkNorm,
    SlidingWindow,
)
from slm_atlas.catalog.huggingface.keys import Keys
from slm_atlas.errors import UserError

ACTIVATIONS = {
    "gelu": Activation.GELU,
    "gelu_new": Activation.GELU_TANH,
    "gelu_pytorch_tanh": Activation.GELU_TANH,
    "relu": Activation.RELU,
    "relu2": Activation.RELU2,
    "silu": Activation.SILU,
    "swish": Activation.SILU,
}
"""Names of activations in transformers."""

# ---- attention -----------------------------------------------------------------------------------------------------


def window(keys: Keys, arch: Architecture) -> Architecture:
    """The sliding window, unless it is as wide as the context."""
    size = keys.maybe_whole("sliding_window")
    if size is None or size >= arch.context or not keys.flag("use_sliding_window", default=True):
        return arch
    full = _full_layers(keys, arch.layers)
    every = full[0] + 1 if full else None
    follows = every is not None and full == tuple(range(every - 1, arch.layers, every))
    found = SlidingWindow(
        size=size,
        full_every=every if follows else None,
        full_layers=() if follows else full,
        theta=keys.maybe_number("rope_local_base_freq"),
    )
    return replace(arch, attention=replace(arch.attention, window=found))


def _full_layers(keys: Keys, layers: int) -> tuple[int, ...]:
    """The layers that see everything."""
    if kinds := keys.items("layer_types"):
        return tuple(layer for layer, kind in enumerate(kinds[:layers]) if kind == "full_attention")
    if keys.has("max_window_layers"):
        return tuple(range(min(layers, keys.whole("max_window_layers", least=0))))
    every = keys.maybe_whole("sliding_window_pattern")
    return () if every is None else tuple(range(every - 1, layers, every))


def rope_in_window_only(keys: Keys, arch: Architecture) -> Architecture:
    """Where there is a window, the layers that see everything do not rotate."""
    seen = arch.attention.window
    return arch if seen is None else replace(arch, position=replace(arch.position, none_every=seen.full_every))


def softcaps(keys: Keys, arch: Architecture) -> Architecture:
    """The caps on scores and logits."""
    scores, logits = keys.maybe_number("attn_logit_softcapping"), keys.maybe_number("final_logit_softcapping")
    return replace(
        arch,
        attention=replace(arch.attention, softcap=scores),
        embedding=replace(arch.embedding, logit_softcap=logits),
    )


def query_scale(keys: Keys, arch: Architecture) -> Architecture:
    """The scale of the scores, where it is not that of the head's dimensions."""
    scalar = keys.number("query_pre_attn_scalar")
    return arch if scalar == arch.attention.head_dim else replace(arch, multipliers=Multipliers(attention=scalar**-0.5))


def mla(keys: Keys, arch: Architecture) -> Architecture:
    """Multi-head latent attention; llama.cpp splits the expansion for DeepSeek-V2 and its like only."""
    found = Mla(
        kv_lora_rank=keys.whole("kv_lora_rank"),
        q_lora_rank=keys.maybe_whole("q_lora_rank"),
        qk_nope_head_dim=keys.whole("qk_nope_head_dim"),
        qk_rope_head_dim=keys.whole("qk_rope_head_dim"),
        v_head_dim=keys.whole("v_head_dim"),
        absorbed=arch.gguf == "deepseek2",
    )
    # `head_dim` in the configuration is that of the rotated part alone.
    head_dim = found.qk_nope_head_dim + found.qk_rope_head_dim
    return replace(arch, attention=replace(arch.attention, head_dim=head_dim, mla=found))


def unit_norm(keys: Keys, arch: Architecture) -> Architecture:
    """The norm of queries and keys without a learned scale."""
    norm = QkNorm.UNIT if keys.flag("use_qk_norm", default=True) else QkNorm.NONE
    return replace(arch, attention=replace(arch.attention, qk_norm=norm))


def some_layers_without_rope(keys: Keys, arch: Architecture) -> Architecture:
    """Layers that do not rotate: 0 in `no_rope_layers`, else every n-th."""
    rotates = keys.wholes("no_rope_layers")[: arch.layers]
    if not rotates:
        return replace(arch, position=replace(arch.position, none_every=keys.whole("no_rope_layer_interval")))
    if all(rotates):
        return arch
    every = rotates.index(0) + 1
    if any(bool(one) == (layer % every == 0) for layer, one in enumerate(rotates, 1)):
        raise UserError("no_rope_layers: it is not every n-th layer.")
    return replace(arch, position=replace(arch.position, none_every=every))


# ---- scales --------------------------------------------------------------------------------------------------------


def granite_multipliers(keys: Keys, arch: Architecture) -> Architecture:
    """The multipliers of Granite; one is none."""
    attention = keys.number("attention_multiplier", default=1.0)
    found = Multipliers(
        embedding=_unless_one(keys.number("embedding_multiplier", default=1.0)),
        residual=_unless_one(keys.number("residual_multiplier", default=1.0)),
        attention=None if attention == arch.attention.head_dim**-0.5 else attention,
        logits=_unless_one(keys.number("logits_scaling", default=1.0)),
    )
    return arch if found == Multipliers() else replace(arch, multipliers=found)


def minicpm_multipliers(keys: Keys, arch: Architecture) -> Architecture:
    """The scales of MiniCPM (arXiv 2404.06395, table 8)."""
    found = Multipliers(
        embedding=_unless_one(keys.number("scale_emb", default=1.0)),
        residual=_unless_one(keys.number("scale_depth", default=1.0) / math.sqrt(arch.layers)),
        logits=_unless_one(arch.hidden / keys.number("dim_model_base", default=1.0)),
    )
    return replace(arch, multipliers=found)


def _unless_one(value: float) -> float | None:
    return None if value == 1.0 else value


# ---- feed-forward networks -----------------------------------------------------------------------------------------


def activation(keys: Keys, *names: str) -> Activation:
    """The activation that the first of these keys names.

    Raises:
        UserError: there is none, or not one that is known here.
    """
    name = keys.text(*names)
    if name not in ACTIVATIONS:
        raise UserError(f"The activation '{name[:40]}' is not known here (but: {', '.join(ACTIVATIONS)}).")
    return ACTIVATIONS[name]


def hidden_activation(keys: Keys, arch: Architecture) -> Architecture:
    """Gemma computes `hidden_activation`, whatever its `hidden_act` says."""
    return replace(arch, ffn=replace(arch.ffn, activation=activation(keys, "hidden_activation")))


def shared_ffn(keys: Keys, arch: Architecture) -> Architecture:
    """One feed-forward network for all layers: `shared_ffn` is a key of ours, for MobiLlama, whose code shares it."""
    return replace(arch, ffn=replace(arch.ffn, shared=keys.flag("shared_ffn")))


def layer_sharing(keys: Keys, arch: Architecture) -> Architecture:
    """Blocks that are run twice in a row (MobileLLM-LS)."""
    return replace(arch, repeat=2 if keys.flag("layer_sharing") else 1)


def openelm_width(keys: Keys, layers: int, hidden: int) -> PerLayer:
    """Widths that grow with depth (arXiv 2404.14619): rounded to a divisor, and not down by more than a tenth."""
    divisor = keys.whole("ffn_dim_divisor", default=256)
    widths = []
    for multiplier in keys.numbers("ffn_multipliers"):
        wanted = multiplier * hidden
        rounded = max(divisor, math.floor(wanted / divisor + 0.5) * divisor)
        widths.append(rounded + divisor * (rounded < 0.9 * wanted))
    if len(widths) != layers:
        raise UserError(f"ffn_multipliers: {len(widths)} values for {layers} layers.")
    return tuple(widths)


def openlm_width(keys: Keys, layers: int, hidden: int) -> PerLayer:
    """Two thirds of four times the hidden width, rounded up to 256: no key says it."""
    return -(-(8 * hidden // 3) // 256) * 256


# ---- types with switches of their own -----------------------------------------------------------------------------


def opt(keys: Keys, arch: Architecture) -> Architecture:
    """The switches of OPT: biases, where the norms stand, and an embedding narrower than the stream."""
    bias, before = keys.flag("enable_bias", default=True), keys.flag("do_layer_norm_before", default=True)
    learned = keys.flag("layer_norm_elementwise_affine", default=True)
    width = keys.whole("word_embed_proj_dim", default=arch.hidden)
    return replace(
        arch,
        attention=replace(arch.attention, qkv_bias=bias, out_bias=bias),
        ffn=replace(arch.ffn, bias=bias),
        norm=replace(
            arch.norm,
            weight=learned,
            bias=learned,
            placement=NormPlacement.PRE if before else NormPlacement.POST,
            final=before and not keys.flag("_remove_final_layer_norm"),
        ),
        embedding=replace(arch.embedding, dim=None if width == arch.hidden else width),
    )


def stablelm(keys: Keys, arch: Architecture) -> Architecture:
    """Attention and feed-forward network side by side, on one norm."""
    beside = keys.flag("use_parallel_residual")
    return replace(arch, parallel=beside, norm=replace(arch.norm, shared=beside))


def gemma4(keys: Keys, arch: Architecture) -> Architecture:
    """Wider heads where all is seen, keys and values used again, and an embedding for each layer."""
    attention = arch.attention
    if attention.window is None:
        raise UserError("sliding_window: this type does not go without one.")
    attention = replace(
        attention,
        window=replace(attention.window, full_head_dim=keys.whole("global_head_dim")),
        reused_kv_layers=_reused(keys, arch.layers),
    )
    per_layer = keys.whole("hidden_size_per_layer_input", least=0)
    return replace(arch, attention=attention, embedding=replace(arch.embedding, per_layer=per_layer))


def gemma4_width(keys: Keys, layers: int, hidden: int) -> PerLayer:
    """Twice the width in the layers that use keys and values again, if the configuration says so."""
    width, reused = keys.whole("intermediate_size"), _reused(keys, layers)
    if not reused or not keys.flag("use_double_wide_mlp"):
        return width
    return (width,) * (layers - reused) + (2 * width,) * reused


def _reused(keys: Keys, layers: int) -> int:
    return keys.whole("num_kv_shared_layers", default=0, least=0, most=layers - 1)
