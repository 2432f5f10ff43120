"""Attention in PyTorch to cells of a cache, of which each token sees some: in blocks, so that few are seen in vain."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from slm_atlas.engines.torch_network import DType, Layer, Tensor

BLOCK = 128
"""Tokens of a block: fewer see less in vain, more are fewer calls."""


class Block(NamedTuple):
    """Tokens in a row, and the cells among which are all that they see."""

    tokens: slice
    cells: slice | Tensor
    mask: Tensor | None
    """Added to their scores, of shape (1, 1, tokens, cells); None: they see all these cells."""


class Seen:
    """Which cells tokens see, in blocks: what no token of a block sees is left out of its products.

    A token sees those cells of its sequence that are not ahead of it.

    Args:
        member: which cells belong to which sequence, of shape (sequences, cells).
        positions: of the cells; the last ones are those of the tokens.
        own: the sequence of each token.
    """

    def __init__(
        self, member: npt.NDArray[np.bool_], positions: npt.NDArray[np.int64], own: npt.NDArray[np.int64]
    ) -> None:
        self._member = member
        self._positions = positions
        self._own = own
        self._before = len(positions) - len(own)
        # A text that shares nothing with the one before begins a block.
        first = member.argmax(axis=1)[own]
        begins = {*range(0, len(own), BLOCK), *(np.flatnonzero(np.diff(first)) + 1).tolist()}
        self._bounds = [*_spaced(sorted(begins), BLOCK // 4), len(own)]
        self._made: dict[int | None, list[Block]] = {}

    def blocks(self, window: int | None, dtype: DType) -> list[Block]:
        """The blocks, in order; of each window they are made once, for all layers that have it."""
        if window not in self._made:
            bounds = itertools.pairwise(self._bounds)
            self._made[window] = [self._block(begin, end, window, dtype) for begin, end in bounds]
        return self._made[window]

    def _block(self, begin: int, end: int, window: int | None, dtype: DType) -> Block:
        own, at = self._own[begin:end], self._positions[self._before + begin : self._before + end]
        last = self._before + end  # later cells are ahead of all these tokens
        used = self._member[np.unique(own), :last].any(axis=0)
        if window is not None:
            used &= self._positions[:last] > at.min() - window
        places = np.flatnonzero(used)
        lies = slice(int(places[0]), int(places[-1]) + 1)
        # Cells in between that nobody sees cost less than a copy of the others, if they are few.
        near = lies.stop - lies.start <= 1.25 * len(places)
        which = lies if near else places
        ahead = at[:, None] - self._positions[which][None, :]
        seen = self._member[own][:, which] & (ahead >= 0)
        if window is not None:
            seen &= ahead < window
        cells = lies if near else torch.from_numpy(places)
        return Block(slice(begin, end), cells, None if seen.all() else _mask(seen, dtype))


def _spaced(places: Sequence[int], least: int) -> list[int]:
    """The places without those that follow the one before too closely."""
    kept: list[int] = []
    for place in places:
        if not kept or place - kept[-1] >= least:
            kept.append(place)
    return kept


def _mask(seen: npt.NDArray[np.bool_], dtype: DType) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype).masked_fill_(torch.from_numpy(~seen), float("-inf"))[None, None]


def attend_blocks(blocks: Sequence[Block], layer: Layer, keys: Tensor, values: Tensor) -> Tensor:
    """What the tokens of all blocks get of these cells, of shape (1, tokens, heads, size)."""
    found = [
        attention(
            layer.query[:, :, block.tokens], keys[:, :, block.cells], values[:, :, block.cells], layer, block.mask
        )
        for block in blocks
    ]
    return torch.cat(found, dim=1)


def attention(query: Tensor, keys: Tensor, values: Tensor, layer: Layer, mask: Tensor | None = None) -> Tensor:
    """Torch's own, in which several heads of queries may share one of keys and values; shape as `attend_blocks`."""
    shared = query.shape[1] != keys.shape[1]
    found = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=layer.scale, enable_gqa=shared)
    return found.transpose(1, 2)
