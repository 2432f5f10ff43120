"""The architecture of whatever a user calls a model: from the catalogue, or from the header of a GGUF."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, TensorType
from slm_atlas.catalog.architecture import (
    Architecture,
)
from slm_atlas.errors import UserError
from slm_atlas.models import hub
from slm_atlas.models.fetch import is_forged, locate
from slm_atlas.models.header import Header, header_of, read_header
from slm_atlas.models.identify import file_name, quantization_label, type_name
from slm_atlas.models.reading import architecture


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
    """The shape of a catalogue id, a path, `pypi:NAME` or `hf:OWNER/REPO/FILE`; of the last, only the header is read.

    Raises:
        UserError: no such model, or a file whose architecture or tensor types are not known here.
    """
    if is_forged(model):
        found = catalog.get(model)
        return Shape(found.name, found.architecture, None, None)
    name, header = file_header(model)
    label = quantization_label(header)
    known = Quantization(label) if label in list(Quantization) else None
    return Shape(file_name(name, header), architecture(header), known, tensor_types_of(header))


def file_header(model: str) -> tuple[Path, Header]:
    """The name and the header of a file: a path, `pypi:NAME` or `hf:OWNER/REPO/FILE`.

    Raises:
        UserError: there is no such file, or it is not a GGUF.
    """
    scheme, _, rest = model.partition(":")
    if scheme != "hf":
        path = locate(model).path
        return path, read_header(path)
    repo, file = hub.parse(rest)
    with hub.reading(repo, file) as remote:
        return Path(file), header_of(remote, model)


def tensor_types_of(header: Header) -> dict[str, TensorType]:
    """The type of each tensor of a file.

    Raises:
        UserError: a type is not known here.
    """
    found = {tensor.name: type_name(tensor.type_number) for tensor in header.tensors}
    unknown = sorted({kind for kind in found.values() if kind not in list(TensorType)})
    if unknown:
        raise UserError(f"The file has tensors of types not known here: {', '.join(unknown)}.")
    return {name: TensorType(kind) for name, kind in found.items()}
