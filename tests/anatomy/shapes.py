"""Small shapes of the families the forge knows, and files of zeros in those shapes, for many tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np

from slm_atlas.anatomy.tensors import inventory
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


def write_zeros(arch: Architecture, path: Path) -> Path:
    """A file of zeros as a converter writes it: matrices in 16 bits, vectors and learned positions in 32."""
    writer = gguf.GGUFWriter(path, str(arch.gguf))
    writer.add_block_count(arch.layers)
    writer.add_context_length(arch.context)
    writer.add_embedding_length(arch.hidden)
    writer.add_feed_forward_length(arch.per_layer(arch.ffn.intermediate)[0])
    writer.add_head_count(arch.per_layer(arch.attention.heads)[0])
    writer.add_head_count_kv(arch.per_layer(arch.attention.kv_heads)[0])
    writer.add_vocab_size(arch.vocab)
    writer.add_layer_norm_eps(1e-5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_key_length(arch.attention.head_dim)
    writer.add_value_length(arch.attention.head_dim)
    writer.add_rope_dimension_count(int(arch.attention.head_dim * arch.position.rotary_fraction))
    writer.add_parallel_residual(True)
    writer.add_tokenizer_model("none")
    for tensor in inventory(arch):
        plain = not tensor.is_matrix or tensor.name == "position_embd.weight"
        writer.add_tensor(tensor.name, np.zeros(tensor.shape, dtype=np.float32 if plain else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
