"""The buffers llama.cpp computes in, before it is run: a model of its graph allocator."""

from __future__ import annotations

from slm_atlas.anatomy.cache import padded
from slm_atlas.catalog.architecture import Architecture, NormKind, QkNorm

_INPUT_FLOATS = 7
"""A token's inputs beside the mask, in units of four bytes: its id, position and output row, and where its key and its
value go in the cache (eight bytes each)."""
_ABOVE_INPUTS = {"phi3": 4, "openelm": 3, "lfm2": 3, "falcon-h1": 3}
"""Architectures whose last stream lies above the inputs, unless it fits where the mask was: the logits then come on top
of them and of so many streams."""
_F32 = 4


def compute_bytes(arch: Architecture, context: int, micro_batch: int) -> int:
    """llama.cpp's compute buffer, modelled: the largest set of activations alive at once, with attention fused.

    Two moments compete. In the language-model head the logits of every token of the micro-batch stand beside two
    residual streams (three, where a LayerNorm is applied to it); in small models this wins. In a layer the inputs are
    alive (the mask has two bytes for every token of the context; see `_INPUT_FLOATS`), and beside them attention's or
    the FFN's vectors with the streams that the allocator cannot yet reuse.

    Found by experiment with `llama_init_from_model` in llama-cpp-python 0.3.36, for models of three layers or more.
    Where it is wrong, llama.cpp's allocator has left a gap: it places a vector in the smallest free piece that holds
    it, and what is free depends on the order of all before. `benchmarks/memory_arithmetic.py` compares it with the
    engine over the catalogue; `bench.simulate` asks the engine itself.

    >>> from slm_atlas.catalog import get
    >>> compute_bytes(get("smollm-135m").architecture, 512, 512) == (49152 + 2 * 576 + 1) * 512 * 4
    True
    """
    tokens, mask = min(context, micro_batch), padded(context) / 2
    layer = _INPUT_FLOATS + mask + max(_attention_floats(arch), _ffn_floats(arch))
    return round(max(_head_floats(arch, mask), layer) * tokens * _F32)


def _head_floats(arch: Architecture, mask: float) -> float:
    above = _ABOVE_INPUTS.get(arch.gguf or "")
    if above is not None and mask < arch.hidden:
        return arch.vocab + above * arch.hidden + mask + _INPUT_FLOATS
    streams = 3 if arch.norm.kind is NormKind.LAYERNORM and not arch.parallel else 2
    return arch.vocab + streams * arch.hidden + 1


def _attention_floats(arch: Architecture) -> int:
    attention = arch.attention
    size = max(map(arch.head_dim, range(arch.layers)))
    queries = max(arch.per_layer(attention.heads)) * size
    keys = max(arch.per_layer(attention.kv_heads)) * size
    if attention.fused_qkv:
        # Rotated queries and keys are new vectors beside the fused one, which still holds the values.
        return 2 * arch.hidden + 2 * queries + 3 * keys
    return 3 * arch.hidden + 2 * queries + 2 * keys


def _ffn_floats(arch: Architecture) -> int:
    wide = max(arch.per_layer(arch.ffn.intermediate))
    if arch.ffn.fused_gate:
        return 3 * arch.hidden + 3 * wide
    # Gate, up and their product are three vectors; a plain activation is computed in place.
    return 4 * arch.hidden + (3 if arch.ffn.gated else 1) * wide


def unfused_compute_bytes(arch: Architecture, context: int, micro_batch: int) -> int:
    """The compute buffer of llama.cpp as of 2024, whose attention was not fused: the survey's Figure 11.

    In a layer the scores of all heads with all tokens of the context stand beside the mask (in float32 then) and the
    residual streams; in the head, the logits beside one stream. Found from the figure, whose 22 bars it gives to 0.6 %,
    20 of them to 0.05 % (`slm survey --paper`).
    """
    tokens = min(context, micro_batch)
    streams = 6 if arch.parallel and not arch.norm.shared else 2 if arch.attention.qk_norm is QkNorm.HEAD else 4
    scores = max(arch.per_layer(arch.attention.heads)) * context
    layer = scores + streams * arch.hidden + context
    return max(arch.vocab + arch.hidden, layer) * tokens * _F32
