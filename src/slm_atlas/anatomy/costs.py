"""What an architecture costs, before it is run: parameters, bytes, KV cache, FLOPs and memory, from its inventory.

FLOPs count a multiply and an add as two (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). The memory of an engine is
an estimate: weights and KV cache are exact, the compute buffer is modelled (see `compute_bytes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensors import Part, Tensor, inventory
from slm_atlas.catalog.schema import Architecture

KV_TYPE_BYTES = {"f32": 4.0, "f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32}
"""Bytes of a number in the KV cache, by the type's name."""
CONTEXT_PADDING = 256
"""llama.cpp rounds the context up to a multiple of this (`n_ctx` in src/llama-context.cpp)."""
_F32 = 4


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What one model costs in one file and one context; nothing was run."""

    params: int
    """Parameters, tied matrices once."""
    params_by_part: dict[Part, int]
    """Parameters by part; a tied head counts under the embedding."""
    quantization: Quantization
    """The file's label."""
    weight_bytes: int
    """Bytes of all tensors in the file (its header and tokenizer come on top)."""
    bytes_by_type: dict[TensorType, int]
    """The same by type: what the label really means for this shape."""
    bits_per_weight: float
    """Effective bits of a parameter."""
    context: int
    """Tokens of the KV cache."""
    kv_bytes: int
    """The KV cache."""
    compute_bytes: int
    """Compute buffer at the micro-batch (modelled)."""
    output_bytes: int
    """Output buffer: one row of logits."""
    memory_bytes: int
    """Weights, KV cache, compute and output buffers together, without the process itself."""
    prefill_flops_per_token: float
    """FLOPs of a prompt token, the prompt being as long as the context; logits for the last one alone."""
    decode_flops_per_token: float
    """FLOPs of a generated token at half the context."""
    decode_bytes_per_token: float
    """Bytes read for a generated token at half the context: weights without the looked-up embedding, and KV cache."""


def estimate(
    arch: Architecture,
    quantization: Quantization,
    *,
    context: int = 4096,
    micro_batch: int = 512,
    kv_type: str = "f16",
) -> Estimate:
    """All costs of a model at once.

    Raises:
        UserError: the architecture's tensors are not known (see `inventory`).
    """
    tensors = inventory(arch)
    types = tensor_types(tensors, quantization, gqa=gqa_ratio(arch))
    weights = weight_bytes(tensors, types)
    total = params(tensors)
    kv = kv_bytes(arch, context, kv_type=kv_type)
    compute, output = compute_bytes(arch, min(micro_batch, context)), arch.vocab * _F32
    return Estimate(
        params=total,
        params_by_part=params_by_part(tensors),
        quantization=quantization,
        weight_bytes=sum(weights.values()),
        bytes_by_type=weights,
        bits_per_weight=8 * sum(weights.values()) / total,
        context=context,
        kv_bytes=kv,
        compute_bytes=compute,
        output_bytes=output,
        memory_bytes=sum(weights.values()) + kv + compute + output,
        prefill_flops_per_token=flops_per_token(arch, depth=context / 2, head=1 / context),
        decode_flops_per_token=flops_per_token(arch, depth=context / 2),
        decode_bytes_per_token=decode_bytes(arch, tensors, types, depth=context / 2, kv_type=kv_type),
    )


def params(tensors: Sequence[Tensor]) -> int:
    """Parameters of all tensors."""
    return sum(tensor.size for tensor in tensors)


def params_by_part(tensors: Sequence[Tensor]) -> dict[Part, int]:
    """Parameters by part, parts without any left out."""
    counted = Counter[Part]()
    for tensor in tensors:
        counted[tensor.part] += tensor.size
    return dict(counted)


def weight_bytes(tensors: Sequence[Tensor], types: Mapping[str, TensorType]) -> dict[TensorType, int]:
    """Bytes of all tensors, by type, largest first."""
    counted = Counter[TensorType]()
    for tensor in tensors:
        counted[types[tensor.name]] += tensor_bytes(tensor, types[tensor.name])
    return dict(counted.most_common())


def gqa_ratio(arch: Architecture) -> int:
    """Query heads to a key-value head, in the first layer (llama.cpp's `n_gqa`)."""
    return arch.per_layer(arch.attention.heads)[0] // arch.per_layer(arch.attention.kv_heads)[0]


def kv_bytes(arch: Architecture, context: int, *, batch: int = 1, kv_type: str = "f16") -> int:
    """Bytes of the KV cache: keys and values of all layers for every token of the context.

    >>> from slm_atlas.catalog import get
    >>> kv_bytes(get("smollm-135m").architecture, 2048) / 2**20
    45.0
    """
    heads = sum(arch.per_layer(arch.attention.kv_heads))
    return int(2 * heads * arch.attention.head_dim * context * batch * KV_TYPE_BYTES[kv_type])


def flops_per_token(arch: Architecture, *, depth: float, head: float = 1.0) -> float:
    """FLOPs of one token with `depth` tokens before it.

    Two for each weight of a matrix it is multiplied with, and in each layer 4 x heads x head_dim x depth for the
    products of attention (queries with keys, weights with values).

    Args:
        arch: the architecture.
        depth: tokens attended to.
        head: share of tokens whose logits are computed (in prefill only the last one's are).
    """
    tensors = inventory(arch)
    body = sum(tensor.size for tensor in tensors if tensor.is_matrix and tensor.layer is not None)
    queries = sum(arch.per_layer(arch.attention.heads)) * arch.attention.head_dim
    return 2.0 * body + 2.0 * arch.vocab * arch.hidden * head + 4.0 * queries * depth


def decode_bytes(
    arch: Architecture,
    tensors: Sequence[Tensor],
    types: Mapping[str, TensorType],
    *,
    depth: float,
    kv_type: str = "f16",
) -> float:
    """Bytes read for one generated token: every weight once, and the cache up to `depth`.

    An untied embedding is only looked up in: its one row is not counted.
    """
    tied = arch.embedding.tied
    read = [tensor for tensor in tensors if tied or tensor.part is not Part.EMBEDDING]
    return sum(tensor_bytes(tensor, types[tensor.name]) for tensor in read) + kv_bytes(
        arch, 1, kv_type=kv_type
    ) * float(depth)


def compute_bytes(arch: Architecture, micro_batch: int) -> int:
    """llama.cpp's compute buffer, modelled: the largest set of activations alive at once in its worst graph.

    Two graphs compete: the language-model head (logits of every token of the micro-batch beside two residual streams)
    and the widest layer (the FFN's hidden vectors, or queries, keys and values, beside two residual streams). In small
    models the head wins by far: vocabulary x micro-batch decides. Flash attention is taken to be on, as llama.cpp
    chooses on a CPU: scores of attention are then never stored.
    """
    return max(_head_activations(arch, micro_batch), _layer_activations(arch, micro_batch))


def _head_activations(arch: Architecture, tokens: int) -> int:
    return (arch.vocab + 2 * arch.hidden) * tokens * _F32


def _layer_activations(arch: Architecture, tokens: int) -> int:
    attention, wide = arch.attention, max(arch.per_layer(arch.ffn.intermediate))
    heads = max(arch.per_layer(attention.heads)) + 2 * max(arch.per_layer(attention.kv_heads))
    return (2 * arch.hidden + max(wide * (2 if arch.ffn.gated else 1), heads * attention.head_dim)) * tokens * _F32
