"""When an arm has been measured well enough: its intervals are narrow, all its runs are made, or the time is spent.

Asked before each run, of what the store holds, so that a study that goes on decides as if it had not been interrupted.
The interval is Student's t of the logarithms of the runs' medians: times are positive, and noise that slows a run
multiplies.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store import Run, RunKind, Sample, Store, content_hash
from slm_atlas.store.stops import METRICS, Design, PrecisionOf, Reason, Summaries, arm_id, judge
from slm_atlas.studies.plan import Cell
from slm_atlas.studies.schema import Precision


def designs(cells: Sequence[Cell], precision: Precision | None, budget_s: float | None) -> dict[str, Design]:
    """What is asked of each cost run's arm, by the run's key.

    Raises:
        UserError: a ratio is asked for, and there is one arm.
    """
    arms: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.kind is RunKind.BENCH:
            arms.setdefault(_arm(cell), []).append(cell)
    ratio = precision is not None and precision.of is PrecisionOf.RATIO
    if ratio and len(arms) == 1:
        raise UserError("A ratio needs two arms.", "name another model, --sweep a setting, or --precision-of arm")
    plan, first = content_hash(sorted(arms))[:12], next((_arm(cell) for cell in cells if cell.first), None)
    return {
        cell.key: Design(
            plan=plan,
            runs=len(found),
            half_width=precision.half_width if precision else None,
            min_runs=precision.min_runs if precision else 0,
            of=precision.of if precision else PrecisionOf.ARM,
            reference=first if ratio else None,
            budget_s=budget_s,
        )
        for found in arms.values()
        for cell in found
    }


class Stopping:
    """Looks at what the store holds of the arms of a study."""

    def __init__(
        self, store: Store, cells: Sequence[Cell], precision: Precision | None = None, budget_s: float | None = None
    ) -> None:
        self._store, self._budget_s = store, budget_s
        self.designs = designs(cells, precision, budget_s)
        self._arms: dict[str, list[str]] = {}
        for cell in cells:
            if cell.kind is RunKind.BENCH:
                self._arms.setdefault(_arm(cell), []).append(cell.key)

    def settled(self, cell: Cell) -> bool:
        """Whether the arm of a run that is not made yet needs it no more; the first of ratios, when no other does."""
        if self.designs[cell.key].half_width is None:
            return False
        arm, reference = _arm(cell), self.designs[cell.key].reference
        asked = [name for name in self._arms if name != reference] if arm == reference else [arm]
        return all(self._narrow(name, reference) for name in asked)

    def spent(self) -> bool:
        """Whether the runs of the study have taken the time they may."""
        return self._budget_s is not None and self.spent_s() >= self._budget_s

    def spent_s(self) -> float:
        """Seconds that the runs of the study took, those that were set aside included."""
        return sum(map(seconds, self._store.runs(keys=list(self.designs))))

    def _narrow(self, arm: str, reference: str | None) -> bool:
        base = None if reference is None else self._summaries(reference)
        design = self.designs[self._arms[arm][0]]
        return judge(design, self._summaries(arm), base, made=0, spent_s=0).reason is Reason.NARROW

    def _summaries(self, arm: str) -> Summaries:
        """The medians of an arm's runs that ended well."""
        runs = {run.key: run for run in self._store.runs(outcome=Outcome.OK, keys=self._arms[arm])}
        return {runs[key].replicate: _medians(found) for key, found in self._store.samples_of(runs).items()}


def seconds(run: Run) -> float:
    """What a run took, and the one that it replaces."""
    return run.elapsed_s + float(run.notes.get("repeats", {}).get("elapsed_s", 0))


def _medians(samples: Iterable[Sample]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for sample in samples:
        if sample.metric in METRICS:
            values.setdefault(sample.metric, []).append(sample.value)
    return {metric: statistics.median(found) for metric, found in values.items()}


def _arm(cell: Cell) -> str:
    """What all replicates of a measurement have in common."""
    return arm_id(cell.subject.artifact.sha256, cell.settings)
