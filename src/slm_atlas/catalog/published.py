"""Scores that makers publish of their own models, read from `data/published.toml`."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Annotated

import msgspec
from msgspec import Meta

from slm_atlas.catalog.reading import read

FILE = "published.toml"


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what the file holds."""


class PublishedScore(Struct, frozen=True):
    """One published number."""

    title: str
    """What it is of, as shown."""
    tasks: Annotated[tuple[str, ...], Meta(min_length=1)]
    """lm-eval's names of the tasks it is the average of, with the worked examples of their own definitions."""
    metric: str
    """The metric of ours that comes closest."""
    percent: Annotated[float, Meta(ge=0, le=100)]
    """The number."""


class PublishedModel(Struct, frozen=True):
    """A model whose maker published scores."""

    name: str
    """As its files name it."""
    tuned: bool
    """The scores are of a model that was tuned to follow instructions."""
    source: str
    """Where they stand."""
    scores: tuple[PublishedScore, ...]
    """The numbers."""


class _File(Struct, frozen=True):
    models: tuple[PublishedModel, ...]


@cache
def published() -> dict[str, PublishedModel]:
    """The models with published scores, by their name in lower case.

    >>> [score.percent for score in published()["smollm2-135m-instruct"].scores]
    [40.9, 37.3, 66.3, 1.4]
    """
    text = (resources.files("slm_atlas.catalog") / "data" / FILE).read_text(encoding="utf-8")
    return {model.name.lower(): model for model in read(text, FILE, _File, "name").models}
