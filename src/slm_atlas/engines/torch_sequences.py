"""Caches of several sequences in PyTorch: one whose cells sequences share, and one with cells apart for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from slm_atlas.engines.packing import Run
from slm_atlas.engines.sequences import Rows
from slm_atlas.engines.torch_blocks import Seen, attend_blocks, attention
from slm_atlas.engines.torch_network import Layer, Network, Tensor
from slm_atlas.engines.torch_own import Counted
from slm_atlas.errors import EngineRefused


class Shared(Counted):
    """One row of cells, each of which belongs to any number of sequences: see `Sequences` for what each method does.

    Args:
        network: the model.
        sequences: how many sequences there are.
    """

    def __init__(self, network: Network, sequences: int) -> None:
        super().__init__(network)
        self._sequences = sequences
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._member: npt.NDArray[np.bool_] = np.zeros((self._sequences, 0), bool)
        self._positions: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self._kept: list[tuple[Tensor, Tensor]] = []  # of each layer, keys and values of shape (1, heads, cells, size)

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let a sequence begin as another does; -1: all of it."""
        here = self._member[source] & ((self._positions < length) | (length < 0))
        self._member[target] |= here

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence from a length on."""
        self._member[sequence] &= self._positions < length

    def run(self, tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        """Read tokens of any sequences."""
        self._drop_unused()
        new = np.zeros((self._sequences, len(tokens)), bool)
        own = np.repeat([run.sequences[0] for run in runs], [run.length for run in runs])
        end = 0
        for run in runs:
            new[list(run.sequences), end : end + run.length] = True
            end += run.length
        self._member = np.concatenate([self._member, new], axis=1)
        self._positions = np.concatenate([self._positions, np.asarray(positions, np.int64)])
        seen = Seen(self._member, self._positions, own)
        kept, self._kept = self._kept, []

        def attend(layer: Layer) -> Tensor:
            keys, values = layer.key, layer.value
            if kept:
                keys, values = (
                    torch.cat([before, new], dim=2)
                    for before, new in zip(kept[layer.number], (keys, values), strict=True)
                )
            self._kept.append((keys, values))
            return attend_blocks(seen.blocks(layer.window, keys.dtype), layer, keys, values)

        return self._guarded(lambda: self._network.flat(tokens, positions, wanted, attend))

    def _drop_unused(self) -> None:
        """Cells that belong to no sequence are given up."""
        used = self._member.any(axis=0)
        if used.all():
            return
        cells = torch.from_numpy(np.flatnonzero(used))
        self._member, self._positions = self._member[:, used], self._positions[used]
        self._kept = [(keys[:, :, cells], values[:, :, cells]) for keys, values in self._kept] if len(cells) else []


class _Part(NamedTuple):
    """Tokens of one sequence in a row."""

    begin: int
    """Place in the row."""
    length: int
    sequence: int
    start: int
    """Tokens of the sequence before it."""


class Apart(Counted):
    """A row of cells for each sequence: see `Sequences`; a token belongs to one sequence.

    Args:
        network: the model.
        sequences: how many sequences there are.
        tokens: most tokens of a sequence.
    """

    def __init__(self, network: Network, sequences: int, tokens: int) -> None:
        super().__init__(network)
        self._tokens = tokens
        self._lengths = [0] * sequences
        self._kept: list[tuple[Tensor, Tensor]] = []  # of each layer, of shape (sequences, heads, tokens, size)

    def clear(self) -> None:
        """Forget everything."""
        self._lengths = [0] * len(self._lengths)

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let a sequence begin as another does; -1: all of it."""
        end = self._lengths[source] if length < 0 else min(length, self._lengths[source])
        for keys, values in self._kept:
            keys[target, :, :end] = keys[source, :, :end]
            values[target, :, :end] = values[source, :, :end]
        self._lengths[target] = end

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence from a length on."""
        self._lengths[sequence] = min(length, self._lengths[sequence])

    def run(self, tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        """Read tokens; those of a sequence go on where it ends."""
        parts = self._parts(runs)
        flat = torch.tensor([part.sequence for part in parts for _ in range(part.length)])
        cells = torch.tensor([part.start + number for part in parts for number in range(part.length)])

        def attend(layer: Layer) -> Tensor:
            keys, values = self._of_layer(layer)
            keys[flat, :, cells] = layer.key[0].transpose(0, 1)
            values[flat, :, cells] = layer.value[0].transpose(0, 1)
            return torch.cat([_attend_part(part, layer, keys, values) for part in parts], dim=1)

        return self._guarded(lambda: self._network.flat(tokens, positions, wanted, attend))

    def _parts(self, runs: Sequence[Run]) -> list[_Part]:
        parts, begin = [], 0
        for run in runs:
            (sequence,) = run.sequences
            parts.append(_Part(begin, run.length, sequence, self._lengths[sequence]))
            self._lengths[sequence] += run.length
            begin += run.length
        if max(self._lengths) > self._tokens:
            self.clear()
            raise EngineRefused(f"the cache of {self._tokens} tokens a sequence is full")
        return parts

    def _of_layer(self, layer: Layer) -> tuple[Tensor, Tensor]:
        if layer.number == len(self._kept):
            made = [
                torch.zeros((len(self._lengths), new.shape[1], self._tokens, new.shape[3]), dtype=new.dtype)
                for new in (layer.key, layer.value)
            ]
            self._kept.append((made[0], made[1]))
        return self._kept[layer.number]


def _attend_part(part: _Part, layer: Layer, keys: Tensor, values: Tensor) -> Tensor:
    end = part.start + part.length
    first = 0 if layer.window is None else max(0, part.start + 1 - layer.window)
    keys, values = (kept[part.sequence, None, :, first:end] for kept in (keys, values))
    rows = layer._replace(query=layer.query[:, :, part.begin : part.begin + part.length])
    if part.length == 1:
        return attention(rows.query, keys, values, layer)
    seen = Seen(np.ones((1, end - first), bool), np.arange(first, end), np.zeros(part.length, np.int64))
    return attend_blocks(seen.blocks(layer.window, keys.dtype), rows, keys, values)
