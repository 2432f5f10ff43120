"""What a claim is, what it is tested on, and what is found: the words that all claims share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from slm_atlas.stats import BorderTest, Estimate

if TYPE_CHECKING:
    from slm_atlas.insights.claims.evidence import Evidence


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what claims are made of."""


class Data(StrEnum):
    """What a claim is tested on."""

    PAPER = "paper"
    """The survey's own figures, and the catalogue's facts of the models it counts."""
    CATALOGUE = "catalogue"
    """How all catalogued models are built and trained, to 2026, and what follows from that by arithmetic."""
    MINE = "mine"
    """The measurements in the store."""


class Verdict(StrEnum):
    """What data say of a claim."""

    HOLDS = "holds"
    """They support it, and leave no room for its contrary."""
    FAILS = "fails"
    """They support its contrary."""
    UNDECIDED = "undecided"
    """They leave room for both."""
    NO_DATA = "no data"
    """They hold nothing that it speaks of."""


class Part(Struct, frozen=True, kw_only=True):
    """One thing a claim says. A claim holds if all of its parts do, and fails if one does."""

    what: str
    """What is estimated: `elasticity of prefill`."""
    asked: str
    """What the claim says of it: `above 0`."""
    tested: BorderTest
    """The estimate, and how well it is known to be so or not."""
    form: str = "{:.2f}"
    """How the estimate is written."""

    @property
    def shown(self) -> str:
        """The estimate with its 95% interval.

        >>> from slm_atlas.stats import mean_above
        >>> Part(what="gain", asked="above 0", tested=mean_above([0.1, 0.2, 0.3]), form="{:+.1f}").shown
        '+0.2 [0.0, +0.4]'
        """
        return written(self.tested.effect, self.form)


class Result(Struct, frozen=True, kw_only=True):
    """What one data set gives, before it is known how many claims were tested on it."""

    parts: tuple[Part, ...] = ()
    """What was tested; none: there is no test."""
    summary: str
    """A sentence made of the numbers; without a test, why there is none."""
    n: int = 0
    """Observations behind it."""
    unit: str = "models"
    """What an observation is."""
    lacking: str | None = None
    """What would have to be measured, where the data hold nothing of it."""
    caveats: tuple[str, ...] = ()
    """What to know before one believes it."""
    contradiction: str | None = None
    """What in the data itself contradicts the claim's wording."""


Test = Callable[["Evidence"], Result]
"""Looks at a data set, by a rule that was fixed before."""


class Claim(Struct, frozen=True, kw_only=True):
    """A statement that data can support or contradict."""

    id: str
    """Its short name: `L1`."""
    sentence: str
    """What is claimed, in our words."""
    source: str
    """Where the survey says it, or what it rests on."""
    rule: str
    """When it holds, and when it fails: stated before any data are looked at."""
    tests: Mapping[Data, Test]
    """By data set, those that can speak to it."""
    needs: Mapping[Data, str] = {}
    """What the other data sets would need."""
    doubt: str | None = None
    """What is wrong with the survey's wording, by its own figures, beyond what the test shows."""
    figure: str | None = None
    """The figure that shows it, as `slm figure` calls it; None: no figure does."""


class Finding(Struct, frozen=True, kw_only=True):
    """What one data set says of a claim."""

    claim: Claim
    """The claim."""
    data: Data
    """The data set."""
    verdict: Verdict
    """Holds, fails, undecided or no data."""
    effect: Estimate | None
    """What was found of the part that decides; None where nothing could be estimated."""
    meaning: str
    """What the effect is, and what is asked of it."""
    form: str
    """How the effect is written."""
    n: int
    """Observations behind it."""
    unit: str
    """What an observation is."""
    reason: str
    """Why this verdict, in a sentence made of the numbers."""
    parts: tuple[Part, ...]
    """All that was tested."""
    p_for: float | None
    """p value of the null that the claim is not so, adjusted for all tests on this data set."""
    p_against: float | None
    """p value of the null that it is so, adjusted likewise."""
    family: int
    """Claims that were tested on this data set."""
    lacking: str | None
    """What would have to be measured, where there are no data."""
    caveats: tuple[str, ...]
    """What to know before one believes it."""
    wording: str | None
    """Why the survey's wording does not follow from its own figures; None: nothing was found against it."""


def written(estimate: Estimate, form: str) -> str:
    """An estimate with its interval, or with n where it has none."""
    if estimate.low is None or estimate.high is None:
        return f"{number(estimate.value, form)} (no interval, n = {estimate.n})"
    return f"{number(estimate.value, form)} [{number(estimate.low, form)}, {number(estimate.high, form)}]"


def number(value: float, form: str) -> str:
    """A number in a form; what rounds to zero has no sign.

    >>> number(-0.001, "{:+.0%}"), number(-0.1, "{:+.0%}"), number(0.12, "{:.2f}")
    ('0%', '-10%', '0.12')
    """
    text = form.format(value)
    return text if any(digit in text for digit in "123456789") else text.lstrip("+-")


def no_data(summary: str, lacking: str) -> Result:
    """Nothing of it was measured.

    Args:
        summary: what is missing, a sentence.
        lacking: the command, or the fact, that would give it.
    """
    return Result(summary=summary, lacking=lacking)


def too_few(summary: str, n: int, unit: str = "models") -> Result:
    """Something was measured, but not enough for a test."""
    return Result(summary=summary, n=n, unit=unit)
