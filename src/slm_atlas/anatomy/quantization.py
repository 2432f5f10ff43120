"""Quantization: the types a tensor can have, and which one llama.cpp gives each tensor of a file.

A label such as Q4_K_M names a mix. llama.cpp raises some tensors to more bits, and falls back to another type where a
row does not divide into blocks (576 columns do not divide by 256: most of SmolLM-135M's "Q4_K_M" is Q5_0). The rules
here are those of `llama_tensor_get_type_impl` and `tensor_type_fallback` in llama.cpp's `src/llama-quant.cpp` (the
version inside llama-cpp-python 0.3.36), without an importance matrix; the tests compare with `llama_model_quantize`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from slm_atlas.anatomy.tensor import Tensor


class TensorType(StrEnum):
    """How the numbers of one tensor are stored (`ggml_type`)."""

    F32 = "F32"
    F16 = "F16"
    BF16 = "BF16"
    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K = "Q5_K"
    Q5_1 = "Q5_1"
    Q5_0 = "Q5_0"
    Q4_K = "Q4_K"
    Q4_1 = "Q4_1"
    Q4_0 = "Q4_0"
    Q3_K = "Q3_K"
    Q2_K = "Q2_K"

    @property
    def block(self) -> Block:
        """The block it is stored in."""
        return _BLOCKS[self]


class Block(NamedTuple):
    """A run of values that share their scales."""

    values: int
    """Values in it."""
    bytes: int
    """Bytes of it."""


_BLOCKS = {
    TensorType.F32: Block(1, 4),
    TensorType.F16: Block(1, 2),
    TensorType.BF16: Block(1, 2),
    TensorType.Q8_0: Block(32, 34),
    TensorType.Q6_K: Block(256, 210),
    TensorType.Q5_K: Block(256, 176),
    TensorType.Q5_1: Block(32, 24),
    TensorType.Q5_0: Block(32, 22),
    TensorType.Q4_K: Block(256, 144),
    TensorType.Q4_1: Block(32, 20),
    TensorType.Q4_0: Block(32, 18),
    TensorType.Q3_K: Block(256, 110),
    TensorType.Q2_K: Block(256, 84),
}


class Quantization(StrEnum):
    """A file's mix of types, by the label people use (`llama_ftype`)."""

    F32 = "F32"
    F16 = "F16"
    BF16 = "BF16"
    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K_M = "Q5_K_M"
    Q5_1 = "Q5_1"
    Q5_0 = "Q5_0"
    Q4_K_M = "Q4_K_M"
    Q4_1 = "Q4_1"
    Q4_0 = "Q4_0"
    Q3_K_M = "Q3_K_M"
    Q2_K = "Q2_K"

    @property
    def default_type(self) -> TensorType:
        """The type of a tensor that no rule raises (`llama_ftype_get_default_type`)."""
        return TensorType(self.value.removesuffix("_M"))


_FALLBACK = {
    TensorType.Q2_K: TensorType.Q4_0,
    TensorType.Q3_K: TensorType.Q4_0,
    TensorType.Q4_K: TensorType.Q5_0,
    TensorType.Q5_K: TensorType.Q5_1,
    TensorType.Q6_K: TensorType.Q8_0,
}
_VALUES = ("attn_v", "attn_qkv", "attn_kv_b")
"""Matrices that make values (`category_is_attn_v`)."""
_EMBEDDINGS = ("token_embd.weight", "per_layer_token_embd.weight")
_FLOATS = (Quantization.F32, Quantization.F16, Quantization.BF16)


def tensor_bytes(tensor: Tensor, kind: TensorType) -> int:
    """Bytes of a tensor stored as a type.

    Raises:
        ValueError: its rows do not divide into the type's blocks.
    """
    if tensor.shape[-1] % kind.block.values:
        raise ValueError(f"{tensor.name}: {tensor.shape[-1]} columns do not divide into blocks of {kind}")
    return tensor.size // kind.block.values * kind.block.bytes


def tensor_types(tensors: Iterable[Tensor], quantization: Quantization, *, gqa: int = 1) -> dict[str, TensorType]:
    """The type llama.cpp gives each tensor of a file.

    Args:
        tensors: the inventory, layer after layer: llama.cpp counts value and down projections in that order.
        quantization: the file's label.
        gqa: query heads to a key-value head (see `costs.gqa_ratio`); from 4 on, Q2_K keeps values in more bits.
    """
    listed = [(tensor, _role(tensor)) for tensor in tensors]
    tied = not any(tensor.name == "output.weight" for tensor, _ in listed)
    places = Counter[str]()
    mix = _Mix(
        label=quantization,
        layers=1 + max((tensor.layer for tensor, _ in listed if tensor.layer is not None), default=0),
        value_projections=sum(role in _VALUES for _, role in listed),
        gqa=gqa,
    )
    types = {}
    for tensor, role in listed:
        group = "values" if role in _VALUES else role
        types[tensor.name] = _type_of(tensor, role, mix, places[group], tied=tied)
        places[group] += 1
    return types


class _Mix(NamedTuple):
    """What the rules ask of a file as a whole."""

    label: Quantization
    layers: int
    value_projections: int
    """Matrices that make values (`n_attention_wv`): in a hybrid, fewer than layers."""
    gqa: int


def _role(tensor: Tensor) -> str:
    """What a matrix of a layer does, by its name; empty for a vector and outside the layers."""
    if tensor.layer is None or not tensor.name.endswith(".weight"):
        return ""
    return tensor.name.split(".")[2]


def _type_of(tensor: Tensor, role: str, mix: _Mix, place: int, *, tied: bool) -> TensorType:
    if not _quantized(tensor):
        return TensorType.F32
    if mix.label in _FLOATS:
        return mix.label.default_type
    if tensor.name == "output.weight" or (tied and tensor.name in _EMBEDDINGS):
        return _fitting(tensor, _head_type(tensor, mix.label))
    return _fitting(tensor, _mixed(role, mix, place))


def _quantized(tensor: Tensor) -> bool:
    """Whether the quantizer touches it (`tensor_allows_quantization`); the converter writes all others in F32."""
    small = ("_norm.", "position_embd", "ssm_conv1d", "shortconv.conv", "per_layer_model_proj")
    matrix = tensor.is_matrix and tensor.name.endswith(".weight")
    return matrix and not any(part in tensor.name for part in small)


def _head_type(tensor: Tensor, mix: Quantization) -> TensorType:
    """The head keeps six or eight bits: its errors reach the logits undamped."""
    kind = mix.default_type
    whole = tensor.shape[-1] % kind.block.values == 0
    return TensorType.Q6_K if whole and kind is not TensorType.Q8_0 else TensorType.Q8_0


def _mixed(role: str, mix: _Mix, place: int) -> TensorType:
    label, kind = mix.label, mix.label.default_type
    if label in (Quantization.Q4_K_M, Quantization.Q5_K_M) and role in (*_VALUES, "ffn_down"):
        of = mix.layers if role == "ffn_down" else mix.value_projections
        return TensorType.Q6_K if _more_bits(place, of) else kind
    if label is Quantization.Q3_K_M:
        return _q3_k_m(role, place, mix.layers)
    if label is Quantization.Q2_K:
        if role in _VALUES:
            return TensorType.Q4_K if mix.gqa >= 4 else TensorType.Q3_K
        return TensorType.Q3_K if role in ("ffn_down", "attn_output") else kind
    return kind


def _q3_k_m(role: str, place: int, layers: int) -> TensorType:
    if role in _VALUES:
        return TensorType.Q5_K if place < 2 else TensorType.Q4_K
    if role == "ffn_down":
        return TensorType.Q5_K if place < layers // 16 else TensorType.Q4_K
    return TensorType.Q4_K if role == "attn_output" else TensorType.Q3_K


def _more_bits(place: int, of: int) -> bool:
    """The first and last eighth, and every third between (`use_more_bits`)."""
    eighth = of // 8
    return place < eighth or place >= 7 * of // 8 or (place - eighth) % 3 == 2


def _fitting(tensor: Tensor, kind: TensorType) -> TensorType:
    columns = tensor.shape[-1]
    if columns % kind.block.values == 0:
        return kind
    fallback = _FALLBACK.get(kind, kind)
    return fallback if columns % fallback.block.values == 0 else TensorType.F16
