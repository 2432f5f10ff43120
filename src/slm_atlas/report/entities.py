"""The data sets and ways of training as the page lists them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from slm_atlas import units
from slm_atlas.catalog.entities import algorithms, datasets, models_using
from slm_atlas.report.tables import NOT_MEASURED


class Listing(NamedTuple):
    """A table of text."""

    title: str
    """What it lists."""
    columns: Sequence[str]
    """Headings."""
    rows: Sequence[Sequence[str]]
    """Its lines."""


@cache
def listings() -> tuple[Listing, ...]:
    """All data sets and all ways of training, with how many models use each."""
    sets = [
        [
            entity.name, entity.organization, str(entity.year), "open" if entity.open else "not open",
            units.format_count(entity.tokens_billion * 1e9) if entity.tokens_billion else NOT_MEASURED,
            entity.license or "unknown", entity.content, entity.filtered, _used(entity.name),
            f"{entity.source.kind}: {entity.source.where}",
        ]
        for entity in datasets()
    ]  # fmt: skip
    ways = [
        [each.name, each.what, each.paper, str(each.year), _used(each.name), f"{each.source.kind}: {each.source.where}"]
        for each in algorithms()
    ]
    set_columns = ("Data set", "Made by", "Year", "Open", "Tokens", "Licence", "Holds", "Filtered", "Models", "Source")
    way_columns = ("Way of training", "What it does", "Paper", "Year", "Models", "Source")
    return (Listing("Data sets", set_columns, sets), Listing("Ways of training", way_columns, ways))


def _used(name: str) -> str:
    return str(len(models_using(name)))
