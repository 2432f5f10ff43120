"""What an insight is: a question that is no claim, answered by numbers with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from slm_atlas.insights.claims import Data, Evidence


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what insights are made of."""


class Answer(Struct, frozen=True, kw_only=True):
    """What one data set answers."""

    text: str
    """The answer, a sentence made of the numbers; without numbers, why there are none."""
    columns: tuple[str, ...] = ()
    """Headings of the table behind it."""
    lines: tuple[tuple[str, ...], ...] = ()
    """The table, a text a cell."""
    n: int = 0
    """Models behind it."""
    lacking: str | None = None
    """What would have to be measured, where there are no numbers."""
    caveats: tuple[str, ...] = ()
    """What to know before one believes it."""


class Insight(Struct, frozen=True, kw_only=True):
    """A question to data."""

    id: str
    """Its short name."""
    question: str
    """What is asked."""
    method: str
    """How it is answered, and where its intervals come from."""
    answers: Mapping[Data, Callable[[Evidence], Answer]]
    """By data set, those that can answer."""
