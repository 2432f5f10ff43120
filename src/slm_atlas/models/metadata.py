"""An architecture as the metadata of a GGUF: the keys llama.cpp reads before it makes the tensors.

Keys follow from the fields of the architecture, whatever it is called; what one architecture alone asks for is in
`_SPECIAL`. Each key's meaning: llama.cpp's `src/models/<architecture>.cpp` and `conversion/<architecture>.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import gguf

from slm_atlas.anatomy.costs import HEADLESS_MIXERS
from slm_atlas.catalog.architecture import Architecture, Mixer, MixerKind, Mla, NormKind, PositionKind, SlidingWindow

RUNNABLE = (
    *("arcee", "bitnet", "bloom", "deepseek2", "ernie4_5", "exaone", "exaone4", "falcon-h1", "gemma", "gemma2"),
    *("gemma3", "gemma4", "gpt2", "gptneox", "granite", "granitehybrid", "hunyuan-dense", "lfm2", "llama", "minicpm"),
    *("minicpm3", "mistral3", "nemotron", "olmo", "olmo2", "openelm", "phi2", "phi3", "qwen", "qwen2", "qwen3"),
    *("qwen35", "smollm3", "stablelm"),
)
"""Architectures (llama.cpp's names) that can be written and read here; the tests run each."""


def add_architecture(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    """Add all keys of an architecture, which must be one of `RUNNABLE`."""
    _add_shape(writer, arch)
    _add_attention(writer, arch)
    _add_positions(writer, arch)
    _add_multipliers(writer, arch)
    if arch.mixer is not None:
        _add_mixer(writer, arch.mixer)
    if arch.gguf in _SPECIAL:
        _SPECIAL[arch.gguf](writer, arch)


def _add_shape(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    writer.add_block_count(arch.layers)
    writer.add_context_length(arch.context)
    writer.add_embedding_length(arch.hidden)
    writer.add_vocab_size(arch.vocab)
    # Qwen-1's key counts gate and up together; `qwen.cpp` halves it.
    doubled = 2 if arch.gguf == "qwen" else 1
    widths = [doubled * width for width in arch.per_layer(arch.ffn.intermediate)]
    writer.add_feed_forward_length(_plain(widths))
    if arch.norm.kind is NormKind.RMSNORM:
        writer.add_layer_norm_rms_eps(arch.norm.eps)
    else:
        writer.add_layer_norm_eps(arch.norm.eps)
    if arch.embedding.per_layer:
        writer.add_embedding_length_per_layer_input(arch.embedding.per_layer)
    if arch.embedding.logit_softcap is not None:
        writer.add_final_logit_softcapping(arch.embedding.logit_softcap)


def _add_attention(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    attention = arch.attention
    kv_heads = list(arch.per_layer(attention.kv_heads))
    if arch.gguf in HEADLESS_MIXERS:
        kv_heads = [heads if arch.has_attention(layer) else 0 for layer, heads in enumerate(kv_heads)]
    writer.add_head_count(_plain(list(arch.per_layer(attention.heads))))
    if attention.mla is not None:
        _add_latent(writer, attention.mla)
        kv_heads = [1] if attention.mla.absorbed else kv_heads
    else:
        window = attention.window
        full = attention.head_dim if window is None else window.full_head_dim or attention.head_dim
        writer.add_key_length(full)
        writer.add_value_length(full)
    writer.add_head_count_kv(_plain(kv_heads))
    if attention.softcap is not None:
        writer.add_attn_logit_softcapping(attention.softcap)
    if attention.reused_kv_layers:
        writer.add_shared_kv_layers(attention.reused_kv_layers)
    if attention.window is not None:
        _add_window(writer, attention.window, arch)


def _add_latent(writer: gguf.GGUFWriter, mla: Mla) -> None:
    queries = mla.qk_nope_head_dim + mla.qk_rope_head_dim
    if mla.q_lora_rank is not None:
        writer.add_q_lora_rank(mla.q_lora_rank)
    writer.add_kv_lora_rank(mla.kv_lora_rank)
    if mla.absorbed:
        writer.add_key_length(mla.kv_lora_rank + mla.qk_rope_head_dim)
        writer.add_value_length(mla.kv_lora_rank)
        writer.add_key_length_mla(queries)
        writer.add_value_length_mla(mla.v_head_dim)
    else:
        writer.add_key_length(queries)
        writer.add_value_length(mla.v_head_dim)


def _add_window(writer: gguf.GGUFWriter, window: SlidingWindow, arch: Architecture) -> None:
    writer.add_sliding_window(window.size)
    if window.full_every is not None or window.full_layers:
        writer.add_sliding_window_pattern([window.covers(layer) for layer in range(arch.layers)])
    if window.theta is not None:
        writer.add_rope_freq_base_swa(window.theta)
    if window.full_head_dim is not None:
        writer.add_key_length_swa(arch.attention.head_dim)
        writer.add_value_length_swa(arch.attention.head_dim)
        writer.add_rope_dimension_count_swa(arch.attention.head_dim)


def _add_positions(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    if arch.position.kind is not PositionKind.ROPE:
        return
    mla, window = arch.attention.mla, arch.attention.window
    full = arch.attention.head_dim if window is None else window.full_head_dim or arch.attention.head_dim
    rotated = mla.qk_rope_head_dim if mla is not None else round(full * arch.position.rotary_fraction)
    writer.add_rope_dimension_count(rotated)
    writer.add_rope_freq_base(arch.position.theta)


def _add_multipliers(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    scales = arch.multipliers
    if scales is None:
        return
    if scales.embedding is not None:
        writer.add_embedding_scale(scales.embedding)
    if scales.residual is not None:
        writer.add_residual_scale(scales.residual)
    if scales.attention is not None:
        writer.add_attention_scale(scales.attention)
    if scales.logits is not None:
        # A divisor in Granite and in MiniCPM, which runs through Granite's graph (`granite.cpp`).
        writer.add_logit_scale(scales.logits)


def _add_mixer(writer: gguf.GGUFWriter, mixer: Mixer) -> None:
    if mixer.kind is MixerKind.SHORT_CONV:
        writer.add_shortconv_l_cache(mixer.conv_kernel)
        return
    writer.add_ssm_conv_kernel(mixer.conv_kernel)
    writer.add_ssm_inner_size(mixer.width)
    writer.add_ssm_state_size(mixer.state)
    writer.add_ssm_time_step_rank(mixer.heads)
    writer.add_ssm_group_count(mixer.groups)


# ---- what one architecture alone asks for --------------------------------------------------------------------------


def _deepseek2(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    """All layers are dense, and the loader still wants the experts' keys."""
    writer.add_leading_dense_block_count(arch.layers)
    writer.add_expert_feed_forward_length(arch.per_layer(arch.ffn.intermediate)[0])
    writer.add_expert_shared_count(0)


def _parallel(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    writer.add_parallel_residual(arch.parallel)


def _granitehybrid(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    """Granite takes this key as the switch of rotary positions."""
    writer.add_rope_scaling_finetuned(arch.position.kind is PositionKind.ROPE)


def _qwen35(writer: gguf.GGUFWriter, arch: Architecture) -> None:
    """Text has one position in all sections of the multimodal rotary embedding, whose default sections these are."""
    writer.add_rope_dimension_sections([11, 11, 10, 0])
    if arch.mixer is not None:
        recurrent = [not arch.has_attention(layer) for layer in range(arch.layers)]
        writer.add_array("qwen35.attention.recurrent_layers", recurrent)


_SPECIAL: dict[str, Callable[[gguf.GGUFWriter, Architecture], None]] = {
    "deepseek2": _deepseek2,
    "gptneox": _parallel,
    "stablelm": _parallel,
    "granitehybrid": _granitehybrid,
    "qwen35": _qwen35,
}


def _plain(values: list[int]) -> int | list[int]:
    """One number where all are the same."""
    return values[0] if len(set(values)) == 1 else values
