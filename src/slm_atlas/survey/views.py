"""Two ways to count a model: as the survey counts it, and as it is.

The survey's view has its dates of release, and `Model.paper.counts_as` in place of what a model is.
"""

from __future__ import annotations

from collections.abc import Iterable

from slm_atlas.catalog import Model
from slm_atlas.survey.composition import Period
from slm_atlas.survey.facets import Facet, Labels

OUR_LABELS = {
    "RMS Norm": "rmsnorm",
    "Layer Norm": "layernorm",
    "Gated": "gated",
    "Standard": "standard",
    "nan": "none",
    "RoBERTa": "CCNewsV2",
    "DCLM": "DCLM-baseline",
}
"""What the catalogue calls what the survey's figures call otherwise."""

Members = dict[tuple[str, str], list[Model]]
"""The models of each period and label."""


def released(model: Model, *, counted: bool) -> str:
    """The month of release: the survey's, if `counted` and it gives one; else the true one."""
    return (model.paper.release if counted else None) or model.release


def labels(facet: Facet, model: Model, *, counted: bool) -> Labels:
    """The labels of a model: the survey's, if `counted` and it has others; else the true ones."""
    counts = model.paper.counts_as
    found = facet.counted(counts) if counted and counts is not None else None
    return facet.labels(model) if found is None else tuple(OUR_LABELS.get(label, label) for label in found)


def members(models: Iterable[Model], facet: Facet, period: Period | None, *, counted: bool) -> Members:
    """The models of each period and label, in one of the two views.

    Args:
        models: where to look.
        facet: whose labels.
        period: how time is divided; None: not at all, and the period is an empty text.
        counted: as the survey counts, not as they are.
    """
    found: Members = {}
    for model in models:
        when = period.of(released(model, counted=counted)) if period else ""
        for label in labels(facet, model, counted=counted):
            found.setdefault((when, label), []).append(model)
    return found


def difference(model: Model, facet: Facet, label: str, period: Period | None) -> str:
    """Why one of the two views has a model under a label and the other has not."""
    was, now = (labels(facet, model, counted=view) for view in (True, False))
    basis = model.paper.counts_as.basis if model.paper.counts_as else ""
    parts = []
    if facet.several and (label in was) != (label in now):
        parts.append(f"{'counted' if label in was else 'not counted'} for {label} ({basis})")
    elif not facet.several and was != now:
        parts.append(f"counted as {', '.join(was)}, but {', '.join(now)} ({basis})")
    then, since = (released(model, counted=view) for view in (True, False))
    if period and period.of(then) != period.of(since):
        parts.append(f"dated {then}, released {since}")
    return "; ".join(parts)
