"""What a model that was not measured would cost on a machine, by those that were and by what each must compute.

The work follows from the architecture alone (`anatomy.estimate`): bytes of weights and buffers, operations of the
prompt, bytes read a token. A power law through the models measured alike on the machine turns it into a cost, and its
interval is for one more model, so that it holds what the law does not know. Nothing is measured: nothing but the
memory is said, without an interval, since then only the architecture speaks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from slm_atlas import anatomy, stats
from slm_atlas.anatomy import Quantization
from slm_atlas.catalog import Model, models, runnable
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.insights.frame import Row
from slm_atlas.insights.trends import MIN_MODELS, comparable
from slm_atlas.stats import Estimate

CONTEXT = 512
"""Tokens of context where no measurement says how many."""

_WORK: dict[str, Callable[[anatomy.Estimate], float]] = {
    "peak_rss_bytes": lambda found: found.memory_bytes,
    "prefill_s": lambda found: found.prefill_flops_per_token,
    "decode_s": lambda found: found.decode_bytes_per_token,
}
"""What each cost grows with."""


class Like(NamedTuple):
    """The way of measuring that predictions are for."""

    quantization: Quantization
    """The file's label."""
    settings: Mapping[str, Any]
    """Settings of the runs; none where nothing was measured."""

    @property
    def context(self) -> int:
        """Tokens the cache holds."""
        return int(self.settings.get("context") or CONTEXT)


class Predicted(NamedTuple):
    """What a model would cost."""

    model: Model
    """The model."""
    metrics: dict[str, Estimate]
    """`peak_rss_bytes`, `prefill_s`, `decode_s`, as far as they can be told."""


def base(rows: Sequence[Row]) -> list[Row]:
    """The rows of a machine that predictions stand on: measured alike, each of a shape the catalogue knows."""
    known = {label.value for label in Quantization}
    usable = [row for row in rows if row.model_id in _catalogue() and row.quantization in known]
    return comparable(usable, metric="decode_s")


def like(rows: Sequence[Row]) -> Like:
    """How the rows of a base were measured; llama.cpp's usual mix where there are none."""
    if not rows:
        return Like(Quantization.Q4_K_M, {})
    return Like(Quantization(rows[0].quantization), rows[0].settings)


def predict(rows: Sequence[Row], wanted: Sequence[Model]) -> list[Predicted]:
    """What models would cost on a machine; a model that llama.cpp does not run is left out.

    Args:
        rows: the base of the machine, as `base` gives it.
        wanted: the models.
    """
    way = like(rows)
    work = {model.id: _work(model, way) for model in wanted if runnable(model) is not None}
    known = {row.artifact: _work(_catalogue()[row.model_id or ""], way) for row in rows}
    costs = {metric: _law(metric, rows, known, work) for metric in _WORK}
    return [
        Predicted(model, {metric: found[model.id] for metric, found in costs.items() if model.id in found})
        for model in wanted
        if model.id in work
    ]


def _law(
    metric: str, rows: Sequence[Row], known: Mapping[str, anatomy.Estimate], wanted: Mapping[str, anatomy.Estimate]
) -> dict[str, Estimate]:
    """A cost of each wanted model by its id; of memory without a law, what the architecture says."""
    size = _WORK[metric]
    points = {size(known[row.artifact]): row.metrics[metric].value for row in rows if metric in row.metrics}
    if len(points) >= MIN_MODELS and min(points.values()) > 0:
        told = stats.power_law(list(points), list(points.values()), [size(found) for found in wanted.values()])
        return dict(zip(wanted, told, strict=True))
    return {id_: _by_anatomy(found) for id_, found in wanted.items()} if metric == "peak_rss_bytes" else {}


def _by_anatomy(found: anatomy.Estimate) -> Estimate:
    method = "architecture alone, without the process and repacked weights"
    return Estimate(value=float(found.memory_bytes), low=None, high=None, n=0, method=method)


def _work(model: Model, way: Like) -> anatomy.Estimate:
    return _estimated(runnable(model) or model.architecture, way.quantization, way.context)


@cache
def _estimated(arch: Architecture, quantization: Quantization, context: int) -> anatomy.Estimate:
    """Kept: the whole catalogue is asked for by every machine, report and choice, and takes half a second."""
    return anatomy.estimate(arch, quantization, context=context)


def _catalogue() -> dict[str, Model]:
    return {model.id: model for model in models()}
