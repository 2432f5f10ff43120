"""The capability of the survey's models (Figures 4 and 5), beside what the catalogue says of their data."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import cache
from typing import NamedTuple

from slm_atlas import catalog, stats
from slm_atlas.catalog import Model, paper
from slm_atlas.catalog.paper import Ability, AbilityPoint
from slm_atlas.insights.claims.evidence import year_of

ABILITIES = ("commonsense", "problem_solving", "math")
"""The panels of Figure 5."""
_ALIASES = {"phi-3-mini": "phi-3-mini-4k", "danube2-1.8b": "h2o-danube2-1.8b", "danube3-4b": "h2o-danube3-4b"} | {
    "danube3-500m": "h2o-danube3-500m",
    "qwen2.5": "qwen2.5-1.5b",  # which of its sizes is which is not known; their data are the same
}
"""Ids of models that the file of Figure 5 calls otherwise."""


class Scored(NamedTuple):
    """A model with a score in the survey."""

    name: str
    """As the figure's file calls it."""
    maker: str
    """Who made it: its models are not independent of each other."""
    year: float
    """When it was released."""
    params: float
    """Parameters."""
    score: float
    """From 0 to 1."""
    model: Model | None
    """The catalogue's model."""


def panel(ability: str) -> Ability:
    """A panel of Figure 5."""
    found: Ability = getattr(paper.fig5(), ability)
    return found


def scored(ability: str) -> list[Scored]:
    """The models of a panel; placeholders in mathematics are left out."""
    points = panel(ability).points
    return [_scored(point) for point in points if ability != "math" or point.accuracy != paper.PLACEHOLDER]


def _scored(point: AbilityPoint) -> Scored:
    year = year_of(point.date)
    return Scored(
        point.model, point.organisation, year, point.params_billion * 1e9, point.accuracy, model_of(point.model)
    )


@cache
def model_of(name: str) -> Model | None:
    """The catalogue's model that a name in the figure's file stands for."""
    bare = re.sub(r" *\(.*", "", name).lower()
    by_id = {model.id: model for model in catalog.models()}
    return by_id.get(_ALIASES.get(bare, bare))


def off_size(found: Iterable[Scored]) -> list[tuple[Scored, float]]:
    """Each model with its score less what its size would let expect (least squares on log parameters)."""
    models = list(found)
    line = stats.trend([math.log(one.params) for one in models], [one.score for one in models])
    return [(one, one.score - line.intercept - line.slope.value * math.log(one.params)) for one in models]


def by_maker(
    values: Iterable[tuple[Scored, float]], group: Callable[[Scored], bool | None]
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean values a maker, of models in a group and of the others; models of which it is not known are left out."""
    found: dict[bool, dict[str, list[float]]] = {True: defaultdict(list), False: defaultdict(list)}
    for one, value in values:
        inside = group(one)
        if inside is not None:
            found[inside][one.maker].append(value)
    inside_it, outside = ({maker: sum(of) / len(of) for maker, of in found[each].items()} for each in (True, False))
    return inside_it, outside


FILTERED = frozenset({"FineWeb-Edu", "DCLM-baseline", "phi-1 textbooks", "Phi filtered web", "Cosmopedia"})
"""Data that a model filtered or wrote."""


def is_curated(one: Scored) -> bool | None:
    """Whether its data were filtered or written by a model, or are not public; None: it is not in the catalogue."""
    if one.model is None:
        return None
    return not one.model.training.datasets or bool(FILTERED & set(one.model.training.datasets))


def is_closed(one: Scored) -> bool | None:
    """Whether anything it was trained on is closed to others, or not named; None: it is not in the catalogue."""
    if one.model is None:
        return None
    named = one.model.training.datasets
    return not named or not all(_open_sets().get(name, True) for name in named)


@cache
def _open_sets() -> dict[str, bool]:
    from slm_atlas.catalog.entities import datasets

    return {dataset.name: dataset.open for dataset in datasets()}
