"""In-context learning: the score of a task by its number of worked examples, and what they gain on the same items."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from slm_atlas import stats
from slm_atlas.insights.answered import Answered, Model, on_the_same_items
from slm_atlas.stats import Comparison, Estimate

AVERAGE = "average"
"""What the mean over tasks is called."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A task, or the average of several, of one model."""

    model: str
    """The model."""
    task: str
    """The task, or `average`."""
    points: dict[int, Estimate]
    """The score by the number of worked examples."""
    gain: Estimate | None
    """The score with most worked examples minus that with fewest, on the same items; None: they share none."""
    fewest: int
    """Worked examples of the one."""
    most: int
    """Worked examples of the other."""
    p_value: float | None
    """McNemar's exact test of the gain; None for scores between right and wrong, and for the average."""
    tasks: int = 1
    """Tasks it is of."""

    @property
    def verdict(self) -> str:
        """What the worked examples do."""
        if self.gain is None or self.gain.low is None or self.gain.high is None:
            return "not known"
        if self.gain.low <= 0 <= self.gain.high:
            return "indistinguishable"
        return "examples help" if self.gain.value > 0 else "examples harm"


def curves(models: Sequence[Model]) -> list[Curve]:
    """The curves of each model: its tasks that ran with two numbers of worked examples or more, then their average."""
    found = []
    for model in models:
        by_task: dict[str, dict[int, Answered]] = defaultdict(dict)
        for each in model.tasks.values():
            if each.score.base and each.score.is_share:
                by_task[each.score.base][each.score.shots] = each
        of_model = [_curve(model.name, task, runs) for task, runs in by_task.items() if len(runs) > 1]
        found += of_model + _average(model.name, of_model)
    return found


def _curve(model: str, task: str, runs: dict[int, Answered]) -> Curve:
    fewest, most = min(runs), max(runs)
    compared: Comparison | None = on_the_same_items(runs[fewest], runs[most])
    return Curve(
        model=model,
        task=task,
        points={shots: runs[shots].score.estimate for shots in sorted(runs)},
        gain=None if compared is None else compared.difference,
        fewest=fewest,
        most=most,
        p_value=None if compared is None else compared.p_value,
    )


def _average(model: str, of_tasks: Sequence[Curve]) -> list[Curve]:
    """The average of the tasks that ran with all the numbers of worked examples; none of fewer than two tasks."""
    widest = max((tuple(curve.points) for curve in of_tasks), key=len, default=())
    whole = [curve for curve in of_tasks if tuple(curve.points) == widest]
    gains = [curve.gain for curve in whole if curve.gain is not None]
    if len(whole) < 2:
        return []
    points = {shots: stats.average([curve.points[shots] for curve in whole]) for shots in widest}
    gain = stats.average(gains) if len(gains) == len(whole) else None
    return [
        Curve(
            model=model, task=AVERAGE, points=points, gain=gain,
            fewest=widest[0], most=widest[-1], p_value=None, tasks=len(whole),
        )
    ]  # fmt: skip
