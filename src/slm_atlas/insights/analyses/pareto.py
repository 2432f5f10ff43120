"""Which models are on the front of capability and cost, and how surely."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from slm_atlas.catalog import paper
from slm_atlas.insights.analyses.insight import Answer, Insight
from slm_atlas.insights.claims import Data, Evidence
from slm_atlas.insights.claims.evaluated import PAPER_SUITE
from slm_atlas.insights.frame import Row
from slm_atlas.stats import Estimate

DRAWS = 2000
"""Draws of the bootstrap; a probability is then known to about one point. The seed is fixed."""
FIGURE_ITEMS = 1172
"""Items behind a score of the survey: it gives none, so the smallest common task of its Figure 6 (ARC-Challenge)."""
MIN_MODELS = 3
"""Fewer models have no front worth the name."""
COSTS = {"ttft": "first token", "decode": "decode", "memory": "memory"}
Z = 1.96


class Candidate(NamedTuple):
    """A model, as its numbers are known."""

    name: str
    """Its name."""
    score: float
    """Higher is better."""
    score_error: float
    """Its standard error."""
    costs: Mapping[str, tuple[float, float]]
    """By cost, its value, of which less is better, and the standard error of its logarithm."""


def membership(found: Sequence[Candidate], cost: str) -> dict[str, float]:
    """How often each model is on the front: no other is at least as good in both score and cost, and better in one.

    A parametric bootstrap: scores are drawn from a normal, costs from a log-normal distribution with their errors.
    """
    draw = np.random.default_rng(20240915)
    shape = (DRAWS, len(found))
    scores = np.array([one.score for one in found]) + draw.standard_normal(shape) * [one.score_error for one in found]
    logs = np.array([math.log(one.costs[cost][0]) for one in found])
    costs = logs + draw.standard_normal(shape) * [one.costs[cost][1] for one in found]
    better = (scores[:, :, None] >= scores[:, None, :]) & (costs[:, :, None] <= costs[:, None, :])
    strictly = (scores[:, :, None] > scores[:, None, :]) | (costs[:, :, None] < costs[:, None, :])
    beaten = (better & strictly).any(axis=1)
    return {one.name: float(share) for one, share in zip(found, 1 - beaten.mean(axis=0), strict=True)}


def _answer(found: Sequence[Candidate], caveats: tuple[str, ...]) -> Answer:
    known = [cost for cost in COSTS if all(cost in one.costs for one in found)]
    fronts = {cost: membership(found, cost) for cost in known}
    best = sorted(found, key=lambda one: -max(front[one.name] for front in fronts.values()))
    lines = tuple((one.name, f"{one.score:.1%}", *(f"{fronts[cost][one.name]:.0%}" for cost in known)) for one in best)
    sure = [one.name for one in best if all(front[one.name] >= 0.95 for front in fronts.values())]
    text = f"On every front with 95% or more: {', '.join(sure) or 'none'}, of {len(found)} models."
    return Answer(
        text=text, columns=("model", "score", *(COSTS[c] for c in known)), lines=lines, n=len(found), caveats=caveats
    )


def _in_figures(_: Evidence) -> Answer:
    """The models that both Figure 4 and Figure 7 draw."""
    accuracy = {point.model_id: point.accuracy for point in paper.fig4().points}
    found = []
    for point in paper.fig7().models:
        if point.model_id in accuracy:
            score = accuracy[point.model_id]
            costs = (point.first_token_latency_ms, point.decode_latency_ms_per_token, point.memory_mib)
            error = math.sqrt(score * (1 - score) / FIGURE_ITEMS)
            found.append(Candidate(point.model, score, error, {c: (v, 0.0) for c, v in zip(COSTS, costs, strict=True)}))
    caveats = (
        f"The survey gives no number of items: {FIGURE_ITEMS} are taken for each score. Its costs have no spread.",
    )
    return _answer(found, caveats)


def _measured(evidence: Evidence) -> Answer:
    """The rows with costs and the tasks that the most of them have, each task counting alike."""
    rows = [
        row for row in evidence.rows if row.scores and {"prefill_s", "decode_s", "engine_bytes"} <= set(row.metrics)
    ]
    names = sorted({task for row in rows for task, score in row.scores.items() if score.is_share})
    tasks = [task for task in names if all(task in row.scores for row in rows)]
    if len(rows) < MIN_MODELS or not tasks:
        return Answer(
            text=f"Files with both scores and costs: {len(rows)}; {MIN_MODELS} are needed.", n=len(rows), lacking=BOTH
        )
    return _answer([_candidate(row, tasks) for row in rows], (f"Mean over {', '.join(tasks)}.",))


BOTH = f"{PAPER_SUITE}, and slm bench MODEL, of {MIN_MODELS} real models or more"


def _candidate(row: Row, tasks: Sequence[str]) -> Candidate:
    scores = [row.scores[task].estimate for task in tasks]
    error = math.sqrt(sum(_error(score) ** 2 for score in scores)) / len(scores)
    metrics = dict(zip(COSTS, ("prefill_s", "decode_s", "engine_bytes"), strict=True))
    costs = {
        cost: (row.metrics[of].value, _error(row.metrics[of]) / row.metrics[of].value) for cost, of in metrics.items()
    }
    return Candidate(f"{row.name} {row.quantization}", sum(s.value for s in scores) / len(scores), error, costs)


def _error(estimate: Estimate) -> float:
    """A standard error, from the width of the 95% interval; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / (2 * Z)


PARETO = Insight(
    id="pareto",
    question="Which models are on the front of capability against time to first token, decode and memory?",
    method=f"{DRAWS:,} draws of every score and cost from its own uncertainty; how often no other model is at least "
    f"as good "
    "in both and better in one.",
    answers={Data.PAPER: _in_figures, Data.MINE: _measured},
)
