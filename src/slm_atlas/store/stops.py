"""Why an arm has no more runs: what its study asked of it, and what its runs say; the same from a plan or a record.

A run carries what was asked (`notes["design"]`), so that a report of stored runs alone can tell what ended each arm.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from slm_atlas.stats import MIN_RUNS, relative_half_width
from slm_atlas.store.keys import content_hash
from slm_atlas.store.records import Run, Struct
from slm_atlas.units import format_seconds

METRICS = ("prefill_s", "decode_s")
"""The series whose intervals must be narrow."""

_NOT_SHAPE = frozenset({"path", "seed", "energy", "sustained_s"})
"""Settings that may differ between replicates of one measurement; passes of their own come after all others."""


class PrecisionOf(StrEnum):
    """Whose interval must be narrow."""

    ARM = "arm"
    """Each arm's own."""
    RATIO = "ratio"
    """That of each arm's ratio to the first, within blocks."""


class Design(Struct, frozen=True):
    """What a study asks of an arm."""

    plan: str
    """Names the study's set of arms, so that what they took can be added up."""
    runs: int
    """Most runs of the arm."""
    half_width: float | None = None
    """Relative half-width of the interval at which it ends; None: it makes all its runs."""
    min_runs: int = 0
    """Runs before that is first asked."""
    of: PrecisionOf = PrecisionOf.ARM
    """Whose interval."""
    reference: str | None = None
    """The arm that ratios are made to (`arm_id`)."""
    budget_s: float | None = None
    """Seconds that all runs of the plan may take; None: no limit."""


class Reason(StrEnum):
    """What ended an arm."""

    NARROW = "narrow"
    """Its intervals are narrow enough."""
    RUNS = "runs"
    """All its runs are made."""
    TIME = "time"
    """The budget of time is spent."""
    REFERENCE = "reference"
    """It is what the others are compared with, and ended with the last of them."""
    OPEN = "open"
    """Nothing has yet: it was interrupted."""


class Stop(Struct, frozen=True):
    """What ended an arm, and how narrow its intervals were then."""

    reason: Reason
    """What ended it."""
    runs: int
    """Runs made, whatever their outcome."""
    planned: int
    """Most runs."""
    half_width: float | None
    """Relative half-width of the wider of its intervals; None with fewer than three runs."""
    asked: float | None
    """The half-width that was asked for."""
    of: PrecisionOf
    """Whose intervals."""
    budget_s: float | None
    """The budget of time."""

    @property
    def words(self) -> str:
        """What ended it, as people read it."""
        ratio = " as a ratio" if self.of is PrecisionOf.RATIO else ""
        width = "" if self.half_width is None else f", ±{100 * self.half_width:.2g} %{ratio}"
        made = f"{self.runs} run{'' if self.runs == 1 else 's'}"
        match self.reason:
            case Reason.NARROW:
                return f"narrow after {made}{width}"
            case Reason.RUNS:
                return f"all {made} made{width}"
            case Reason.TIME:
                return f"budget of {_duration(self.budget_s or 0)} spent after {made}{width}"
            case Reason.REFERENCE:
                return f"{made}, which the others are compared with"
            case _:
                return f"{self.runs} of {self.planned} runs made so far{width}"


Summaries = Mapping[int, Mapping[str, float]]
"""Of each run that ended well, by its replicate, one number a metric."""


def shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that make two runs replicates of one measurement.

    >>> shape({"n_prompt": 50, "seed": 3})
    {'n_prompt': 50}
    """
    return {name: value for name, value in settings.items() if name not in _NOT_SHAPE}


def arm_id(artifact: str, settings: Mapping[str, Any]) -> str:
    """A name for a model measured in one way."""
    return content_hash([artifact, shape(settings)])[:16]


def design_of(run: Run) -> Design | None:
    """What was asked of the arm when a run was made; None for a run of an older version."""
    noted = run.notes.get("design")
    return None if noted is None else msgspec.convert(noted, Design)


def half_widths(own: Summaries, reference: Summaries | None = None) -> list[float]:
    """Relative half-widths of an arm's intervals, or of its ratios' to a reference, run by run of the same block.

    A metric that some run lacks has none, and with fewer than `MIN_RUNS` no metric has.
    """
    runs = own if reference is None else {number: own[number] for number in own if number in reference}
    if len(runs) < MIN_RUNS:
        return []
    found = []
    for metric in METRICS:
        values = [_value(own, reference, number, metric) for number in runs]
        if all(value is not None and value > 0 for value in values):
            found.append(relative_half_width([value for value in values if value is not None]))
    return found


def _value(own: Summaries, reference: Summaries | None, number: int, metric: str) -> float | None:
    value = own[number].get(metric)
    if reference is None or value is None:
        return value
    base = reference[number].get(metric)
    return value / base if base else None


def judge(design: Design, own: Summaries, reference: Summaries | None, *, made: int, spent_s: float) -> Stop:
    """What ended an arm.

    Args:
        design: what was asked of it.
        own: its runs that ended well.
        reference: those of the arm it is compared with; None for that arm itself, or where its own interval counts.
        made: runs made, whatever their outcome.
        spent_s: seconds that all runs of the plan took.
    """
    ratio = design.of is PrecisionOf.RATIO
    is_reference = ratio and reference is None
    widths = [] if is_reference else half_widths(own, reference if ratio else None)
    width = max(widths, default=None)
    enough = len(own if reference is None or not ratio else own.keys() & reference.keys()) >= design.min_runs
    if design.half_width is not None and width is not None and enough and width <= design.half_width:
        reason = Reason.NARROW
    elif made >= design.runs:
        reason = Reason.RUNS
    elif design.budget_s is not None and spent_s >= design.budget_s:
        reason = Reason.TIME
    else:
        reason = Reason.REFERENCE if is_reference else Reason.OPEN
    return Stop(
        reason=reason,
        runs=made,
        planned=design.runs,
        half_width=width,
        asked=design.half_width,
        of=design.of,
        budget_s=design.budget_s,
    )


def _duration(seconds: float) -> str:
    """A round duration without its zeros.

    >>> _duration(600), _duration(90)
    ('10 min', '1 min 30 s')
    """
    return format_seconds(seconds).removesuffix(" 0 s").removesuffix(" 0 min")
