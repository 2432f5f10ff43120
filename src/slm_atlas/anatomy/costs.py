"""What an architecture costs, before it is run: parameters, bytes, KV cache, FLOPs and memory, from its inventory.

FLOPs count a multiply and an add as two (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). The memory of an engine is
an estimate: weights and cache are exact, the compute buffer is modelled (see `anatomy/buffers.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from slm_atlas.anatomy.buffers import compute_bytes
from slm_atlas.anatomy.cache import cache_bytes, engine_cache_bytes
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture, MixerKind, Part

HEADLESS_MIXERS = frozenset({"lfm2", "granitehybrid"})
"""Architectures whose GGUF says zero key-value heads for a layer without attention."""
_STATE_FLOPS = {MixerKind.RG_LRU: 6.0, MixerKind.MAMBA: 6.0, MixerKind.MAMBA2: 6.0, MixerKind.DELTA_NET: 8.0}
"""FLOPs of a step for each number of the state: decay, input, sum and read-out (arXiv 2405.21060, section 2;
arXiv 2412.06464, equation 10). A short convolution is counted with its weights."""
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
    """Tokens asked for."""
    kv_bytes: int
    """Keys and values, or what stands for them, as llama.cpp allocates it (see `engine_cache_bytes`)."""
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
    types: Mapping[str, TensorType] | None = None,
) -> Estimate:
    """All costs of a model at once.

    Args:
        arch: the architecture.
        quantization: the file's label.
        context: tokens the KV cache holds.
        micro_batch: most tokens computed at once.
        kv_type: type of the KV cache, a key of `KV_TYPE_BYTES`.
        types: types tensor by tensor, in place of llama.cpp's mix for the label.
    """
    file = _file(arch, quantization) if types is None else _with_types(arch, types)
    weights, total = file.bytes_by_type, sum(file.params_by_part.values())
    kv = engine_cache_bytes(arch, context, micro_batch=micro_batch, kv_type=kv_type)
    compute, output = compute_bytes(arch, context, micro_batch), arch.vocab * _F32
    return Estimate(
        params=total,
        params_by_part=dict(file.params_by_part),
        quantization=quantization,
        weight_bytes=sum(weights.values()),
        bytes_by_type=dict(weights),
        bits_per_weight=8 * sum(weights.values()) / total,
        context=context,
        kv_bytes=kv,
        compute_bytes=compute,
        output_bytes=output,
        memory_bytes=sum(weights.values()) + kv + compute + output,
        prefill_flops_per_token=flops_per_token(arch, depth=context / 2, head=1 / context),
        decode_flops_per_token=flops_per_token(arch, depth=context / 2),
        decode_bytes_per_token=file.read_bytes + cache_bytes(arch, round(context / 2), kv_type=kv_type),
    )


class _File(NamedTuple):
    """What a file holds, whatever the context."""

    bytes_by_type: Mapping[TensorType, int]
    params_by_part: Mapping[Part, int]
    read_bytes: int
    """See `_read_bytes`."""


@lru_cache(maxsize=512)
def _file(arch: Architecture, quantization: Quantization) -> _File:
    """With llama.cpp's mix for a label; kept, since most are asked for at several contexts."""
    return _with_types(arch, tensor_types(inventory(arch), quantization, gqa=gqa_ratio(arch)))


def _with_types(arch: Architecture, types: Mapping[str, TensorType]) -> _File:
    tensors = inventory(arch)
    return _File(weight_bytes(tensors, types), params_by_part(tensors), _read_bytes(arch, tensors, types))


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
    """Query heads to a key-value head in the first layer, as llama.cpp reckons it (`llama_hparams::n_gqa`).

    Zero where that layer's number of key-value heads is written as zero; absorbed latent attention has one such head.
    """
    heads = arch.per_layer(arch.attention.heads)[0]
    if arch.gguf in HEADLESS_MIXERS and not arch.has_attention(0):
        return 0
    mla = arch.attention.mla
    return heads if mla is not None and mla.absorbed else heads // arch.per_layer(arch.attention.kv_heads)[0]


def flops_per_token(arch: Architecture, *, depth: float, head: float = 1.0) -> float:
    """FLOPs of one token with `depth` tokens before it.

    Two for each weight of a matrix it is multiplied with, as often as it is; the products of attention (queries with
    keys, weights with values) for each token attended to, and the updates of recurrent states.

    Args:
        arch: the architecture.
        depth: tokens attended to; a layer with a sliding window sees no more than that.
        head: share of tokens whose logits are computed (in prefill only the last one's are).
    """
    width = arch.embedding.dim or arch.hidden
    mixing = sum(_mixing_flops(arch, layer, depth) for layer in range(arch.layers))
    return 2.0 * _body(arch) + 2.0 * arch.vocab * width * head + mixing * arch.repeat


@lru_cache(maxsize=512)
def _body(arch: Architecture) -> int:
    """Weights that a token is multiplied with, as often as it is, but for the head."""
    return sum(tensor.size * tensor.uses for tensor in inventory(arch) if tensor.is_matrix and _in_body(tensor))


def _in_body(tensor: Tensor) -> bool:
    """Every token passes through it, whether or not its logits are wanted."""
    return tensor.name not in ("output.weight", "project_out.weight")


def _mixing_flops(arch: Architecture, layer: int, depth: float) -> float:
    """What a layer computes beside its matrices: attention to other tokens, or the update of its state."""
    flops, window = 0.0, arch.attention.window
    if arch.has_attention(layer):
        seen = min(depth, window.size) if window is not None and window.covers(layer) else depth
        flops += 2.0 * arch.per_layer(arch.attention.heads)[layer] * _attended_width(arch, layer) * seen
    if arch.mixer is not None and arch.has_mixer(layer):
        flops += _STATE_FLOPS.get(arch.mixer.kind, 0.0) * arch.mixer.width * max(arch.mixer.state, 1)
    return flops


def _attended_width(arch: Architecture, layer: int) -> int:
    """Numbers of a head's key and value together."""
    mla = arch.attention.mla
    if mla is None:
        return 2 * arch.head_dim(layer)
    if mla.absorbed:
        return 2 * mla.kv_lora_rank + mla.qk_rope_head_dim
    return mla.qk_nope_head_dim + mla.qk_rope_head_dim + mla.v_head_dim


def decode_bytes(
    arch: Architecture,
    tensors: Sequence[Tensor],
    types: Mapping[str, TensorType],
    *,
    depth: float,
    kv_type: str = "f16",
) -> float:
    """Bytes read for one generated token: every weight once, and the cache up to `depth`.

    An embedding that is not the head as well, and learned positions, are only looked up in: a row is not counted.
    """
    return _read_bytes(arch, tensors, types) + cache_bytes(arch, round(depth), kv_type=kv_type)


def _read_bytes(arch: Architecture, tensors: Sequence[Tensor], types: Mapping[str, TensorType]) -> int:
    """Bytes of the weights that each generated token reads."""
    read = [tensor for tensor in tensors if tensor.uses or (arch.embedding.tied and tensor.name == "token_embd.weight")]
    return sum(tensor_bytes(tensor, types[tensor.name]) for tensor in read)
