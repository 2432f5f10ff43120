"""The least a model file makes the engine do for a token: what a physically possible time is judged by.

What may be skipped is left out: embeddings are looked up and not multiplied, of a mixture only the chosen experts run,
and of a prompt llama.cpp computes the head and most of the last layer for its last token alone.
"""

from __future__ import annotations

import re

from slm_atlas.models.header import Header, TensorInfo
from slm_atlas.models.identify import tensor_bytes

_LOOKED_UP = ("position_embd.weight", "per_layer_token_embd.weight")
_EMBEDDING, _HEAD = "token_embd.weight", "output.weight"
_EXPERTS = re.compile(r"blk\.\d+\.ffn_\w+_exps\.")


def decode_bytes(header: Header) -> int:
    """Bytes of weights read for one generated token: all, but for what is looked up in and experts not chosen."""
    looked_up = {*_LOOKED_UP, *([_EMBEDDING] if _has_head(header) else [])}
    read = (tensor for tensor in header.tensors if tensor.name not in looked_up)
    return round(sum(tensor_bytes(tensor) * _used_share(tensor, header) for tensor in read))


def prompt_flops(header: Header) -> float:
    """FLOPs that every token of a prompt costs, the last one's surplus left out; attention over the past too."""
    last = f"blk.{_layers(header) - 1}."
    every = (
        tensor
        for tensor in header.tensors
        if len(tensor.shape) > 1
        and tensor.name not in (*_LOOKED_UP, _EMBEDDING, _HEAD)
        and not tensor.name.startswith(last)
    )
    return 2.0 * sum(tensor.size * _used_share(tensor, header) for tensor in every)


def _has_head(header: Header) -> bool:
    return any(tensor.name == _HEAD for tensor in header.tensors)


def _layers(header: Header) -> int:
    numbers = (re.match(r"blk\.(\d+)\.", tensor.name) for tensor in header.tensors)
    return max((int(match[1]) + 1 for match in numbers if match), default=0)


def _used_share(tensor: TensorInfo, header: Header) -> float:
    """The part of a tensor that one token needs: of a stack of experts, the chosen ones."""
    if not _EXPERTS.match(tensor.name):
        return 1.0
    used, count = (header.metadata.get(f"{header.architecture}.expert_{key}") for key in ("used_count", "count"))
    return used / count if isinstance(used, int) and isinstance(count, int) and 0 < used <= count else 0.0
