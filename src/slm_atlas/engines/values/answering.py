"""What an engine is asked to score or to continue, what it answers, and what that took."""

from __future__ import annotations

from typing import Any

import msgspec

from slm_atlas.engines.values.struct import Struct


class Pair(Struct, frozen=True):
    """A continuation to score, and what stands before it."""

    prefix: list[int]
    """The tokens before; at least one."""
    continuation: list[int]
    """The tokens scored; at least one."""


class Prompt(Struct, frozen=True):
    """A text to continue greedily."""

    tokens: list[int]
    """The text; at least one token."""
    max_tokens: int
    """Most tokens generated."""
    stop: list[str] = msgspec.field(default_factory=list)
    """Strings that end what is generated, and are cut off it."""


class Score(Struct, frozen=True):
    """How likely a continuation is."""

    logprob: float
    """Sum of the natural log probabilities of the continuation's tokens."""
    greedy: bool
    """Each token was the most likely one."""


class Generation(Struct, frozen=True):
    """Text generated greedily."""

    text: str
    """The text, cut before the first stop string."""
    tokens: int
    """Tokens generated."""
    stopped: bool
    """A stop string or the end-of-text token ended it, rather than the limit."""


class Work(Struct, frozen=True):
    """What a call took."""

    asked: int = 0
    """Tokens a model reads that answers one request after another and keeps nothing in between."""
    computed: int = 0
    """Tokens read: what requests share, once."""
    compute_s: float = 0.0
    """Seconds inside the model."""
    other_s: float = 0.0
    """Seconds of all else: planning, log-softmax, text."""

    def __add__(self, other: Work) -> Work:
        """Both."""
        return Work(
            asked=self.asked + other.asked,
            computed=self.computed + other.computed,
            compute_s=self.compute_s + other.compute_s,
            other_s=self.other_s + other.other_s,
        )


class Scores(Struct, frozen=True):
    """What `Engine.score` gave."""

    scores: list[Score]
    """One a pair, in order."""
    work: Work
    """What it took."""


class Generations(Struct, frozen=True):
    """What `Engine.generate` gave."""

    generations: list[Generation]
    """One a prompt, in order."""
    work: Work
    """What it took."""


class Request(Struct, frozen=True):
    """One of lm-eval's requests, for an engine that is a model of lm-eval's own."""

    kind: str
    """`loglikelihood`, `loglikelihood_rolling` or `generate_until`."""
    arguments: list[Any]
    """lm-eval's: context and continuation; a text; or a prompt and how to generate."""


class Reply(Struct, frozen=True):
    """What such an engine answers."""

    tokens: int | None
    """Tokens scored, or generated; None: it has no tokenizer."""
    logprob: float | None = None
    """Sum of the natural log probabilities; None: a text was generated."""
    greedy: bool | None = None
    """Each token was the most likely one; None: not told."""
    text: str | None = None
    """The text generated."""


class FirstToken(Struct, frozen=True):
    """What a user waits for: a prompt of text becomes the first token of text."""

    seconds: float
    """Tokenize, prefill, choose the most likely token, detokenize."""
    prompt_tokens: int
    """Tokens of the prompt."""
