"""Scores many continuations: what their texts share is read once, in full micro-batches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from slm_atlas.engines.packing import TRUNK, Leaf, Plan, Run, Target, branch_depths, checked, micro_batches, plan
from slm_atlas.engines.sequences import Sequences
from slm_atlas.engines.softmax import LogSoftmax
from slm_atlas.engines.values import Pair, Score, Scores, Work
from slm_atlas.errors import EngineRefused


class Scorer:
    """Scores pairs in a context.

    Args:
        batches: a context with a unified cache of `context` + `size` cells.
        softmax: threads for the log-softmax.
        context: most tokens of a text.
        size: tokens of a micro-batch.
        sequences: sequences the context was made for.
        divisible: a sequence can be cut at any length; not so where a layer keeps a state instead of a cache.
        worth: see `plan`.
    """

    def __init__(
        self,
        batches: Sequences,
        softmax: LogSoftmax,
        *,
        context: int,
        size: int,
        sequences: int,
        divisible: bool,
        worth: float = 0.0,
    ) -> None:
        self._batches = batches
        self._softmax = softmax
        self._context = context
        self._size = size
        self._sequences = sequences
        self._divisible = divisible
        self._worth = worth
        self._held: list[int] = []

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """See `Engine.score`."""
        start = time.perf_counter()
        # The last token is predicted, not read.
        longest = max((len(pair.prefix) + len(pair.continuation) - 1 for pair in checked(pairs)), default=0)
        if longest > self._context:
            raise EngineRefused(f"prefix and continuation exceed the context of {self._context} tokens")
        batches = self._batches
        computed, compute_s = batches.computed, batches.compute_s
        logprobs, greedy = [0.0] * len(pairs), [True] * len(pairs)
        self._sums = logprobs, greedy
        if self._divisible:
            self._stream(plan(pairs, self._held, worth=self._worth))
        else:
            self._walk(plan(pairs))
        compute_s = batches.compute_s - compute_s
        work = Work(
            asked=sum(len(pair.prefix) + len(pair.continuation) - 1 for pair in pairs),
            computed=batches.computed - computed,
            compute_s=compute_s,
            other_s=time.perf_counter() - start - compute_s,
        )
        scores = [Score(logprob=sum_, greedy=best) for sum_, best in zip(logprobs, greedy, strict=True)]
        return Scores(scores=scores, work=work)

    def _stream(self, planned: Plan) -> None:
        """Read the stream in full micro-batches, of many texts each."""
        held = self._held
        self._held = []  # should reading fail, nothing is held
        if not held:
            self._batches.clear()
        for made in micro_batches(planned, self._size, self._sequences):
            for sequence, length in made.copied:
                if length:
                    self._batches.copy(TRUNK[0], sequence, length)
            for sequence in TRUNK:
                self._batches.cut(sequence, made.trunk)
            self._read(made.tokens, made.positions, made.runs, made.targets)
            for sequence, _ in made.copied:
                self._batches.cut(sequence)
        self._held = list(planned.leaves[-1].tokens) if planned.leaves else held

    def _walk(self, planned: Plan) -> None:
        """Read one text after another; where later ones branch off, a copy of the sequence is kept for them.

        A recurrent state cannot go back, nor be shared by several sequences in the middle of a micro-batch.
        """
        self._batches.clear()
        kept: list[int] = []  # lengths of the copies, which are sequences 1, 2, ...
        place = 0  # of the leaf's first new token in the stream
        for number, leaf in enumerate(planned.leaves):
            while kept and kept[-1] > leaf.start:
                self._batches.cut(len(kept))
                kept.pop()
            self._batches.cut(0)
            begin = kept[-1] if kept else 0
            if begin:
                self._batches.copy(len(kept), 0)
            depths = sorted(set(branch_depths(planned.leaves, number)) - {begin})
            depths = depths[: self._sequences - 1 - len(kept)]
            for depth in [*depths, len(leaf.tokens)]:
                self._read_on(leaf, begin, depth, place, planned.targets)
                begin = depth
                if depth < len(leaf.tokens):
                    kept.append(depth)
                    self._batches.copy(0, len(kept))
            place += len(leaf.tokens) - leaf.start

    def _read_on(self, leaf: Leaf, begin: int, end: int, place: int, targets: Mapping[int, list[Target]]) -> None:
        """Read a part of a text into sequence 0; `place` is that of the leaf's first new token in the stream."""
        for first in range(begin, end, self._size):
            last = min(end, first + self._size)
            # What is read a second time (no sequence was left to keep it) gave its log probabilities the first time.
            new = range(max(first, leaf.start), last)
            here = {depth - first: targets.get(place + depth - leaf.start, []) for depth in new}
            self._read(leaf.tokens[first:last], range(first, last), [Run(last - first, (0,))], here)

    def _read(
        self,
        tokens: Sequence[int],
        positions: Sequence[int],
        runs: Sequence[Run],
        targets: Mapping[int, list[Target]],
    ) -> None:
        """Read a micro-batch and count the log probabilities read off it."""
        wanted = sorted(place for place in targets if targets[place])
        logits = self._batches.run(tokens, positions, runs, wanted)
        if not wanted:
            return
        rows = [row for row, place in enumerate(wanted) for _ in targets[place]]
        aims = [target for place in wanted for target in targets[place]]
        picked = self._softmax.pick(logits, rows, [target.token for target in aims])
        logprobs, greedy = self._sums
        for target, logprob, best in zip(aims, picked.logprobs.tolist(), picked.greedy.tolist(), strict=True):
            logprobs[target.pair] += logprob
            greedy[target.pair] &= best
