"""Small shapes of the families the forge knows, and files of zeros in those shapes, for many tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from slm_atlas.anatomy.costs import gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, tensor_bytes, tensor_types
from slm_atlas.catalog.architecture import (
    Activation,
    Architecture,
    Attention,
    Embedding,
    Ffn,
    Norm,
    NormKind,
    Position,
    PositionKind,
)
from slm_atlas.models import forge

ALIGNMENT = 32
"""Where tensors begin in a file, in bytes (`general.alignment`)."""


def llama(
    *,
    layers: int = 2,
    hidden: int = 256,
    heads: int = 4,
    kv_heads: int = 2,
    head_dim: int = 64,
    ffn: int = 512,
    vocab: int = 512,
    context: int = 512,
    tied: bool = True,
) -> Architecture:
    """RMSNorm, rotary positions, a gated FFN, no bias."""
    return Architecture(
        gguf="llama",
        layers=layers,
        hidden=hidden,
        vocab=vocab,
        context=context,
        attention=Attention(heads=heads, kv_heads=kv_heads, head_dim=head_dim),
        ffn=Ffn(intermediate=ffn, gated=True, activation=Activation.SILU),
        norm=Norm(kind=NormKind.RMSNORM, eps=1e-5),
        position=Position(kind=PositionKind.ROPE),
        embedding=Embedding(tied=tied),
    )


def qwen2(**sizes: Any) -> Architecture:
    """Llama's, with biases on queries, keys and values."""
    base = llama(**sizes)
    return changed(base, gguf="qwen2", attention={"qkv_bias": True}, position={"theta": 1e6})


def gptneox(**sizes: Any) -> Architecture:
    """Pythia's: LayerNorm, biases, fused queries, keys and values, a plain FFN beside attention."""
    base = llama(**{"kv_heads": sizes.get("heads", 4), "tied": False} | sizes)
    return changed(
        base,
        gguf="gptneox",
        parallel=True,
        attention={"qkv_bias": True, "out_bias": True, "fused_qkv": True},
        ffn={"gated": False, "activation": Activation.GELU, "bias": True},
        norm={"kind": NormKind.LAYERNORM, "bias": True},
        position={"rotary_fraction": 0.25},
    )


FAMILIES = {"llama": llama, "qwen2": qwen2, "gptneox": gptneox}


def changed(arch: Architecture, **changes: Any) -> Architecture:
    """The architecture with some fields changed; a dict changes fields of a part."""
    given = {
        name: msgspec.structs.replace(getattr(arch, name), **change) if isinstance(change, dict) else change
        for name, change in changes.items()
    }
    return msgspec.structs.replace(arch, **given)


def write_zeros(arch: Architecture, path: Path, label: Quantization = Quantization.F16) -> Path:
    """A file as the forge writes it, of zeros, which take no room on the disk: its header, and a hole."""
    tensors = forge.stored(arch)
    types = tensor_types(tensors, label, gqa=gqa_ratio(arch))
    path.touch()
    forge._write_header(path, forge.Order("Zeros", arch, label), tensors, types)
    sizes = [-(-tensor_bytes(tensor, types[tensor.name]) // ALIGNMENT) * ALIGNMENT for tensor in tensors]
    os.truncate(path, -(-path.stat().st_size // ALIGNMENT) * ALIGNMENT + sum(sizes))
    return path
