"""From texts to the tokens an engine reads: where a text begins, and where a continuation begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from slm_atlas.engines import Engine
from slm_atlas.engines.packing import common
from slm_atlas.errors import UserError

_CALL_CHARACTERS = 2_000_000
"""Text tokenized in one call to the engine: some seconds of it."""


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
        # Some token must stand before an empty context, even where the tokenizer adds none.
        self.opening = self.begin or [engine.begin_of_text()]

    def encode(self, text: str, *, begin: bool = True) -> list[int]:
        """The tokens of a text, after the begin-of-text unless `begin` is false."""
        return self.encode_all([text], begin=begin)[0]

    def encode_all(self, texts: Sequence[str], *, begin: bool = True) -> list[list[int]]:
        """`encode` of each text; the engine is asked for many at once."""
        bodies = self._bodies(texts)
        return [self._after(self.begin if begin else [], bodies[text]) for text in texts]

    def _bodies(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """The tokens of each text, without what the tokenizer adds; a text that comes often is tokenized once."""
        bodies: dict[str, list[int]] = {}
        for call in _calls(dict.fromkeys(texts)):
            for text, tokens in zip(call, self._engine.tokenize_all(call, special=True), strict=True):
                bodies[text] = tokens[len(self.begin) : len(tokens) - self._n_end]
        return bodies

    @staticmethod
    def _after(opening: list[int], body: list[int]) -> list[int]:
        return body if body[: len(opening)] == opening else opening + body

    def split(self, continuations: Mapping[str, Sequence[str]]) -> dict[str, Split]:
        """Cut the tokens of each context + continuation where the continuation begins.

        As in lm-eval: spaces at the end of the context belong to the continuation, both are tokenized as one text, and
        the cut is after the context's own tokens. Where a token spans that join (`:` and ` C` being one token), lm-eval
        would score an empty or a curtailed continuation. Here the cut then moves back, for all continuations of the
        context alike, to the last place where all of them and the context agree: each score is then the log probability
        of everything after the same prefix, and they compare fairly. Their level includes the context's last tokens.

        Args:
            continuations: those of each context.

        Raises:
            UserError: a continuation is empty.
        """
        for context, texts in continuations.items():
            if not all(context[len(context.rstrip()) :] + text for text in texts):
                raise UserError(f"A continuation of {context[-40:]!r} is empty: nothing to score.", "mend the task")
        heads = {context: context.rstrip() for context in continuations}
        bodies = self._bodies(
            [*heads.values(), *(context + text for context, texts in continuations.items() for text in texts)]
        )
        return {
            context: self._split(bodies[heads[context]], [bodies[context + text] for text in texts])
            for context, texts in continuations.items()
        }

    def _split(self, head_body: list[int], bodies: Sequence[list[int]]) -> Split:
        opening = self.begin if head_body else self.opening
        wholes = [self._after(opening, body) for body in bodies]
        head = self._after(opening, head_body)
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


def _calls(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts, as many in a call as it takes; at least one."""
    call: list[str] = []
    for text in texts:
        if call and sum(map(len, call)) + len(text) > _CALL_CHARACTERS:
            yield call
            call = []
        call.append(text)
    if call:
        yield call


def shared(*sequences: Sequence[int]) -> int:
    """The length of the longest common prefix.

    >>> shared([1, 2, 3], [1, 2, 4], [1, 2])
    2
    """
    # The first and the last in lexicographic order share what all share.
    return common(*(pick(sequences, key=list) for pick in (min, max)))
