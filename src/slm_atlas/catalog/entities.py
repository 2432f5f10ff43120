"""What models were trained on, and how: the data sets and algorithms that the models refer to by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

from slm_atlas.catalog.load import models
from slm_atlas.catalog.reading import pick, read, refuse
from slm_atlas.catalog.schema import Algorithm, Algorithms, Dataset, Datasets, Model, Training

YEARS = range(1970, 2031)
"""The years an entity may be of: Project Gutenberg is of 1971."""

DATASETS, ALGORITHMS = "datasets.toml", "algorithms.toml"


class UnknownEntity(NamedTuple):
    """A name that a model refers to and the files of entities lack."""

    model_id: str
    """The model."""
    key: str
    """Where it uses the name, as `training.datasets`."""
    name: str
    """The name."""


@cache
def datasets() -> tuple[Dataset, ...]:
    """All data sets, by name.

    Raises:
        UserError: the file is not valid; names the file, the data set and the key.
    """
    return parse_datasets(_shipped(DATASETS), DATASETS)


@cache
def algorithms() -> tuple[Algorithm, ...]:
    """All ways of training, by name.

    Raises:
        UserError: the file is not valid; names the file, the algorithm and the key.
    """
    return parse_algorithms(_shipped(ALGORITHMS), ALGORITHMS)


def get_dataset(name: str) -> Dataset:
    """The data set of a name such as `FineWeb-Edu`; upper case is forgiven.

    Raises:
        UserError: there is none; names those that are spelled nearly the same.
    """
    return pick(name, {entity.name: entity for entity in datasets()}, "data set", "slm models datasets")


def get_algorithm(name: str) -> Algorithm:
    """The algorithm of a name such as `knowledge distillation`; upper case is forgiven.

    Raises:
        UserError: there is none; names those that are spelled nearly the same.
    """
    return pick(name, {entity.name: entity for entity in algorithms()}, "algorithm", "slm models algorithms")


def models_using(name: str, among: Iterable[Model] | None = None) -> tuple[Model, ...]:
    """The models that were trained on a data set or with an algorithm.

    Args:
        name: its exact name.
        among: the models to look at; None: all of the catalogue.
    """
    asked = models() if among is None else among
    return tuple(model for model in asked if any(name in names for names in _used(model.training).values()))


def unknown_entities(among: Iterable[Model]) -> tuple[UnknownEntity, ...]:
    """The names that models refer to and the files of entities lack."""
    known_datasets = {entity.name for entity in datasets()}
    known_algorithms = {entity.name for entity in algorithms()}
    return tuple(
        UnknownEntity(model.id, f"training.{key}", name)
        for model in among
        for key, names in _used(model.training).items()
        for name in names
        if name not in (known_algorithms if key == "algorithms" else known_datasets)
    )


def parse_datasets(text: str, filename: str) -> tuple[Dataset, ...]:
    """The data sets of a TOML text of `[[datasets]]` tables.

    Raises:
        UserError: not TOML, or not valid; names the file, the data set and the key.
    """
    found = read(text, filename, Datasets, "name").datasets
    refuse(filename, [*_problems(found), *_bad_sizes(found)])
    return found


def parse_algorithms(text: str, filename: str) -> tuple[Algorithm, ...]:
    """The algorithms of a TOML text of `[[algorithms]]` tables.

    Raises:
        UserError: not TOML, or not valid; names the file, the algorithm and the key.
    """
    found = read(text, filename, Algorithms, "name").algorithms
    refuse(filename, _problems(found))
    return found


def _shipped(filename: str) -> str:
    return (resources.files("slm_atlas.catalog") / "data" / filename).read_text(encoding="utf-8")


def _used(training: Training) -> dict[str, tuple[str, ...]]:
    """The names a model refers to, by the key that holds them."""
    return {key: getattr(training, key) for key in ("datasets", "finetune_datasets", "algorithms")}


def _problems(entities: Sequence[Dataset | Algorithm]) -> Iterator[str]:
    names = [entity.name for entity in entities]
    lower = Counter(name.lower() for name in names)  # `pick` does not tell upper and lower case apart
    for entity in entities:
        if lower[entity.name.lower()] > 1:
            yield f"{entity.name}: $.name: stands there more than once"
        if entity.year not in YEARS:
            yield f"{entity.name}: $.year: {entity.year} is not from {YEARS[0]} to {YEARS[-1]}"
        if not entity.source.where.strip():
            yield f"{entity.name}: $.source.where: is empty"
    for before, after in pairwise(names):
        if before.lower() > after.lower():
            yield f"{after}: $.name: belongs before {before}"


def _bad_sizes(entities: Iterable[Dataset]) -> Iterator[str]:
    for entity in entities:
        if entity.tokens_billion is not None and entity.tokens_billion <= 0:
            yield f"{entity.name}: $.tokens_billion: {entity.tokens_billion} is not positive"
