"""One tensor of a model: its name, shape and part."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from slm_atlas.catalog.architecture import Part


class Tensor(NamedTuple):
    """One tensor of a model."""

    name: str
    """Its name in a GGUF file."""
    shape: tuple[int, ...]
    """(rows, columns) of a matrix, (length,) of a vector; more for a stack of matrices."""
    part: Part
    """What it is for."""
    layer: int | None
    """The layer it stands in, if any."""
    uses: int = 1
    """How many times a token is multiplied with it; 0: it is only looked up in (an embedding)."""

    @property
    def size(self) -> int:
        """Number of parameters."""
        return prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """It is multiplied with, or looked up in, rather than added or scaled by."""
        return len(self.shape) > 1
