"""Sequences in caches of transformers' own, read one after another: what any model can do, and the reference."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np

from slm_atlas.engines.packing import Run
from slm_atlas.engines.sequences import Rows
from slm_atlas.engines.torch_network import Cache, Network
from slm_atlas.errors import EngineRefused


class Counted:
    """What all sequences in PyTorch have in common: the count of the work, and an empty cache after a failure."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @property
    def computed(self) -> int:
        """Tokens read with this model."""
        return self._network.computed

    @property
    def compute_s(self) -> float:
        """Seconds that took."""
        return self._network.compute_s

    def clear(self) -> None:
        """Forget everything."""
        raise NotImplementedError

    def _guarded(self, read: Callable[[], Rows]) -> Rows:
        try:
            return read()
        except EngineRefused:
            self.clear()
            raise
        except Exception as error:  # torch's and transformers' own, of every kind
            self.clear()
            first = (str(error).strip().splitlines() or [""])[0][:300]
            raise EngineRefused(f"PyTorch gave up: {type(error).__name__}: {first}") from error


class Own(Counted):
    """Caches of transformers', one a sequence, read with the model's own attention, one sequence after another.

    Of states of recurrent layers nothing is known but that they can be copied whole.
    """

    def __init__(self, network: Network) -> None:
        super().__init__(network)
        self._caches: dict[int, Cache] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._caches = {}

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let a sequence begin as another does; all of it."""
        if length >= 0:
            raise EngineRefused("a part of a recurrent state cannot be copied")
        self._caches[target] = copy.deepcopy(self._caches[source])

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence; all of it."""
        if length:
            raise EngineRefused("a recurrent state cannot go back")
        self._caches.pop(sequence, None)

    def run(self, tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        """Read tokens; those of a sequence go on where it ends."""
        return self._guarded(lambda: self._run(tokens, runs, wanted))

    def _run(self, tokens: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        found, begin = [], 0
        for run in runs:
            end = begin + run.length
            places = [place - begin for place in wanted if begin <= place < end]
            (sequence,) = run.sequences
            rows, self._caches[sequence] = self._network.plain(tokens[begin:end], places, self._caches.get(sequence))
            found.append(rows)
            begin = end
        return np.concatenate(found)
