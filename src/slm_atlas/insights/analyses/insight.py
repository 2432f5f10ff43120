"""What an insight is: a question that is no claim, answered by numbers with their uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from slm_atlas.insights.claims import Data, Evidence
from slm_atlas.stats import Estimate


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what insights are made of."""


class Mark(Struct, frozen=True, kw_only=True):
    """A number of an answer as it is drawn: a point with its interval."""

    panel: str
    """Which panel it stands in."""
    label: str
    """Its line."""
    value: float
    """The number."""
    low: float | None
    """The lower end of its 95% interval; None: it has none."""
    high: float | None
    """The upper end."""


class Spot(Struct, frozen=True, kw_only=True):
    """A model as it is drawn between what it costs and what it can do."""

    panel: str
    """The cost."""
    model: str
    """The model."""
    cost: float
    """What it costs, in the unit that the panel names."""
    score: float
    """From 0 to 1."""
    low: float
    """The lower end of the score's 95% interval."""
    high: float
    """The upper end."""
    front: float
    """How often it is on the front."""


class Answer(Struct, frozen=True, kw_only=True):
    """What one data set answers."""

    text: str
    """The answer, a sentence made of the numbers; without numbers, why there are none."""
    columns: tuple[str, ...] = ()
    """Headings of the table behind it."""
    lines: tuple[tuple[str, ...], ...] = ()
    """The table, a text a cell."""
    marks: tuple[Mark, ...] = ()
    """The numbers of the table that are drawn."""
    spots: tuple[Spot, ...] = ()
    """The models that are drawn, where the answer is a front."""
    n: int = 0
    """Observations behind it."""
    unit: str = "models"
    """What an observation is."""
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
    axis: str
    """What its marks are, and their unit."""
    form: str = "~g"
    """How d3-format writes the axis."""
    reference: float | None = None
    """The value of a mark that says that nothing changes."""


def mark(panel: str, label: str, estimate: Estimate) -> Mark:
    """An estimate as it is drawn."""
    return Mark(panel=panel, label=label, value=estimate.value, low=estimate.low, high=estimate.high)
