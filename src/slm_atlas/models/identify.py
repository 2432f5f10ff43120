"""Says what a model file is: its content hash, its header in brief, and the catalogue's model it has the shape of."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from pathlib import Path

import gguf

from slm_atlas import catalog
from slm_atlas.anatomy import inventory
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import UnusableModel
from slm_atlas.models.forge import FORGED_KEY
from slm_atlas.models.header import Header, TensorInfo, read_header
from slm_atlas.models.reading import CONSTANTS
from slm_atlas.store.records import Artifact

REQUANTIZED_FROM_KEY = "slm_atlas.requantized.from"
"""Metadata key: the labels that the weights had before, one after the other (`Q4_1`, or `Q4_1, F16`)."""
REQUANTIZED_NAME_KEY = "slm_atlas.requantized.name"
"""Metadata key: the name of the file they come from."""

_COMPARED = ("block_count", "embedding_length", "context_length")
"""Keys that tell most models apart, before their tensors are compared."""

_SHOWN = 100
"""Most characters of a name that a file gives itself."""
_FORGED = " (random weights)"


def identify(path: Path, origin: str) -> Artifact:
    """The record of a model file.

    Raises:
        UserError: the file is missing or is not a whole GGUF.
    """
    header = read_header(path)
    check_whole(path, header)
    match, forged = match_catalogue(header), bool(header.metadata.get(FORGED_KEY, False))
    return Artifact(
        sha256=sha256_of(path),
        name=file_name(path, header),
        model_id=match.id if match else None,
        origin=origin,
        forged=forged,
        architecture=header.architecture,
        quantization=quantization_label(header),
        params=header.params,
        size_bytes=path.stat().st_size,
        tensor_bytes=bytes_by_type(header),
        requantized_from=requantized_from(header),
    )


def sha256_of(path: Path) -> str:
    """The hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def requantized_from(header: Header) -> str | None:
    """The labels that a file's weights had before it was written in its own; None for one that was not made so."""
    labels = header.metadata.get(REQUANTIZED_FROM_KEY)
    return None if labels is None else str(labels)


def check_whole(path: Path, header: Header) -> None:
    """Raise `UserError` if a file ends before its last tensor does."""
    missing = missing_bytes(path, header)
    if missing:
        raise UnusableModel(f"{path} is cut short: {missing:,} bytes of its weights are missing.", "download it again")


def missing_bytes(path: Path, header: Header) -> int:
    """How much sooner a file ends than its last tensor does."""
    ends = (header.data_offset + tensor.offset + tensor_bytes(tensor) for tensor in header.tensors)
    return max(0, max(ends, default=0) - path.stat().st_size)


def bytes_by_type(header: Header) -> dict[str, int]:
    """Bytes of the tensors by type, largest first."""
    counted = Counter[str]()
    for tensor in header.tensors:
        counted[type_name(tensor.type_number)] += tensor_bytes(tensor)
    return dict(counted.most_common())


def tensor_bytes(tensor: TensorInfo) -> int:
    """Bytes of a tensor of a file; 0 for a type unknown to the `gguf` package."""
    try:
        values, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(tensor.type_number)]
    except ValueError:
        return 0
    return tensor.size // int(values) * int(size)


def type_name(number: int) -> str:
    """The name of a `ggml_type`."""
    try:
        return str(gguf.GGMLQuantizationType(number).name)
    except ValueError:
        return f"type {number}"


def quantization_label(header: Header) -> str:
    """The label of `general.file_type` as people write it: `Q4_K_M`."""
    number = header.metadata.get("general.file_type")
    try:
        name = str(gguf.LlamaFileType(number).name)
    except ValueError:
        return "unknown"
    return name.removeprefix("MOSTLY_").removeprefix("ALL_")


def match_catalogue(header: Header) -> Model | None:
    """The one model of the catalogue that has this file's shape; None where there is none, or more than one."""
    matches = [model for model in catalog.models() if _same_shape(catalog.runnable(model), header)]
    forged = header.metadata.get(FORGED_KEY)
    if forged and len(matches) > 1:
        named = str(header.metadata.get("general.name", "")).removesuffix(_FORGED)
        matches = [model for model in matches if model.name == named]
    return matches[0] if len(matches) == 1 else None


def _same_shape(arch: Architecture | None, header: Header) -> bool:
    """The same tensors, the same context, and the same base of the rotary frequencies where the file gives one."""
    if arch is None or arch.gguf != header.architecture:
        return False
    keys = {name: header.metadata.get(f"{arch.gguf}.{name}") for name in (*_COMPARED, "rope.freq_base")}
    theta = keys.pop("rope.freq_base")
    if list(keys.values()) != [arch.layers, arch.hidden, arch.context]:
        return False
    if theta is not None and not (
        isinstance(theta, int | float) and math.isclose(theta, arch.position.theta, rel_tol=1e-6)
    ):
        return False
    found = {(tensor.name, tensor.shape) for tensor in header.tensors if tensor.name not in CONSTANTS}
    return found == {(tensor.name, tensor.shape) for tensor in inventory(arch)}


def file_name(path: Path, header: Header) -> str:
    """The name to show for a file: with what it was requantized from, if it was.

    That of its shape where it is forged, else the file's own without its label.
    """
    labels = requantized_from(header)
    return own_name(path, header) + (f" (from {labels})" if labels else "")


def own_name(path: Path, header: Header) -> str:
    """The name of the model in a file, whatever was made of it."""
    if REQUANTIZED_NAME_KEY in header.metadata:
        return str(header.metadata[REQUANTIZED_NAME_KEY])
    if header.metadata.get(FORGED_KEY):
        return " ".join(str(header.metadata.get("general.name", path.stem)).split())[:_SHOWN].removesuffix(_FORGED)
    # Files are named model.QUANT.gguf or model-QUANT.gguf.
    return re.sub(r"[.-](I?Q\d\w*|B?F(16|32))$", "", path.stem, flags=re.IGNORECASE)
