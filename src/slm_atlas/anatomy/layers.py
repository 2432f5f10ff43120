"""The tensors of one layer: norms, attention, what mixes tokens without attention, and the feed-forward network."""

from __future__ import annotations

from collections.abc import Iterator

from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.catalog.architecture import Architecture, Mixer, MixerKind, Mla, NormPlacement, Part, QkNorm


def one_layer(arch: Architecture, layer: int) -> Iterator[Tensor]:
    """All tensors of a layer."""
    pre, post = arch.norm.placement is not NormPlacement.POST, arch.norm.placement is not NormPlacement.PRE
    if pre:
        yield from norm(arch, f"blk.{layer}.attn_norm", arch.hidden, layer)
    if arch.has_attention(layer):
        yield from _attention(arch, layer)
    if arch.mixer is not None and arch.has_mixer(layer):
        yield from _MIXERS[arch.mixer.kind](arch, arch.mixer, layer)
    if post:
        yield from norm(arch, f"blk.{layer}.post_attention_norm", arch.hidden, layer)
    if pre and not arch.norm.shared:
        yield from _ffn_norm(arch, layer)
    if not arch.ffn.shared:
        yield from _ffn(arch, layer)
    if post:
        yield from norm(arch, f"blk.{layer}.post_ffw_norm", arch.hidden, layer)
    if arch.embedding.per_layer:
        yield from _layer_embedding(arch, layer)


def norm(arch: Architecture, name: str, width: int, layer: int | None) -> Iterator[Tensor]:
    """The scale and offset of a norm, as far as the architecture learns them."""
    if arch.norm.weight:
        yield Tensor(f"{name}.weight", (width,), Part.NORM, layer)
    if arch.norm.bias:
        yield Tensor(f"{name}.bias", (width,), Part.NORM, layer)


def _ffn_norm(arch: Architecture, layer: int) -> Iterator[Tensor]:
    if arch.gguf == "falcon-h1":
        # `falcon-h1.cpp` asks for this one name without the suffix.
        yield _vector("ffn_norm", arch.hidden, layer)
        return
    name = "post_attention_norm" if arch.gguf == "qwen35" else "ffn_norm"
    yield from norm(arch, f"blk.{layer}.{name}", arch.hidden, layer)


def _linear(
    name: str, rows: int, columns: int, part: Part, layer: int | None, *, bias: bool = False, uses: int = 1
) -> Iterator[Tensor]:
    prefix = "" if layer is None else f"blk.{layer}."
    yield Tensor(f"{prefix}{name}.weight", (rows, columns), part, layer, uses)
    if bias:
        yield Tensor(f"{prefix}{name}.bias", (rows,), part, layer, uses)


def _vector(name: str, width: int, layer: int, part: Part = Part.NORM) -> Tensor:
    return Tensor(f"blk.{layer}.{name}", (width,), part, layer)


# ---- attention -----------------------------------------------------------------------------------------------------


def _attention(arch: Architecture, layer: int) -> Iterator[Tensor]:
    attention, part = arch.attention, Part.ATTENTION
    if attention.mla is not None:
        yield from _latent_attention(arch, attention.mla, layer)
        return
    size = arch.head_dim(layer)
    queries = arch.per_layer(attention.heads)[layer] * size
    yield from _projections(arch, layer, queries, arch.per_layer(attention.kv_heads)[layer] * size)
    if attention.sub_norm:
        yield _vector("attn_sub_norm.weight", queries, layer)
    yield from _linear("attn_output", arch.hidden, queries, part, layer, bias=attention.out_bias, uses=arch.repeat)


def _projections(arch: Architecture, layer: int, queries: int, keys: int) -> Iterator[Tensor]:
    attention, part, hidden = arch.attention, Part.ATTENTION, arch.hidden
    bias, uses = attention.qkv_bias, arch.repeat
    if attention.fused_qkv:
        yield from _linear("attn_qkv", queries + 2 * keys, hidden, part, layer, bias=bias, uses=uses)
    else:
        gated = queries * (2 if attention.output_gate else 1)
        yield from _linear("attn_q", gated, hidden, part, layer, bias=bias, uses=uses)
        if arch.has_kv(layer):
            yield from _linear("attn_k", keys, hidden, part, layer, bias=bias, uses=uses)
            yield from _linear("attn_v", keys, hidden, part, layer, bias=bias, uses=uses)
    yield from _qk_norms(arch, layer, queries, keys)


def _qk_norms(arch: Architecture, layer: int, queries: int, keys: int) -> Iterator[Tensor]:
    kind = arch.attention.qk_norm
    if kind not in (QkNorm.HEAD, QkNorm.FULL):
        return
    size = arch.head_dim(layer)
    yield _vector("attn_q_norm.weight", size if kind is QkNorm.HEAD else queries, layer)
    if arch.has_kv(layer):
        yield _vector("attn_k_norm.weight", size if kind is QkNorm.HEAD else keys, layer)


def _latent_attention(arch: Architecture, mla: Mla, layer: int) -> Iterator[Tensor]:
    """DeepSeek-V2, arXiv 2405.04434, section 2.1.2; names as llama.cpp's `deepseek2.cpp` and `minicpm3.cpp`."""
    heads, part = arch.per_layer(arch.attention.heads)[layer], Part.ATTENTION
    queries, latent = heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim), mla.kv_lora_rank
    if mla.q_lora_rank is None:
        yield from _linear("attn_q", queries, arch.hidden, part, layer)
    else:
        yield from _linear("attn_q_a", mla.q_lora_rank, arch.hidden, part, layer)
        yield _vector("attn_q_a_norm.weight", mla.q_lora_rank, layer)
        yield from _linear("attn_q_b", queries, mla.q_lora_rank, part, layer)
    yield from _linear("attn_kv_a_mqa", latent + mla.qk_rope_head_dim, arch.hidden, part, layer)
    yield _vector("attn_kv_a_norm.weight", latent, layer)
    if mla.absorbed:
        yield Tensor(f"blk.{layer}.attn_k_b.weight", (heads, latent, mla.qk_nope_head_dim), part, layer)
        yield Tensor(f"blk.{layer}.attn_v_b.weight", (heads, mla.v_head_dim, latent), part, layer)
    else:
        yield from _linear("attn_kv_b", heads * (mla.qk_nope_head_dim + mla.v_head_dim), latent, part, layer)
    yield from _linear("attn_output", arch.hidden, heads * mla.v_head_dim, part, layer)


# ---- layers that are not attention ---------------------------------------------------------------------------------


def _short_conv(arch: Architecture, mixer: Mixer, layer: int) -> Iterator[Tensor]:
    """LFM2's gated short convolution; names as llama.cpp's `lfm2.cpp`."""
    part = Part.MIXER
    yield from _linear("shortconv.conv", mixer.width, mixer.conv_kernel, part, layer, bias=mixer.conv_bias)
    yield from _linear("shortconv.in_proj", 3 * mixer.width, arch.hidden, part, layer)
    yield from _linear("shortconv.out_proj", arch.hidden, mixer.width, part, layer)


def _mamba2(arch: Architecture, mixer: Mixer, layer: int) -> Iterator[Tensor]:
    """Mamba-2, arXiv 2405.21060, section 7; names as llama.cpp's `mamba2.cpp`."""
    part, channels = Part.MIXER, mixer.width + 2 * mixer.groups * mixer.state
    yield from _linear("ssm_in", mixer.width + channels + mixer.heads, arch.hidden, part, layer)
    yield from _linear("ssm_conv1d", channels, mixer.conv_kernel, part, layer, bias=mixer.conv_bias)
    yield _vector("ssm_dt.bias", mixer.heads, layer, part)
    yield Tensor(f"blk.{layer}.ssm_a", (mixer.heads, 1), part, layer)
    yield Tensor(f"blk.{layer}.ssm_d", (mixer.heads, 1), part, layer)
    if mixer.norm:
        shape = (mixer.groups, mixer.width // mixer.groups)
        yield Tensor(f"blk.{layer}.ssm_norm.weight", shape, Part.NORM, layer)
    yield from _linear("ssm_out", arch.hidden, mixer.width, part, layer)


def _delta_net(arch: Architecture, mixer: Mixer, layer: int) -> Iterator[Tensor]:
    """Gated delta net, arXiv 2412.06464, section 3; names as llama.cpp's `qwen35.cpp`."""
    part, channels = Part.MIXER, mixer.width + 2 * mixer.groups * mixer.state
    yield from _linear("attn_qkv", channels, arch.hidden, part, layer)
    yield from _linear("attn_gate", mixer.width, arch.hidden, part, layer)
    yield from _linear("ssm_conv1d", channels, mixer.conv_kernel, part, layer, bias=mixer.conv_bias)
    yield _vector("ssm_dt.bias", mixer.heads, layer, part)
    yield _vector("ssm_a", mixer.heads, layer, part)
    yield from _linear("ssm_beta", mixer.heads, arch.hidden, part, layer)
    yield from _linear("ssm_alpha", mixer.heads, arch.hidden, part, layer)
    yield _vector("ssm_norm.weight", mixer.state, layer)
    yield from _linear("ssm_out", arch.hidden, mixer.width, part, layer)


def _rg_lru(arch: Architecture, mixer: Mixer, layer: int) -> Iterator[Tensor]:
    """The recurrent block of Griffin, arXiv 2402.19427, section 2.4; names ours, llama.cpp does not run it."""
    part, width, block = Part.MIXER, mixer.width, mixer.width // mixer.heads
    yield from _linear("lru_x", width, arch.hidden, part, layer, bias=True)
    yield from _linear("lru_y", width, arch.hidden, part, layer, bias=True)
    yield from _linear("lru_conv1d", width, mixer.conv_kernel, part, layer, bias=mixer.conv_bias)
    for gate in ("lru_input_gate", "lru_recurrent_gate"):
        yield Tensor(f"blk.{layer}.{gate}.weight", (mixer.heads, block, block), part, layer)
        yield Tensor(f"blk.{layer}.{gate}.bias", (mixer.heads, block), part, layer, uses=0)
    yield _vector("lru_a", width, layer, part)
    yield from _linear("lru_out", arch.hidden, width, part, layer, bias=True)


_MIXERS = {
    MixerKind.SHORT_CONV: _short_conv,
    MixerKind.MAMBA2: _mamba2,
    MixerKind.DELTA_NET: _delta_net,
    MixerKind.RG_LRU: _rg_lru,
}


# ---- the feed-forward network --------------------------------------------------------------------------------------


def shared_ffn(arch: Architecture) -> Iterator[Tensor]:
    """The one network of a model whose layers share it: a token passes through it once a layer."""
    return _ffn_tensors(arch, arch.per_layer(arch.ffn.intermediate)[0], None, arch.layers * arch.repeat)


def _ffn(arch: Architecture, layer: int) -> Iterator[Tensor]:
    return _ffn_tensors(arch, arch.per_layer(arch.ffn.intermediate)[layer], layer, arch.repeat)


def _ffn_tensors(arch: Architecture, width: int, layer: int | None, uses: int) -> Iterator[Tensor]:
    ffn, part, hidden = arch.ffn, Part.FFN, arch.hidden
    if ffn.gated and not ffn.fused_gate:
        yield from _linear("ffn_gate", width, hidden, part, layer, bias=ffn.bias, uses=uses)
    rows = 2 * width if ffn.gated and ffn.fused_gate else width
    yield from _linear("ffn_up", rows, hidden, part, layer, bias=ffn.bias, uses=uses)
    if ffn.sub_norm and layer is not None:
        yield _vector("ffn_sub_norm.weight", width, layer)
    yield from _linear("ffn_down", hidden, width, part, layer, bias=ffn.bias, uses=uses)


def _layer_embedding(arch: Architecture, layer: int) -> Iterator[Tensor]:
    """What brings a layer's own embedding into the stream (Gemma-4); names as llama.cpp's `gemma4.cpp`."""
    width, part = arch.embedding.per_layer, Part.EMBEDDING
    yield from _linear("inp_gate", width, arch.hidden, part, layer)
    yield from _linear("proj", arch.hidden, width, part, layer)
    yield _vector("post_norm.weight", arch.hidden, layer)
