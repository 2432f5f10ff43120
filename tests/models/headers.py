"""Headers of models without their weights: of any size, in a millisecond."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from anatomy.shapes import write_zeros
from slm_atlas import catalog
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.models.forge import FORGED_KEY
from slm_atlas.models.header import Header, read_header


@cache
def header_of(arch: Architecture, label: Quantization = Quantization.Q4_K_M) -> Header:
    """The header that the forge writes for an architecture."""
    with tempfile.TemporaryDirectory() as folder:
        return read_header(write_zeros(arch, Path(folder) / "x.gguf", label))


def forged(header: Header, name: str) -> Header:
    """The header of a forged model of this name."""
    return header._replace(metadata=header.metadata | {"general.name": f"{name} (random weights)", FORGED_KEY: True})


def converted(header: Header) -> Header:
    """The header as a converter writes it, which does not say which model it is."""
    kept = {key: value for key, value in header.metadata.items() if key not in (FORGED_KEY, "general.name")}
    return header._replace(metadata=kept)


def runnable() -> dict[str, Architecture]:
    """What is forged for each model of the catalogue, by id."""
    found = {model.id: catalog.runnable(model) for model in catalog.models()}
    return {model_id: arch for model_id, arch in found.items() if arch is not None}
