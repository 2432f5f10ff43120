"""The inventory: every tensor of an architecture, with its name in a GGUF file, its shape and the part it belongs to.

All else that can be known without running a model (parameters, bytes, FLOPs, KV cache, a forged file) is derived from
this list. Names are llama.cpp's (`gguf-py/gguf/constants.py`); shapes are rows x columns, a weight's columns being its
input width.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import prod
from typing import NamedTuple

from slm_atlas.catalog.schema import Architecture, NormPlacement, PositionKind, QkNorm
from slm_atlas.errors import UserError


class Part(StrEnum):
    """What a tensor is for."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    FFN = "ffn"
    NORM = "norm"
    LM_HEAD = "lm_head"


class Tensor(NamedTuple):
    """One tensor of a model."""

    name: str
    """Its name in a GGUF file."""
    shape: tuple[int, ...]
    """(rows, columns) of a matrix, (length,) of a vector."""
    part: Part
    """What it is for."""
    layer: int | None
    """The layer it stands in, if any."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        return prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """It is multiplied with, or looked up in, rather than added or scaled by."""
        return len(self.shape) > 1


def inventory(arch: Architecture) -> tuple[Tensor, ...]:
    """Every tensor of a model, in the order of a GGUF file.

    Raises:
        UserError: the architecture uses something whose tensors are not known here yet.
    """
    missing = _unsupported(arch)
    if missing:
        raise UserError(f"The tensors of an architecture with {missing} are not catalogued yet.", "slm models list")
    return tuple(_all(arch))


def _unsupported(arch: Architecture) -> str | None:
    found = {
        "multi-head latent attention": arch.attention.mla is not None,
        "layers that are not attention": arch.blocks is not None,
        "one FFN shared by all layers": arch.ffn.shared,
        "blocks run more than once": arch.repeat != 1,
        "norms after the sublayers": arch.norm.placement is not NormPlacement.PRE,
        "a projected embedding": arch.embedding.dim not in (None, arch.hidden),
        "a norm over all query heads": arch.attention.qk_norm is QkNorm.FULL,
    }
    return next((name for name, present in found.items() if present), None)


def _all(arch: Architecture) -> Iterator[Tensor]:
    yield Tensor("token_embd.weight", (arch.vocab, arch.hidden), Part.EMBEDDING, None)
    if arch.position.kind is PositionKind.LEARNED:
        rows = arch.context + arch.position.offset
        yield Tensor("position_embd.weight", (rows, arch.hidden), Part.EMBEDDING, None)
    for layer in range(arch.layers):
        yield from _norm(arch, f"blk.{layer}.attn_norm", arch.hidden, layer)
        yield from _attention(arch, layer)
        yield from _norm(arch, f"blk.{layer}.ffn_norm", arch.hidden, layer)
        yield from _ffn(arch, layer)
    if arch.norm.final:
        yield from _norm(arch, "output_norm", arch.hidden, None)
    if not arch.embedding.tied:
        yield Tensor("output.weight", (arch.vocab, arch.hidden), Part.LM_HEAD, None)


def _linear(name: str, rows: int, columns: int, bias: bool, part: Part, layer: int) -> Iterator[Tensor]:
    yield Tensor(f"blk.{layer}.{name}.weight", (rows, columns), part, layer)
    if bias:
        yield Tensor(f"blk.{layer}.{name}.bias", (rows,), part, layer)


def _norm(arch: Architecture, name: str, width: int, layer: int | None) -> Iterator[Tensor]:
    if arch.norm.weight:
        yield Tensor(f"{name}.weight", (width,), Part.NORM, layer)
    if arch.norm.bias:
        yield Tensor(f"{name}.bias", (width,), Part.NORM, layer)


def _attention(arch: Architecture, layer: int) -> Iterator[Tensor]:
    attention, part = arch.attention, Part.ATTENTION
    queries = arch.per_layer(attention.heads)[layer] * attention.head_dim
    keys = arch.per_layer(attention.kv_heads)[layer] * attention.head_dim
    if attention.fused_qkv:
        yield from _linear("attn_qkv", queries + 2 * keys, arch.hidden, attention.qkv_bias, part, layer)
    else:
        yield from _linear("attn_q", queries, arch.hidden, attention.qkv_bias, part, layer)
        yield from _linear("attn_k", keys, arch.hidden, attention.qkv_bias, part, layer)
        yield from _linear("attn_v", keys, arch.hidden, attention.qkv_bias, part, layer)
    if attention.qk_norm is QkNorm.HEAD:
        yield Tensor(f"blk.{layer}.attn_q_norm.weight", (attention.head_dim,), Part.NORM, layer)
        yield Tensor(f"blk.{layer}.attn_k_norm.weight", (attention.head_dim,), Part.NORM, layer)
    yield from _linear("attn_output", arch.hidden, queries, attention.out_bias, part, layer)


def _ffn(arch: Architecture, layer: int) -> Iterator[Tensor]:
    width, bias = arch.per_layer(arch.ffn.intermediate)[layer], arch.ffn.bias
    if arch.ffn.gated:
        yield from _linear("ffn_gate", width, arch.hidden, bias, Part.FFN, layer)
    yield from _linear("ffn_up", width, arch.hidden, bias, Part.FFN, layer)
    yield from _linear("ffn_down", arch.hidden, width, bias, Part.FFN, layer)
