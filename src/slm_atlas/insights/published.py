"""Published scores beside ours, for the models whose makers give some."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from slm_atlas import stats
from slm_atlas.catalog.published import PublishedScore, published
from slm_atlas.insights.scores import Score
from slm_atlas.stats import Estimate


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """A published score, and ours."""

    title: str
    """What it is of."""
    published: float
    """The maker's number, as a share."""
    ours: Estimate
    """Ours, in the metric that comes closest."""
    metric: str
    """That metric."""
    held: bool
    """Our interval holds the published number."""
    source: str
    """Where it is published, and whether for the tuned model."""


def beside(name: str, scores: Mapping[str, Score]) -> list[Beside]:
    """The published scores of the model of this name that we measured all tasks of.

    Args:
        name: as the file names the model; without what a file was requantized from.
        scores: ours, by task.
    """
    known = published().get(name.lower())
    if known is None:
        return []
    source = f"{known.source} ({'tuned' if known.tuned else 'not tuned'})"
    found = [(score, _ours(score, scores)) for score in known.scores]
    return [_beside(score, ours, source) for score, ours in found if ours is not None]


def _ours(wanted: PublishedScore, scores: Mapping[str, Score]) -> Estimate | None:
    if any(task not in scores for task in wanted.tasks):
        return None
    estimates = [_in_metric(scores[task], wanted.metric) for task in wanted.tasks]
    known = [estimate for estimate in estimates if estimate is not None]
    if len(known) < len(estimates):
        return None
    return known[0] if len(known) == 1 else stats.average(known)


def _in_metric(score: Score, metric: str) -> Estimate | None:
    return score.estimate if score.metric == metric else score.others.get(metric)


def _beside(wanted: PublishedScore, ours: Estimate, source: str) -> Beside:
    share = wanted.percent / 100
    held = ours.low is not None and ours.high is not None and ours.low <= share <= ours.high
    return Beside(
        title=wanted.title, published=share, ours=ours, metric=wanted.metric, held=held, source=source
    )  # fmt: skip
