"""The architecture of whatever a user calls a model: from the catalogue, or from the header of a GGUF."""

from __future__ import annotations

from typing import NamedTuple

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, TensorType, inventory
from slm_atlas.catalog.schema import (
    Activation,
    Architecture,
    Attention,
    Embedding,
    Ffn,
    Norm,
    NormKind,
    PerLayer,
    Position,
    PositionKind,
)
from slm_atlas.errors import UserError
from slm_atlas.models.fetch import is_forged, locate
from slm_atlas.models.forge import FORGEABLE
from slm_atlas.models.header import Header, read_header
from slm_atlas.models.identify import file_name, quantization_label, type_name


class Shape(NamedTuple):
    """A model's architecture, and how its file stores it if it is a file."""

    name: str
    """The name shown."""
    arch: Architecture
    """The architecture."""
    label: Quantization | None
    """The file's label; None for a model of the catalogue, or a label unknown here."""
    types: dict[str, TensorType] | None
    """The file's type of each tensor; None for a model of the catalogue."""


def shape_of(model: str) -> Shape:
    """The shape of a catalogue id, a path, `pypi:NAME` or `hf:OWNER/REPO/FILE`.

    Raises:
        UserError: no such model, or a file whose architecture or tensor types are not known here.
    """
    if is_forged(model):
        found = catalog.get(model)
        return Shape(found.name, found.architecture, None, None)
    path = locate(model).path
    header = read_header(path)
    label = quantization_label(header)
    known = Quantization(label) if label in list(Quantization) else None
    return Shape(file_name(path, header), architecture(header), known, _types(header))


def architecture(header: Header) -> Architecture:
    """The architecture a header describes.

    Raises:
        UserError: it is not one of those whose tensors are known here, or its tensors are not the ones expected.
    """
    if header.architecture not in FORGEABLE:
        known = ", ".join(FORGEABLE)
        raise UserError(f"Files of the architecture '{header.architecture}' are not known here (but: {known}).")
    try:
        arch = _architecture(header)
        # A layer has tensors: a header that claims more of them is not worth the inventory.
        tensors = inventory(arch) if arch.layers <= len(header.tensors) else ()
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise UserError(f"The file's header contradicts itself: {error}.", "convert it again") from None
    expected = {(tensor.name, tensor.shape) for tensor in tensors}
    # llama.cpp's converter adds rope_freqs to some files: constants, not parameters.
    found = {(tensor.name, tensor.shape) for tensor in header.tensors if tensor.name != "rope_freqs.weight"}
    if expected != found:
        odd = sorted(name for name, _ in expected ^ found)
        raise UserError(f"The file has other tensors than its architecture says: {', '.join(odd[:3])}.")
    return arch


def _architecture(header: Header) -> Architecture:
    names = {tensor.name for tensor in header.tensors}
    (vocab, hidden), *_ = [tensor.shape for tensor in header.tensors if tensor.name == "token_embd.weight"] or [(0, 0)]
    heads = _per_layer(header, "attention.head_count")
    head_dim = _whole(header, "attention.key_length", hidden // (heads if isinstance(heads, int) else heads[0]))
    rms = header.metadata.get(f"{header.architecture}.attention.layer_norm_rms_epsilon")
    return Architecture(
        gguf=header.architecture,
        layers=_whole(header, "block_count"),
        hidden=hidden,
        vocab=vocab,
        context=_whole(header, "context_length"),
        attention=Attention(
            heads=heads,
            kv_heads=_per_layer(header, "attention.head_count_kv", heads),
            head_dim=head_dim,
            qkv_bias="blk.0.attn_q.bias" in names or "blk.0.attn_qkv.bias" in names,
            out_bias="blk.0.attn_output.bias" in names,
            fused_qkv="blk.0.attn_qkv.weight" in names,
        ),
        ffn=Ffn(
            intermediate=_per_layer(header, "feed_forward_length"),
            gated="blk.0.ffn_gate.weight" in names,
            activation=Activation.SILU if "blk.0.ffn_gate.weight" in names else Activation.GELU,
            bias="blk.0.ffn_up.bias" in names,
        ),
        norm=Norm(
            kind=NormKind.LAYERNORM if rms is None else NormKind.RMSNORM,
            eps=_number(header, "attention.layer_norm_epsilon", 1e-5) if rms is None else float(str(rms)),
            bias="output_norm.bias" in names,
        ),
        position=Position(
            kind=PositionKind.ROPE,
            theta=_number(header, "rope.freq_base", 10_000.0),
            rotary_fraction=_whole(header, "rope.dimension_count", head_dim) / head_dim,
        ),
        embedding=Embedding(tied="output.weight" not in names),
        parallel=bool(header.metadata.get(f"{header.architecture}.use_parallel_residual", False)),
    )


def _types(header: Header) -> dict[str, TensorType]:
    found = {tensor.name: type_name(tensor.type_number) for tensor in header.tensors}
    unknown = sorted({kind for kind in found.values() if kind not in list(TensorType)})
    if unknown:
        raise UserError(f"The file has tensors of types not known here: {', '.join(unknown)}.")
    return {name: TensorType(kind) for name, kind in found.items()}


def _whole(header: Header, key: str, default: int | None = None) -> int:
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    if not isinstance(value, int):
        raise UserError(f"The file does not say its {key} as a number.", "convert it again")
    return value


def _number(header: Header, key: str, default: float) -> float:
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    return float(value) if isinstance(value, int | float) else default


def _per_layer(header: Header, key: str, default: PerLayer | None = None) -> PerLayer:
    value = header.metadata.get(f"{header.architecture}.{key}", default)
    if isinstance(value, list | tuple):
        return tuple(int(str(one)) for one in value)
    if not isinstance(value, int):
        raise UserError(f"The file does not say its {key} as a number.", "convert it again")
    return value
