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
    cells: slice
    mask: Tensor | None
    """Added to their scores, of shape (1, 1, tokens, cells); None: they see all these cells."""


class Seen:
    """Which cells tokens see, in blocks: what no token of a block sees is left out of its products.

    Args:
        seen: of shape (tokens, cells).
        ahead: how many positions each token is ahead of each cell.
    """

    def __init__(self, seen: npt.NDArray[np.bool_], ahead: npt.NDArray[np.int64]) -> None:
        self._seen = seen
        self._ahead = ahead
        self._made: dict[int | None, list[Block]] = {}

    def blocks(self, window: int | None, dtype: DType) -> list[Block]:
        """The blocks, in order; of each window they are made once, for all layers that have it."""
        if window not in self._made:
            seen = self._seen if window is None else self._seen & (self._ahead < window)
            # A text that shares nothing with the one before begins a block.
            first = seen.argmax(axis=1)
            begins = {*range(0, len(seen), BLOCK), *(np.flatnonzero(np.diff(first)) + 1).tolist()}
            bounds = [*_spaced(sorted(begins), BLOCK // 4), len(seen)]
            self._made[window] = [_block(seen, begin, end, dtype) for begin, end in itertools.pairwise(bounds)]
        return self._made[window]


def _spaced(places: Sequence[int], least: int) -> list[int]:
    """The places without those that follow the one before too closely."""
    kept: list[int] = []
    for place in places:
        if not kept or place - kept[-1] >= least:
            kept.append(place)
    return kept


def _block(seen: npt.NDArray[np.bool_], begin: int, end: int, dtype: DType) -> Block:
    rows = seen[begin:end]
    used = np.flatnonzero(rows.any(axis=0))
    cells = slice(int(used[0]), int(used[-1]) + 1)
    hidden = ~rows[:, cells]
    if not hidden.any():
        return Block(slice(begin, end), cells, None)
    mask = torch.zeros(hidden.shape, dtype=dtype).masked_fill_(torch.from_numpy(hidden), float("-inf"))
    return Block(slice(begin, end), cells, mask[None, None])


def attend_blocks(blocks: Sequence[Block], layer: Layer, keys: Tensor, values: Tensor) -> Tensor:
    """What the tokens of all blocks get of these cells, of shape (1, heads, tokens, size)."""
    found = [
        attention(
            layer.query[:, :, block.tokens], keys[:, :, block.cells], values[:, :, block.cells], layer, block.mask
        )
        for block in blocks
    ]
    return torch.cat(found, dim=2)


def attention(query: Tensor, keys: Tensor, values: Tensor, layer: Layer, mask: Tensor | None = None) -> Tensor:
    """Torch's own, in which several heads of queries may share one of keys and values."""
    shared = query.shape[1] != keys.shape[1]
    return F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=layer.scale, enable_gqa=shared)
