"""What a cost owes to the shape of a model beyond its size: predictors from the catalogue, for points of a trend."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import cache

from slm_atlas import catalog
from slm_atlas.anatomy import Estimate, Quantization, estimate
from slm_atlas.catalog import Model, paper
from slm_atlas.catalog.architecture import Architecture, PerLayer
from slm_atlas.insights.claims.evidence import Evidence
from slm_atlas.insights.trends import Point, comparable, points
from slm_atlas.survey.facets import embedding_share, ffn_ratio

SHAPE: dict[str, Callable[[Model], float]] = {
    "depth (log of layers)": lambda model: math.log(model.architecture.layers * model.architecture.repeat),
    "FFN width over model width": ffn_ratio,
    "embedding's share of parameters": lambda model: embedding_share(model) / 100,
    "key-value heads over heads": lambda model: (
        _mean(model.architecture.attention.kv_heads) / _mean(model.architecture.attention.heads)
    ),
}
"""What L3 names (depth, FFN width, vocabulary, sharing), each as one number."""


def _mean(value: PerLayer) -> float:
    return float(value) if isinstance(value, int) else statistics.fmean(value)


def predictors(models: Sequence[Model]) -> dict[str, list[float]]:
    """The shape of some models, a column a predictor, and log parameters before them."""
    columns = {"size (log of parameters)": [math.log(model.params) for model in models]}
    return columns | {name: [of(model) for model in models] for name, of in SHAPE.items()}


def figure_points(cost: str) -> list[tuple[Point, Model]]:
    """The models of Figure 7 with a cost, at their true parameters.

    Args:
        cost: `first_token_latency_ms`, `decode_latency_ms_per_token` or `memory_mib`.
    """
    found = [(point, catalog.get(point.model_id)) for point in paper.fig7().models]
    return [(Point(model.name, model.params, getattr(point, cost)), model) for point, model in found]


def measured_points(evidence: Evidence, metric: str) -> list[tuple[Point, Model]]:
    """The catalogued models measured alike, one a shape and size."""
    found = points(comparable(evidence.rows, metric=metric), metric)
    known = [(point, evidence.model(point.artifact)) for point in found]
    return [(point, model) for point, model in known if model is not None]


def costs(model: Model, context: int) -> Estimate:
    """What a model costs by arithmetic, as a Q4_K_M file with its cache in F16."""
    return _costs(model.architecture, context)


@cache
def _costs(arch: Architecture, context: int) -> Estimate:
    return estimate(arch, Quantization.Q4_K_M, context=context)
