"""What a model answered to one request of lm-eval, and the place where answers are kept between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

Arguments = tuple[Any, ...]
"""A request's arguments as lm-eval gives them: (context, continuation), (text,) or (prompt, generation settings)."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to one request; from these, every way to norm a score is computed after the fact."""

    tokens: int | None
    """Tokens scored, or generated; None: there is no tokenizer to count them."""
    n_bytes: int
    """UTF-8 bytes of the text scored, or generated."""
    logprob: float | None = None
    """Sum of the natural log probabilities of the tokens scored; None: a text was generated."""
    greedy: bool | None = None
    """Each token scored was the most likely one; None: not told, of a whole text."""
    text: str | None = None
    """The text generated."""
    stopped: bool | None = None
    """A stop string or the end-of-text token ended it, rather than the limit."""
    truncated: bool = False
    """The prompt lost its beginning, being longer than the context."""
    spanned: bool = False
    """A token reached from the context into a continuation; see `tokens.Encoder.split`."""


class Told(NamedTuple):
    """An answer with the request it belongs to."""

    kind: str
    """`loglikelihood`, `loglikelihood_rolling` or `generate_until`."""
    arguments: Arguments
    """The request's arguments."""
    answer: Answer
    """The answer."""


class Answers(Protocol):
    """Keeps the answers of one model, as one engine gives them in one context; see `Answer`."""

    def get(self, kind: str, arguments: Arguments) -> Answer | None:
        """The answer kept; None: there is none."""
        ...

    def put(self, told: Sequence[Told]) -> None:
        """Keep the answers of one call to the engine."""
        ...


class Forgetful:
    """Keeps nothing."""

    def get(self, kind: str, arguments: Arguments) -> Answer | None:
        """Nothing."""
        return None

    def put(self, told: Sequence[Told]) -> None:
        """Ignored."""
