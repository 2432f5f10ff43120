"""Continues many prompts at once: a token of each in every step, and the next prompt where one is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from slm_atlas.engines.packing import Run, checked, common
from slm_atlas.engines.sequences import Rows, Sequences
from slm_atlas.engines.values import Generation, Generations, Prompt, Work

LEAST_SHARED = 16
"""Tokens that prompts share for it to be worth a copy of the cache."""


class Vocabulary(NamedTuple):
    """What generation needs to know of tokens."""

    piece: Callable[[int], bytes] | None
    """The bytes of a token; None: they are not known, so that only `text` says what stands there."""
    ends: Callable[[int], bool]
    """A token ends what is generated."""
    text: Callable[[Sequence[int]], str]
    """The text of tokens."""


class Group(NamedTuple):
    """Prompts in lexicographic order whose beginning is read once."""

    places: list[int]
    shared: int
    """Tokens of the beginning; 0: none."""


def groups(prompts: Sequence[Sequence[int]]) -> list[Group]:
    """Cut the sorted prompts into groups that share most of what neighbours share.

    A prompt joins the group before it if the group's beginning then stays at least half as long.

    >>> texts = [[1] * 32 + [2], [1] * 32 + [3], [5] * 20, [1] * 31]
    >>> [(group.places, group.shared) for group in groups(texts)]
    [([3, 0, 1], 30), ([2], 0)]
    """
    found: list[Group] = []
    for place in sorted(range(len(prompts)), key=lambda place: list(prompts[place])):
        last = found[-1] if found else None
        # One token of each prompt is left to read: the first token generated comes after it.
        before = prompts[last.places[-1]] if last else []
        shared = min(common(before, prompts[place]), len(before) - 1, len(prompts[place]) - 1)
        if last is None or shared < LEAST_SHARED or (len(last.places) > 1 and shared < last.shared / 2):
            found.append(Group([place], 0))
        else:
            kept = shared if len(last.places) == 1 else min(shared, last.shared)
            found[-1] = Group([*last.places, place], kept)
    return found


class _Running:
    """A prompt that is being continued."""

    def __init__(self, place: int, prompt: Prompt, vocabulary: Vocabulary) -> None:
        self.place = place
        self.prompt = prompt
        self.tokens: list[int] = []
        self.done: Generation | None = None
        self._vocabulary = vocabulary
        self._bytes = bytearray()
        self._stops = [stop.encode() for stop in prompt.stop]
        self._longest = max(map(len, self._stops), default=0)

    @property
    def position(self) -> int:
        """Place of the last token."""
        return len(self.prompt.tokens) + len(self.tokens) - 1

    def add(self, token: int, limit: int) -> None:
        """Take the token generated; sets `done` when it is the last one."""
        if self._vocabulary.ends(token):
            self._end(None, stopped=True)
            return
        self.tokens.append(token)
        if self._may_stop(token):
            # Bytes only say that there may be a stop: the tokenizer decides what the text is.
            text = self._vocabulary.text(self.tokens)
            ends = [place for place in map(text.find, self.prompt.stop) if place >= 0]
            if ends:
                self._end(text[: min(ends)], stopped=True)
        if self.done is None and len(self.tokens) >= limit:
            self._end(None, stopped=False)

    def _may_stop(self, token: int) -> bool:
        """Whether a stop string may have come with this token; takes up its bytes."""
        if self._vocabulary.piece is None:
            return bool(self._stops)
        seen = max(0, len(self._bytes) - self._longest + 1)
        self._bytes += self._vocabulary.piece(token)
        return any(self._bytes.find(stop, seen) >= 0 for stop in self._stops)

    def _end(self, text: str | None, *, stopped: bool) -> None:
        whole = self._vocabulary.text(self.tokens) if text is None else text
        self.done = Generation(text=whole, tokens=len(self.tokens), stopped=stopped)


class Generator:
    """Continues prompts in a context whose sequences have caches of their own.

    In a unified cache each token would pass over the cells of all other sequences, in every layer and head.

    Args:
        batches: the context; its last sequence holds what the prompts of a group share.
        vocabulary: of the model.
        sequences: sequences the context was made for, that one included.
        context: tokens of a sequence.
        size: most tokens of a call.
        shares: what a group of prompts shares may be read once and copied.
    """

    def __init__(
        self,
        batches: Sequences,
        vocabulary: Vocabulary,
        *,
        sequences: int,
        context: int,
        size: int,
        shares: bool = True,
    ) -> None:
        self._batches = batches
        self._vocabulary = vocabulary
        self._shared_in = sequences - 1
        self._context = context
        self._size = size
        self._shares = shares

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """See `Engine.generate`."""
        start = time.perf_counter()
        batches = self._batches
        computed, compute_s = batches.computed, batches.compute_s
        batches.clear()
        nothing = Generation(text="", tokens=0, stopped=False)
        found = {place: nothing for place, prompt in enumerate(checked(prompts)) if self._limit(prompt) <= 0}
        todo = [place for place in range(len(prompts)) if place not in found]
        for number, generation in self._all([prompts[place] for place in todo]):
            found[todo[number]] = generation
        compute_s = batches.compute_s - compute_s
        generations = [found[place] for place in range(len(prompts))]
        appended = sum(max(0, generation.tokens - 1) for generation in generations)
        work = Work(
            asked=sum(len(prompt.tokens) for prompt in prompts) + appended,
            computed=batches.computed - computed,
            compute_s=compute_s,
            other_s=time.perf_counter() - start - compute_s,
        )
        return Generations(generations=generations, work=work)

    def _all(self, prompts: Sequence[Prompt]) -> Iterator[tuple[int, Generation]]:
        """Each prompt's place and what was generated, as they end."""
        texts = [prompt.tokens for prompt in prompts]
        waiting = deque(groups(texts) if self._shares else [Group([place], 0) for place in range(len(texts))])
        queue: deque[int] = deque()
        shared = 0
        running: dict[int, _Running] = {}  # by sequence
        while running or queue or waiting:
            if not queue and waiting:
                group = waiting.popleft()
                queue.extend(group.places)
                shared = self._read_shared(prompts[group.places[0]].tokens[: group.shared])
            free = [sequence for sequence in range(self._shared_in) if sequence not in running]
            begun = {
                sequence: _Running(place, prompts[place], self._vocabulary)
                for sequence, place in zip(free, [queue.popleft() for _ in free[: len(queue)]], strict=False)
            }
            self._begin(begun, shared)
            running |= begun
            self._step({sequence: one for sequence, one in running.items() if sequence not in begun})
            for sequence in [sequence for sequence, one in running.items() if one.done is not None]:
                ended = running.pop(sequence)
                self._batches.cut(sequence)
                assert ended.done is not None
                yield ended.place, ended.done

    def _read_shared(self, tokens: Sequence[int]) -> int:
        """Read the beginning of a group into its sequence; its length."""
        self._batches.cut(self._shared_in)
        for first in range(0, len(tokens), self._size):
            part = tokens[first : first + self._size]
            self._batches.run(part, range(first, first + len(part)), [Run(len(part), (self._shared_in,))], [])
        return len(tokens)

    def _begin(self, begun: dict[int, _Running], shared: int) -> None:
        """Read prompts, as many in a call as it takes; each gets its first token."""
        call: list[tuple[int, _Running, int, int]] = []
        room = self._size
        for sequence, one in begun.items():
            if shared:
                self._batches.copy(self._shared_in, sequence)
            start = shared
            while start < len(one.prompt.tokens):
                end = min(len(one.prompt.tokens), start + room)
                call.append((sequence, one, start, end))
                room -= end - start
                start = end
                if not room:
                    self._call(call)
                    call, room = [], self._size
        if call:
            self._call(call)

    def _step(self, running: dict[int, _Running]) -> None:
        """One more token of each."""
        if running:
            self._call([(sequence, one, one.position, one.position + 1) for sequence, one in sorted(running.items())])

    def _call(self, parts: Sequence[tuple[int, _Running, int, int]]) -> None:
        """Read parts of texts, each of its sequence; those that end with their text get their next token."""
        tokens: list[int] = []
        positions: list[int] = []
        wanted: dict[int, _Running] = {}
        for _, one, start, end in parts:
            prompt = one.prompt.tokens
            tokens += prompt[start:end] if start < len(prompt) else one.tokens[-1:]
            positions += range(start, end)
            if end == one.position + 1:
                wanted[len(tokens) - 1] = one
        runs = [Run(end - start, (sequence,)) for sequence, _, start, end in parts]
        logits = self._batches.run(tokens, positions, runs, list(wanted))
        for one, token in zip(wanted.values(), _best(logits), strict=True):
            one.add(token, self._limit(one.prompt))

    def _limit(self, prompt: Prompt) -> int:
        """Tokens to generate: as many as wanted, as far as the context goes."""
        return min(prompt.max_tokens, self._context - len(prompt.tokens))


def _best(logits: Rows) -> list[int]:
    return [int(token) for token in np.argmax(logits, axis=1)] if len(logits) else []
