"""The plan of many texts as one stream of tokens: what they share stands in it once, and no micro-batch has gaps.

Texts in lexicographic order are a walk of the tree of their prefixes. The tokens each text adds to the one before,
one after the other, are a stream, which `micro_batches` cuts into full micro-batches. Beside the micro-batch, the
cache holds only the trunk: the beginning of the text that the next token of the stream belongs to. So attention never
reads more cells than the longest text and a micro-batch have, however many texts there are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from slm_atlas.engines.values import Pair, Prompt
from slm_atlas.errors import EngineRefused

TRUNK = (0, 1)
"""Sequences of the trunk: two, as a sliding-window cache reuses cells out of the window that one sequence alone has."""
_T = TypeVar("_T", Pair, Prompt)


class Target(NamedTuple):
    """A log probability to read off the logits after a token."""

    pair: int
    """Place of the pair it counts for."""
    token: int
    """The token whose probability it is."""


class Leaf(NamedTuple):
    """A text that no other one continues."""

    tokens: Sequence[int]
    """All of it."""
    start: int
    """Tokens it shares with the text before it."""


class Plan(NamedTuple):
    """Texts as a stream."""

    leaves: list[Leaf]
    """In lexicographic order; what each adds to the one before, joined, is the stream."""
    targets: dict[int, list[Target]]
    """What is read off the logits after a token, by its place in the stream."""

    @property
    def tokens(self) -> int:
        """Length of the stream."""
        return sum(len(leaf.tokens) - leaf.start for leaf in self.leaves)


class Run(NamedTuple):
    """Tokens in a row that belong to the same sequences."""

    length: int
    sequences: tuple[int, ...]


class MicroBatch(NamedTuple):
    """A stretch of the stream: one call of the model."""

    tokens: list[int]
    positions: list[int]
    runs: list[Run]
    """Which sequences the tokens belong to."""
    copied: list[tuple[int, int]]
    """Sequences that begin as the trunk does, with the length of what they share."""
    trunk: int
    """Length to which the trunk is cut first."""
    targets: dict[int, list[Target]]
    """As in `Plan`, by the token's place in the micro-batch."""


def checked(requests: Sequence[_T]) -> Sequence[_T]:
    """The requests; raises `EngineRefused` where one has no tokens to read or to score."""
    for request in requests:
        if isinstance(request, Pair) and not (request.prefix and request.continuation):
            raise EngineRefused("scoring needs a prefix and a continuation of at least one token each")
        if isinstance(request, Prompt) and not request.tokens:
            raise EngineRefused("generation needs a prompt of at least one token")
    return requests


def plan(pairs: Sequence[Pair], held: Sequence[int] = (), *, worth: float = 0.0) -> Plan:
    """The stream of the texts of these pairs; the last token of a continuation is not read.

    Args:
        pairs: what is scored.
        held: the text that is in the cache; what the first text shares with it is not read again, unless a log
            probability is read off it.
        worth: a text that has a smaller part than this in common with the one before shares nothing with it.
    """
    texts = [[*pair.prefix, *pair.continuation[:-1]] for pair in pairs]
    order = sorted(range(len(pairs)), key=texts.__getitem__)
    starts = [_shared(texts[one], texts[other], worth) for one, other in itertools.pairwise(order)]
    first = _kept(held, [(texts[place], len(pairs[place].prefix)) for place in order], starts)
    if order and first < worth * min(len(held), len(texts[order[0]])):
        first = 0
    leaves: list[Leaf] = []
    targets: dict[int, list[Target]] = {}
    line = [-1] * first  # the place in the stream of each token of the text at hand
    length = 0
    for place, start in zip(order, [first, *starts], strict=False):
        text, pair = texts[place], pairs[place]
        if leaves and start == len(leaves[-1].tokens):
            leaves[-1] = Leaf(text, leaves[-1].start)
        else:
            leaves.append(Leaf(text, start))
        line[start:] = range(length, length + len(text) - start)
        length += len(text) - start
        for depth, token in enumerate(pair.continuation, len(pair.prefix) - 1):
            targets.setdefault(line[depth], []).append(Target(place, token))
    return Plan(leaves, targets)


def _shared(before: Sequence[int], text: Sequence[int], worth: float) -> int:
    length = common(before, text)
    return length if length >= worth * min(len(before), len(text)) else 0


def _kept(held: Sequence[int], texts: Sequence[tuple[Sequence[int], int]], starts: Sequence[int]) -> int:
    """How much of the held text stays: what the first one shares with it, without tokens whose logits are read."""
    if not texts:
        return 0
    kept = along = common(held, texts[0][0])
    for (_, prefix), start in zip(texts, [along, *starts], strict=False):
        along = min(along, start)  # what this text shares with the held one
        kept = min(kept, prefix - 1) if prefix <= along else kept
    return kept


def micro_batches(planned: Plan, size: int, sequences: int) -> Iterator[MicroBatch]:
    """Cut the stream: each micro-batch is full, unless it has as many sequences as there may be, or is the last.

    Args:
        planned: the stream.
        size: tokens of a micro-batch.
        sequences: how many sequences there may be, those of the trunk included.
    """
    pieces = list(_pieces(planned.leaves, size, sequences - len(TRUNK)))
    first = 0
    for number, batch in enumerate(pieces):
        following = pieces[number + 1][0].start if number + 1 < len(pieces) else batch[-1].end
        made = _micro_batch(batch, following)
        last = first + len(made.tokens)
        targets = {place - first: planned.targets[place] for place in range(first, last) if place in planned.targets}
        yield made._replace(targets=targets)
        first = last


class _Piece(NamedTuple):
    """A part of a leaf that is read in one micro-batch."""

    tokens: Sequence[int]
    start: int
    end: int


def _pieces(leaves: Sequence[Leaf], size: int, most: int) -> Iterator[list[_Piece]]:
    """The pieces of each micro-batch."""
    batch: list[_Piece] = []
    room = size
    for leaf in leaves:
        start = leaf.start
        while start < len(leaf.tokens):
            end = min(len(leaf.tokens), start + room)
            batch.append(_Piece(leaf.tokens, start, end))
            room -= end - start
            start = end
            if not room or len(batch) == most:
                yield batch
                batch, room = [], size
    if batch:
        yield batch


def _micro_batch(pieces: Sequence[_Piece], following: int) -> MicroBatch:
    """One micro-batch; the next one goes on at depth `following` of the last text or of the one after it."""
    starts = [*(piece.start for piece in pieces), following]
    shared = list(itertools.accumulate(starts, min))
    runs = [run for place, piece in enumerate(pieces) for run in _runs(piece, place, starts)]
    return MicroBatch(
        tokens=[token for piece in pieces for token in piece.tokens[piece.start : piece.end]],
        positions=[depth for piece in pieces for depth in range(piece.start, piece.end)],
        runs=runs,
        copied=[(len(TRUNK) + place, shared[place]) for place in range(len(pieces))],
        trunk=shared[-1],
        targets={},
    )


def _runs(piece: _Piece, place: int, starts: Sequence[int]) -> Iterator[Run]:
    """The runs of a piece: a token is its own sequence's and that of each later one which branches off behind it."""
    bounds = list(itertools.accumulate(starts[place + 1 :], min))  # of each later piece, and of the trunk
    cuts = sorted({piece.start, piece.end, *(bound for bound in bounds if piece.start < bound < piece.end)})
    for start, end in itertools.pairwise(cuts):
        n_later = sum(1 for bound in bounds if bound >= end)
        later = range(place, min(place + n_later + 1, len(starts) - 1))
        trunk = TRUNK if bounds[-1] >= end else ()
        yield Run(end - start, (*trunk, *(len(TRUNK) + number for number in later)))


def branch_depths(leaves: Sequence[Leaf], place: int) -> list[int]:
    """Where later leaves branch off this one, deepest first, above where it branches off itself."""
    depths: list[int] = []
    lowest = len(leaves[place].tokens)
    for later in leaves[place + 1 :]:
        if later.start <= leaves[place].start:
            break
        if later.start < lowest:
            lowest = later.start
            depths.append(lowest)
    return depths


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the longest common prefix.

    >>> common([1, 2, 3], [1, 2, 4, 5])
    2
    """
    length = min(len(one), len(other))
    if one[:length] == other[:length]:
        return length
    low, high = 0, length  # by bisection: slices are compared in C
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle)
    return low
