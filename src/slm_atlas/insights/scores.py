"""From the items of a capability run to its score: each metric with its interval, the main one first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec

from slm_atlas import stats
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Run, Sample

SMOKE_SUITE = "smoke"
"""The bundled suite whose scores are not comparable with published ones."""

SCORE_METRICS = ("acc", "exact_match", "acc_norm")
"""The metrics of an item, the one shown first; where a run does not say which is its main one."""

UNITS = {"bits_per_byte": "bytes", "byte_perplexity": "bytes", "word_perplexity": "words", "perplexity": None}
"""Metrics that are no shares, and what each text's value is weighted by (all alike where that is None)."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How a model did on a task."""

    task: str
    """The task's name."""
    suite: str
    """The suite it was run in; `lm-eval` for what is lm-eval's own, whichever suite asked for it."""
    metric: str
    """`acc`, `exact_match`, `pass@1`, `bits_per_byte`, ..."""
    estimate: Estimate
    """The mean over items; of a perplexity, the exponential of the mean."""
    chance: float | None
    """What guessing scores; None where guessing has no meaning, or the study did not say."""
    others: dict[str, Estimate] = {}
    """The task's other metrics."""
    base: str = ""
    """lm-eval's name of the task, whatever its worked examples; empty for what is our own."""
    shots: int = 0
    """Worked examples before a question."""
    corrected: Estimate | None = None
    """The score on the scale where guessing is 0 and all right is 1; None where guessing has no meaning."""

    @property
    def comparable(self) -> bool:
        """Whether published scores of a task so named may stand beside it."""
        return self.suite != SMOKE_SUITE

    @property
    def is_share(self) -> bool:
        """Whether it is a share of items, from 0 to 1, rather than bits or a perplexity."""
        return self.metric not in UNITS


def score(run: Run, samples: Sequence[Sample]) -> Score | None:
    """The score of a run; None if no item was scored."""
    found = {metric: _estimate(metric, samples) for metric in dict.fromkeys(sample.metric for sample in samples)}
    wanted = (str(run.settings.get("metric", "")), *SCORE_METRICS, *found)
    main = next((metric for metric in wanted if metric in found), None)
    if main is None:
        return None
    estimate = found.pop(main)
    task, suite = str(run.settings["task"]), str(run.settings.get("suite", ""))
    chance = run.settings.get("chance")
    return Score(
        task=task,
        suite=suite,
        metric=main,
        estimate=estimate,
        chance=chance,
        others=found,
        base=str(run.settings.get("lm_eval_task", "")),
        shots=int(run.settings.get("shots", 0)),
        corrected=None if chance is None or main in UNITS else stats.chance_corrected(estimate, chance),
    )


def _estimate(metric: str, samples: Sequence[Sample]) -> Estimate:
    """Wilson's interval for items right or wrong, Student's t for items scored between, and for means of texts."""
    values = [sample.value for sample in samples if sample.metric == metric]
    if metric not in UNITS:
        binary = set(values) <= {0.0, 1.0}
        return stats.wilson(round(sum(values)), len(values)) if binary else stats.mean_estimate(values)
    unit = UNITS[metric]
    details = {sample.index: sample.detail for sample in samples if sample.detail}
    places = [sample.index for sample in samples if sample.metric == metric]
    weights = [1.0 if unit is None else float((details[place] or {})[unit]) for place in places]
    mean = stats.weighted_mean_estimate(values, weights)
    return mean if metric == "bits_per_byte" else _mapped(mean, math.exp)


def _mapped(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """The estimate of a rising function of what was estimated."""
    low = None if estimate.low is None else function(estimate.low)
    high = None if estimate.high is None else function(estimate.high)
    return msgspec.structs.replace(estimate, value=function(estimate.value), low=low, high=high)
