"""From texts to the tokens an engine reads: where a text begins, where a continuation begins, what is read twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slm_atlas.engines import Engine
from slm_atlas.errors import UserError


class Split(NamedTuple):
    """A context and its continuations, in tokens; none of them is empty."""

    prefix: list[int]
    """What all continuations share."""
    continuations: list[list[int]]
    """One for each continuation of the context, in order."""
    spans: bool
    """A token spans the join, so that the prefix ends before the context does."""


class Encoder:
    """Turns texts into tokens with an engine's tokenizer.

    A text begins with what the tokenizer adds (begin-of-text, where the model was trained with one), once: a text that
    spells it out gets no second. What it adds at the end is dropped, as texts here are continued. Control tokens in a
    text count as such, as they do in lm-eval's `hf` model.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        plain, marked = engine.tokenize("a"), engine.tokenize("a", special=True)
        self.begin = marked[: marked.index(plain[0])]
        self._n_end = len(marked) - len(self.begin) - len(plain)
        # Some token must stand before an empty context; where none begins a text, the one that ends the last will do.
        self.opening = self.begin or [engine.end_of_text()]

    def encode(self, text: str, *, begin: bool = True) -> list[int]:
        """The tokens of a text, after the begin-of-text unless `begin` is false."""
        return self._after(self.begin if begin else [], text)

    def _after(self, opening: list[int], text: str) -> list[int]:
        tokens = self._engine.tokenize(text, special=True)
        body = tokens[len(self.begin) : len(tokens) - self._n_end]
        return body if body[: len(opening)] == opening else opening + body

    def split(self, context: str, continuations: Sequence[str]) -> Split:
        """Cut the tokens of context + continuation where the continuation begins.

        As in lm-eval: spaces at the end of the context belong to the continuation, both are tokenized as one text, and
        the cut is after the context's own tokens. Where a token spans that join (`:` and ` C` being one token), lm-eval
        would score an empty or a curtailed continuation. Here the cut then moves back, for all continuations of the
        context alike, to the last place where all of them and the context agree: each score is then the log probability
        of everything after the same prefix, and they compare fairly. Their level includes the context's last tokens.

        Raises:
            UserError: a continuation is empty.
        """
        stripped = context.rstrip()
        texts = [context[len(stripped) :] + continuation for continuation in continuations]
        if not all(texts):
            raise UserError(f"A continuation of {context[-40:]!r} is empty: nothing to score.", "mend the task")
        opening = self.begin if stripped else self.opening
        wholes = [self._after(opening, stripped + text) for text in texts]
        head = self._after(opening, stripped)
        cut = min(shared(head, *wholes), *(len(whole) - 1 for whole in wholes))
        return Split(wholes[0][:cut] or self.opening, [whole[cut:] for whole in wholes], spans=cut < len(head))

    def keep_last(self, tokens: Sequence[int], room: int) -> list[int]:
        """At most `room` tokens: the last ones, but still after the begin-of-text, without which some models fail.

        Raises:
            UserError: there is no room.
        """
        if len(tokens) <= room:
            return list(tokens)
        begin = self.begin if list(tokens[: len(self.begin)]) == self.begin else []
        n_kept = room - len(begin)
        if n_kept < 1:
            raise UserError(
                f"The context leaves {max(room, 0)} tokens for the prompt.",
                "a larger context, or fewer tokens to generate",
            )
        return [*begin, *tokens[-n_kept:]]


class PrefillCount:
    """Tokens an engine reads when it keeps its last prompt, and those it would read if it kept nothing.

    The engine is taken to read what a prompt does not share with the one before, its last token at least, and each
    continuation but the last token; so `llamacpp` does for models whose cache can be cut back.
    """

    def __init__(self) -> None:
        self.read = 0
        self.naive = 0
        self._kept: list[int] = []

    def add(self, prompt: Sequence[int], continuations: Sequence[Sequence[int]]) -> None:
        """Count a prompt and the continuations scored after it; a prompt to generate from has one, of one token."""
        appended = [len(continuation) - 1 for continuation in continuations]
        self.read += len(prompt) - min(shared(self._kept, prompt), len(prompt) - 1) + sum(appended)
        self.naive += sum(len(prompt) + length for length in appended)
        self._kept = list(prompt)


def shared(*sequences: Sequence[int]) -> int:
    """The length of the longest common prefix.

    >>> shared([1, 2, 3], [1, 2, 4], [1, 2])
    2
    """
    differing = (place for place, column in enumerate(zip(*sequences, strict=False)) if len(set(column)) > 1)
    return next(differing, min(map(len, sequences)))
