"""Hybrid models in Hugging Face configurations: which layers have attention, and what mixes tokens in the others."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from slm_atlas.catalog.architecture import (
    Architecture,
    Mixer,
    MixerKind,
    PerLayer,
    PositionKind,
    SlidingWindow,
)
from slm_atlas.catalog.huggingface.keys import Keys
from slm_atlas.errors import UserError

ATTENTION = ("attention", "full_attention")
"""What lists call a layer with attention: the first is Granite's own word, the second that of transformers."""


def layers_of(keys: Keys, layers: int, kinds: Collection[str], *names: str) -> tuple[int, ...]:
    """The layers that a list calls one of `kinds`.

    Raises:
        UserError: the list is not as long as the model is deep.
    """
    found = keys.items(*names)
    if len(found) < layers:
        raise UserError(f"{names[0]}: {len(found)} values for {layers} layers.")
    return tuple(layer for layer, kind in enumerate(found[:layers]) if kind in kinds)


def mamba2(keys: Keys, arch: Architecture, attention_layers: tuple[int, ...], *, width: int) -> Mixer:
    """A Mamba-2 mixer of `width` channels, from keys that most hybrids share."""
    return Mixer(
        kind=MixerKind.MAMBA2,
        attention_layers=attention_layers,
        width=width,
        conv_kernel=keys.whole("mamba_d_conv", default=4),
        conv_bias=keys.flag("mamba_conv_bias", default=True),
        state=keys.whole("mamba_d_state"),
        heads=keys.whole("mamba_n_heads", "n_mamba_heads"),
        groups=keys.whole("mamba_n_groups", "mamba_ngroups", default=1),
        norm=True,
    )


def granite_hybrid(keys: Keys, arch: Architecture) -> Architecture:
    """Granite-4: attention in a few layers or in all, rotary or without positions."""
    attention_layers = layers_of(keys, arch.layers, ATTENTION, "layer_types")
    if keys.text("position_embedding_type", default="nope") != "rope":
        arch = replace(arch, position=replace(arch.position, kind=PositionKind.NONE))
    if len(attention_layers) == arch.layers:
        return arch
    width = keys.whole("mamba_expand", default=2) * arch.hidden
    return replace(arch, gguf="granitehybrid", mixer=mamba2(keys, arch, attention_layers, width=width))


def falcon_h1(keys: Keys, arch: Architecture) -> Architecture:
    """Falcon-H1: both, side by side, in every layer; its multipliers are folded into the weights of its GGUF."""
    width = keys.whole("mamba_d_ssm", default=keys.whole("mamba_expand", default=2) * arch.hidden)
    found = mamba2(keys, arch, tuple(range(arch.layers)), width=width)
    return replace(arch, mixer=replace(found, beside_attention=True, norm=keys.flag("mamba_rms_norm")))


def qwen3_5(keys: Keys, arch: Architecture) -> Architecture:
    """Qwen3.5: a gated delta rule in three layers of four."""
    values, key_dim = keys.whole("linear_num_value_heads"), keys.whole("linear_key_head_dim")
    found = Mixer(
        kind=MixerKind.DELTA_NET,
        attention_layers=layers_of(keys, arch.layers, ATTENTION, "layer_types"),
        width=values * keys.whole("linear_value_head_dim"),
        conv_kernel=keys.whole("linear_conv_kernel_dim", default=4),
        state=key_dim,
        heads=values,
        groups=keys.whole("linear_num_key_heads"),
        norm=True,
    )
    return replace(arch, mixer=found)


def lfm2(keys: Keys, arch: Architecture) -> Architecture:
    """LFM2: gated short convolutions between the layers with attention."""
    attention_layers = keys.wholes("full_attn_idxs") or layers_of(keys, arch.layers, ATTENTION, "layer_types")
    found = Mixer(
        kind=MixerKind.SHORT_CONV,
        attention_layers=tuple(layer for layer in attention_layers if layer < arch.layers),
        width=arch.hidden,
        conv_kernel=keys.whole("conv_L_cache", default=3),
        conv_bias=keys.flag("conv_bias"),
    )
    return replace(arch, mixer=found)


def lfm2_width(keys: Keys, layers: int, hidden: int) -> PerLayer:
    """Two thirds of what the key says, scaled and rounded up, unless the configuration says it is final."""
    width = keys.whole("block_ff_dim", "intermediate_size", least=2)
    if not keys.flag("block_auto_adjust_ff_dim", default=True):
        return width
    scaled = int(keys.number("block_ffn_dim_multiplier", default=1.0) * (2 * width // 3))
    unit = keys.whole("block_multiple_of", default=256)
    return max(1, -(-scaled // unit)) * unit


def recurrent_gemma(keys: Keys, arch: Architecture) -> Architecture:
    """RecurrentGemma: a repeated pattern of recurrences and windowed attention."""
    pattern = keys.items("block_types") or ("recurrent", "recurrent", "attention")
    kinds = [pattern[layer % len(pattern)] for layer in range(arch.layers)]
    found = Mixer(
        kind=MixerKind.RG_LRU,
        attention_layers=tuple(layer for layer, kind in enumerate(kinds) if kind == "attention"),
        width=keys.whole("lru_width", default=arch.hidden),
        conv_kernel=keys.whole("conv1d_width", default=4),
        conv_bias=True,
        heads=keys.whole("num_attention_heads"),
    )
    seen = SlidingWindow(size=keys.whole("attention_window_size", default=2048))
    return replace(
        arch,
        mixer=found,
        attention=replace(arch.attention, window=seen),
        embedding=replace(arch.embedding, logit_softcap=keys.maybe_number("logits_soft_cap")),
    )
