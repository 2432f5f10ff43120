"""When an arm has been measured well enough: its intervals are narrow, or all its runs are done.

Asked after each run from `Precision.min_runs` on. The interval is Student's t of the logarithms of the runs' medians:
times are positive, and noise that slows a run multiplies.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from slm_atlas.errors import Outcome
from slm_atlas.stats import relative_half_width
from slm_atlas.store import Store
from slm_atlas.studies.plan import Cell
from slm_atlas.studies.schema import Precision

METRICS = ("prefill_s", "decode_s")
"""The series whose intervals must be narrow."""


class Stopping:
    """Looks at what the store holds of an arm."""

    def __init__(self, store: Store, precision: Precision | None, cells: Sequence[Cell]) -> None:
        self._store, self._precision = store, precision
        self._keys: dict[str, list[str]] = {}
        for cell in cells:
            self._keys.setdefault(_arm(cell), []).append(cell.key)

    def settled(self, cell: Cell) -> bool:
        """Whether the arm of a run that is not made yet needs it no more."""
        if self._precision is None:
            return False
        widths = self._widths(cell)
        return bool(widths) and max(widths) <= self._precision.half_width

    def _widths(self, cell: Cell) -> list[float]:
        """Relative half-widths of the arm's intervals; none before it has runs enough."""
        assert self._precision is not None
        runs = list(self._store.runs(outcome=Outcome.OK, keys=self._keys[_arm(cell)]))
        if len(runs) < self._precision.min_runs:
            return []
        samples = self._store.samples_of([run.key for run in runs])
        widths = []
        for metric in METRICS:
            series = [[one.value for one in found if one.metric == metric] for found in samples.values()]
            medians = [statistics.median(values) for values in series if values]
            if len(medians) == len(runs):
                widths.append(relative_half_width(medians))
        return [width for width in widths if not math.isnan(width)]


def _arm(cell: Cell) -> str:
    """What all replicates of a measurement have in common."""
    return f"{cell.subject.artifact.sha256} {sorted(cell.settings.items())}"
