"""The forge: writes a GGUF of random weights in any catalogued shape, so that costs can be measured with no download.

The latency and memory of a dense model do not depend on the values of its weights (benchmarks/forged_against_real.py
shows it). The file has no tokenizer (`tokenizer.ggml.model` is `none`): token ids go in, logits come out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import gguf
import numpy as np

from slm_atlas.anatomy.costs import gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture, Part
from slm_atlas.errors import UnusableModel, UserError
from slm_atlas.models.blocks import random_blocks
from slm_atlas.models.metadata import RUNNABLE, add_architecture
from slm_atlas.models.unfinished import finish, unfinished

FORGED_KEY = "slm_atlas.forged"
"""Metadata key that marks a file of random weights."""
_CHUNK_BYTES = 16 * 2**20
_ALIGNED = gguf.GGUF_DEFAULT_ALIGNMENT
_FILE_TYPES = {"Q4_K_M": "MOSTLY_Q4_K_M", "Q5_K_M": "MOSTLY_Q5_K_M", "Q3_K_M": "MOSTLY_Q3_K_M", "F32": "ALL_F32"}

Progress = Callable[[int, int], None]
"""Called with bytes written and bytes in all."""


class Order(NamedTuple):
    """What to forge."""

    name: str
    """The name written into the file."""
    arch: Architecture
    """The shape."""
    quantization: Quantization
    """The label of the mix."""
    types: Mapping[str, TensorType] | None = None
    """Types tensor by tensor, in place of llama.cpp's mix for the label."""
    seed: int = 0
    """Seed of the random weights."""


def forge(order: Order, path: Path, *, on_progress: Progress | None = None) -> Path:
    """Write the file; a killed forge leaves a hidden `.part` file, never one that looks whole.

    What killed forges left in the folder is removed by the next one.

    Raises:
        UserError: the architecture cannot be forged, or the disk is full or read-only.
    """
    tensors, types = _plan(order)
    try:
        with unfinished(path) as part:
            _write(part, order, tensors, types, on_progress)
            finish(part, path)
    except OSError as error:
        raise _unwritten(path, error) from error
    return path


def outline(order: Order, path: Path) -> Path:
    """Write the header and, in place of the weights, a hole as large: enough for an engine that simulates.

    Raises:
        UserError: the architecture cannot be forged, or the disk is full or read-only.
    """
    tensors, types = _plan(order)
    try:
        path.touch()
        _write_header(path, order, tensors, types)
        size = sum(-(-tensor_bytes(tensor, types[tensor.name]) // _ALIGNED) * _ALIGNED for tensor in tensors)
        os.truncate(path, path.stat().st_size + _ALIGNED + size)
    except OSError as error:
        raise _unwritten(path, error) from error
    return path


def _unwritten(path: Path, error: OSError) -> UnusableModel:
    return UnusableModel(f"Cannot write {path}: {error.strerror}.", "free some disk, or set SLM_ATLAS_HOME")


def _plan(order: Order) -> tuple[tuple[Tensor, ...], Mapping[str, TensorType]]:
    """The tensors of the file and their types."""
    if order.arch.gguf not in RUNNABLE:
        what = f"the architecture '{order.arch.gguf}'" if order.arch.gguf else "it"
        raise UserError(f"{order.name} cannot be forged: llama.cpp does not run {what}.", "slm models list --runnable")
    tensors = stored(order.arch)
    return tensors, order.types or tensor_types(tensors, order.quantization, gqa=gqa_ratio(order.arch))


def _write(
    part: Path,
    order: Order,
    tensors: tuple[Tensor, ...],
    types: Mapping[str, TensorType],
    on_progress: Progress | None,
) -> None:
    _write_header(part, order, tensors, types)
    total = sum(tensor_bytes(tensor, types[tensor.name]) for tensor in tensors)
    rng = np.random.default_rng(order.seed)
    done = 0
    with part.open("ab") as file:
        for tensor in tensors:
            _pad(file)
            done += _write_tensor(file, tensor, types[tensor.name], rng)
            if on_progress is not None:
                on_progress(done, total)
        _pad(file)


def _pad(file: IO[bytes]) -> None:
    file.write(bytes(-file.tell() % _ALIGNED))


def stored(arch: Architecture) -> tuple[Tensor, ...]:
    """The tensors of the file: the inventory, and constants that llama.cpp wants beside it."""
    tensors = inventory(arch)
    if arch.gguf != "gemma4":
        return tensors
    # Frequency factors of the layers that see everything (`gemma4.cpp`).
    window = arch.attention.window
    head_dim = (window.full_head_dim if window else None) or arch.attention.head_dim
    return (*tensors, Tensor("rope_freqs.weight", (head_dim // 2,), Part.EMBEDDING, None, uses=0))


def _write_tensor(file: IO[bytes], tensor: Tensor, kind: TensorType, rng: np.random.Generator) -> int:
    value = _constant(tensor)
    if value is not None:
        return file.write(np.full(tensor.size, value, dtype="<f4").data)
    blocks, per_chunk = tensor.size // kind.block.values, _CHUNK_BYTES // kind.block.bytes
    for first in range(0, blocks, per_chunk):
        file.write(random_blocks(kind, min(per_chunk, blocks - first), rng).data)
    return blocks * kind.block.bytes


def _constant(tensor: Tensor) -> float | None:
    """What a tensor that is not random is filled with: scales and factors one, biases zero, decay rates minus one."""
    if tensor.name.endswith(("_norm.weight", "_norm", "rope_freqs.weight")):
        return 1.0
    if tensor.name.endswith(".ssm_a"):
        return -1.0
    return None if tensor.is_matrix else 0.0


def _write_header(part: Path, order: Order, tensors: tuple[Tensor, ...], types: Mapping[str, TensorType]) -> None:
    assert order.arch.gguf is not None  # checked against RUNNABLE
    writer = gguf.GGUFWriter(part, order.arch.gguf)
    _add_metadata(writer, order)
    for tensor in tensors:
        kind = types[tensor.name]
        size = tensor_bytes(tensor, kind)
        raw = gguf.GGMLQuantizationType[kind.value]
        # An element type that is not uint8: the shape is then taken as it is, in values rather than bytes.
        writer.add_tensor_info(tensor.name, tensor.shape, np.dtype(np.float32), size, raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


def _add_metadata(writer: gguf.GGUFWriter, order: Order) -> None:
    writer.add_name(f"{order.name} (random weights)")
    writer.add_bool(FORGED_KEY, True)
    writer.add_uint64("slm_atlas.seed", order.seed)
    writer.add_file_type(file_type(order.quantization))
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    add_architecture(writer, order.arch)
    writer.add_tokenizer_model("none")


def file_type(quantization: Quantization) -> int:
    """The number of a label in `general.file_type` (`llama_ftype`)."""
    return int(gguf.LlamaFileType[_FILE_TYPES.get(quantization.value, f"MOSTLY_{quantization.value}")])
