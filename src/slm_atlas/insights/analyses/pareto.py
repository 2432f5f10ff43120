"""Which models are on the front of capability and cost, and how surely."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from slm_atlas.catalog import paper
from slm_atlas.insights.analyses.insight import Answer, Insight, Spot
from slm_atlas.insights.claims import Data, Evidence
from slm_atlas.insights.claims.evaluated import PAPER_SUITE
from slm_atlas.insights.frame import Row
from slm_atlas.stats import Estimate
from slm_atlas.units import MIB

DRAWS = 2000
"""Draws of the bootstrap; a probability is then known to about one point. The seed is fixed."""
FIGURE_ITEMS = 1172
"""Items behind a score of the survey: it gives none, so the smallest common task of its Figure 6 (ARC-Challenge)."""
MIN_MODELS = 3
"""Fewer models have no front worth the name."""
COSTS = {
    "ttft": ("first token", "First token (ms)", "prefill_s", 1e3),
    "decode": ("decode", "Decode, each token (ms)", "decode_s", 1e3),
    "memory": ("memory", "Memory (MiB)", "engine_bytes", 1 / MIB),
}
"""By cost: its name, its axis, the metric in the store, and by how much that is multiplied for the axis."""
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
    fronts = {cost: membership(found, cost) for cost in COSTS}
    best = sorted(found, key=lambda one: -max(front[one.name] for front in fronts.values()))
    lines = tuple((one.name, f"{one.score:.1%}", *(f"{fronts[cost][one.name]:.0%}" for cost in COSTS)) for one in best)
    sure = [one.name for one in best if all(front[one.name] >= SURE for front in fronts.values())]
    text = f"On all three fronts with {SURE:.0%} or more: {', '.join(sure) or 'none'}, of {len(found)} models."
    return Answer(
        text=text,
        columns=("model", "score", *(f"on the front: {name}" for name, *_ in COSTS.values())),
        lines=lines,
        spots=tuple(_spot(one, cost, fronts[cost][one.name]) for cost in COSTS for one in found),
        n=len(found),
        caveats=caveats,
    )


SURE = 0.95
"""How often a model must be on a front to be named."""


def _spot(one: Candidate, cost: str, front: float) -> Spot:
    half = Z * one.score_error
    return Spot(
        panel=COSTS[cost][1], model=one.name, cost=one.costs[cost][0], score=one.score,
        low=max(0.0, one.score - half), high=min(1.0, one.score + half), front=front,
    )  # fmt: skip


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
    """The files that were measured alike, with the tasks that all of them have, each task counting alike."""
    rows = _alike(evidence.rows)
    names = sorted({task for row in rows for task, score in row.scores.items() if score.is_share})
    tasks = [task for task in names if all(task in row.scores for row in rows)]
    if len(rows) < MIN_MODELS or not tasks:
        text = f"Files with the same tasks, and costs measured alike: {len(rows)}; {MIN_MODELS} are needed."
        return Answer(text=text, n=len(rows), unit="files", lacking=BOTH)
    return _answer([_candidate(row, tasks) for row in rows], (f"Mean over {', '.join(tasks)}.",))


def _alike(rows: Sequence[Row]) -> list[Row]:
    """The most files with scores whose costs were measured in one way, on one machine."""
    groups: dict[tuple[str, str, bytes], dict[str, Row]] = defaultdict(dict)
    for row in rows:
        if row.scores and all(metric in row.metrics for _, _, metric, _ in COSTS.values()):
            way = msgspec.json.encode(row.settings, order="sorted")
            groups[row.host, row.engine, way][row.artifact] = row
    return list(max(groups.values(), key=len, default={}).values())


BOTH = f"{PAPER_SUITE}, and slm bench MODEL, of {MIN_MODELS} real models or more"


def _candidate(row: Row, tasks: Sequence[str]) -> Candidate:
    scores = [row.scores[task].estimate for task in tasks]
    error = math.sqrt(sum(_error(score) ** 2 for score in scores)) / len(scores)
    costs = {cost: _cost(row.metrics[metric], scale) for cost, (_, _, metric, scale) in COSTS.items()}
    return Candidate(f"{row.name} {row.quantization}", sum(s.value for s in scores) / len(scores), error, costs)


def _cost(estimate: Estimate, scale: float) -> tuple[float, float]:
    """A cost on its axis, and the standard error of its logarithm."""
    return estimate.value * scale, _error(estimate) / estimate.value


def _error(estimate: Estimate) -> float:
    """A standard error, from the width of the 95% interval; 0 where there is none."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / (2 * Z)


PARETO = Insight(
    id="pareto",
    question="Which models are on the front of capability against time to first token, decode and memory?",
    method=f"{DRAWS:,} draws of every score and cost from its own uncertainty; how often no other model is at least "
    "as good in both and better in one.",
    answers={Data.PAPER: _in_figures, Data.MINE: _measured},
    axis="Score",
)
