"""What claims are tested on: models as facts, and measurements as rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

from slm_atlas import catalog
from slm_atlas.catalog import Model
from slm_atlas.insights import answered, frame
from slm_atlas.insights.answered import Model as Answers
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.insights.profiles import Profile, profiles

EMPTY = Dataset({}, {}, [], {})
"""Nothing was measured."""


class Evidence:
    """One data set, as tests see it; each view of it is made when it is first asked for.

    Args:
        models: the models that are counted.
        dataset: what was measured.
        rows: the same as rows, where they are at hand.
    """

    def __init__(
        self, models: Iterable[Model] = (), dataset: Dataset = EMPTY, rows: Sequence[Row] | None = None
    ) -> None:
        self.models = tuple(models)
        self.dataset = dataset
        if rows is not None:
            self.rows = list(rows)

    @cached_property
    def rows(self) -> list[Row]:
        """One row a file, machine, engine and way of measuring."""
        return frame.rows(self.dataset)

    @cached_property
    def profiles(self) -> list[Profile]:
        """Where the time goes, one profile a file, machine, engine and way of measuring."""
        return profiles(self.dataset)

    @cached_property
    def answers(self) -> list[Answers]:
        """The files of real models that were evaluated, and what they answered."""
        return answered.models(self.dataset)

    @cached_property
    def releases(self) -> list[Release]:
        """The models by family and month."""
        return releases(self.models)

    def model(self, artifact: str) -> Model | None:
        """The catalogue's model that a file is; None where it is none of them."""
        known = self.dataset.artifacts.get(artifact)
        return _by_id().get(known.model_id or "") if known else None


def of_paper() -> Evidence:
    """The models that the survey's first version counts; its figures are read by the tests themselves."""
    return Evidence(model for model in catalog.models() if model.paper.v1)


def of_catalogue() -> Evidence:
    """All models of the catalogue."""
    return Evidence(catalog.models())


def _by_id() -> dict[str, Model]:
    return {model.id: model for model in catalog.models()}


class Release(NamedTuple):
    """What a family released in a month: one decision on how to build and train, however many sizes it came in."""

    family: str
    """The family."""
    year: float
    """When, as 2024.5."""
    models: tuple[Model, ...]
    """Its sizes."""

    def most(self, question: Callable[[Model], bool]) -> bool:
        """Whether it is so of at least half of its sizes."""
        return sum(map(question, self.models)) * 2 >= len(self.models)


def releases(models: Iterable[Model]) -> list[Release]:
    """The releases of some models, in order of time."""
    groups: dict[tuple[str, str], list[Model]] = defaultdict(list)
    for model in models:
        groups[model.release, model.family].append(model)
    return [Release(family, year_of(release), tuple(found)) for (release, family), found in sorted(groups.items())]


def year_of(month: str) -> float:
    """The middle of a month as a year.

    >>> year_of("2024-07")
    2024.5416666666667
    """
    year, number = month.split("-")
    return int(year) + (int(number) - 0.5) / 12
