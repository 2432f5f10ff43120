"""What scoring and generating need of an engine: a cache of several sequences, and a way to read tokens into it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from slm_atlas.engines.packing import Run

Rows = npt.NDArray[np.float32]
"""Logits, shape (tokens they were asked of, n_vocab); the next call may overwrite them."""


class Sequences(Protocol):
    """A cache whose tokens belong to one or several sequences."""

    @property
    def computed(self) -> int:
        """Tokens read until now."""
        ...

    @property
    def compute_s(self) -> float:
        """Seconds that took."""
        ...

    def run(self, tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        """Read tokens; the logits after those at the places `wanted`, which ascend.

        A token sees the earlier positions of the first sequence that it belongs to.

        Raises:
            EngineRefused: the cache is full, or the engine failed; the cache is empty then.
        """
        ...

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let a sequence begin as another does; -1: all of it."""
        ...

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence from a length on."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...
