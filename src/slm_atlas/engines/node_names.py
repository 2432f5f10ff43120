"""Names of llama.cpp's nodes and tensors without what tells their place; imports nothing native."""

from __future__ import annotations

import re
from functools import cache

_NUMBERED = re.compile(r"-\d+(?!\w)|(?<=blk)\.\d+|(?<=cache_\w)_l\d+|(?<=\bnode)_\d+")
"""What a name has only because of its place: the layer's number, or its own where it has no other name."""


@cache
def pattern(name: str) -> str:
    """A name without what tells its place.

    >>> [pattern(name) for name in ("ffn_gate-12", "blk.3.ffn_down.weight", "cache_k_l7 (view)", "node_57")]
    ['ffn_gate', 'blk.ffn_down.weight', 'cache_k (view)', 'node']
    """
    return _NUMBERED.sub("", name)
