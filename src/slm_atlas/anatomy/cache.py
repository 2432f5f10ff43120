"""What a model remembers of its context: keys and values, a latent in their place, and the states of recurrent layers.

`cache_bytes` is the arithmetic of the architecture; `engine_cache_bytes` is what llama.cpp allocates for it, which
rounds the context up, keeps a micro-batch beside a sliding window, and ignores the windows of some architectures.
"""

from __future__ import annotations

from slm_atlas.catalog.architecture import Architecture, MixerKind

KV_TYPE_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q5_1": 24 / 32, "q5_0": 22 / 32} | {
    "q4_1": 20 / 32,
    "q4_0": 18 / 32,
}
"""Bytes of a number in the KV cache, by the type's name."""
CONTEXT_PADDING = 256
"""llama.cpp rounds the context up to a multiple of this (`n_ctx` in src/llama-context.cpp)."""
WINDOWED = frozenset({"gemma2", "gemma3", "gemma4"})
"""Architectures of the catalogue whose sliding window llama.cpp keeps apart (`llama_kv_cache_iswa`); in the others
(Mistral's and Phi-3's among them) it holds the whole context in every layer."""
_F32 = 4


def padded(context: int) -> int:
    """Tokens the KV cache holds when a context is asked for.

    >>> padded(1), padded(512), padded(513)
    (256, 512, 768)
    """
    return -(-context // CONTEXT_PADDING) * CONTEXT_PADDING


def cache_bytes(arch: Architecture, context: int, *, batch: int = 1, kv_type: str = "f16") -> int:
    """Bytes of the cache for a context: keys and values of every layer, at most a window's in one with a window.

    Args:
        arch: the architecture.
        context: tokens.
        batch: sequences held at once.
        kv_type: type of keys and values, a key of `KV_TYPE_BYTES`; states of recurrent layers are float32.

    >>> from slm_atlas.catalog import get
    >>> cache_bytes(get("smollm-135m").architecture, 2048) / 2**20
    45.0
    """
    window = arch.attention.window
    seen = [
        min(context, window.size) if window is not None and window.covers(layer) else context
        for layer in range(arch.layers)
    ]
    return _total(arch, seen, batch, kv_type)


def engine_cache_bytes(
    arch: Architecture, context: int, *, batch: int = 1, micro_batch: int = 512, kv_type: str = "f16"
) -> int:
    """Bytes of the cache as llama.cpp allocates it: `cache_bytes` for the cells it keeps.

    A layer with a sliding window keeps the window and a micro-batch, rounded up (`llama-kv-cache-iswa.cpp`).
    """
    cells, window = padded(context), arch.attention.window
    kept = cells
    if window is not None and arch.gguf in WINDOWED:
        kept = padded(min(cells, window.size + min(micro_batch, context)))
    seen = [kept if arch.has_window(layer) else cells for layer in range(arch.layers)]
    return _total(arch, seen, batch, kv_type)


def _total(arch: Architecture, seen: list[int], batch: int, kv_type: str) -> int:
    numbers = sum(tokens * kv_numbers(arch, layer) for layer, tokens in enumerate(seen))
    states = sum(state_numbers(arch) for layer in range(arch.layers) if arch.has_mixer(layer))
    return int(numbers * arch.repeat * batch * KV_TYPE_BYTES[kv_type]) + states * batch * _F32


def kv_numbers(arch: Architecture, layer: int) -> int:
    """Numbers that a layer keeps of a token: keys and values, or a latent and the rotated part of the keys."""
    attention = arch.attention
    if not arch.has_kv(layer):
        return 0
    mla = attention.mla
    if mla is not None and mla.absorbed:
        return mla.kv_lora_rank + mla.qk_rope_head_dim
    heads = arch.per_layer(attention.kv_heads)[layer]
    if mla is not None:
        return heads * (mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim)
    return 2 * heads * arch.head_dim(layer)


def state_numbers(arch: Architecture) -> int:
    """Numbers that a layer without attention keeps, whatever the context (`n_embd_r` and `n_embd_s` of llama.cpp)."""
    mixer = arch.mixer
    if mixer is None:
        return 0
    taps = mixer.conv_kernel - 1
    if mixer.kind is MixerKind.SHORT_CONV:
        return taps * mixer.width
    if mixer.kind is MixerKind.RG_LRU:
        return taps * mixer.width + mixer.width
    channels = mixer.width + (2 * mixer.groups * mixer.state if mixer.kind is not MixerKind.MAMBA else 0)
    return taps * channels + mixer.state * mixer.width
