"""A number of the survey's figures beside ours, and what is known of those that differ."""

from __future__ import annotations

from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from slm_atlas.catalog import paper


class Verdict(StrEnum):
    """What a number of a figure comes to."""

    EQUAL = "equal"
    """The figure and both views of the catalogue are the same."""
    EXPLAINED = "explained"
    """They are not, and it is known why."""
    UNEXPLAINED = "unexplained"
    """They are not, and it is not known why."""


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a figure beside ours."""

    figure: str
    """`2a`, `2b`, `3`, `4` or `11`."""
    cell: str
    """Which number: a facet, a period and a label; a year and a data set; a model and what is measured."""
    paper: float
    """What the figure shows."""
    counted: float | None
    """What the catalogue gives as the paper counts; None: not published."""
    true: float | None
    """What the catalogue gives as it is; None: not published."""
    models: tuple[str, ...]
    """The models that make the difference, as far as known."""
    verdict: Verdict
    """Equal, explained, or not."""
    reasons: tuple[str, ...]
    """Why it differs; of a number that does not come out as the paper counts, first what is known of it."""


def remark(figure: str, cell: str) -> tuple[Verdict, str]:
    """What is known of a number that does not come out."""
    for known in paper.remarks():
        if known.figure == figure and any(fnmatchcase(cell, pattern) for pattern in known.cells):
            return Verdict.EXPLAINED if known.settled else Verdict.UNEXPLAINED, known.text
    return Verdict.UNEXPLAINED, "Nothing is known of it."
