"""`slm models datasets` and `slm models algorithms`: what the models were trained on, and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import click
import msgspec

from slm_atlas.catalog.entities import algorithms, datasets, get_algorithm, get_dataset, models_using
from slm_atlas.catalog.schema import Algorithm, Dataset, Model
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table
from slm_atlas.units import format_count

DATASET_COLUMNS = ("Data set", "Tokens", "Year", "Open", "By", "Used by")
ALGORITHM_COLUMNS = ("Algorithm", "Year", "Models", "Used by")


@click.command("datasets", epilog="Example: slm models datasets FineWeb-Edu")
@click.argument("name", required=False)
@json_option
def datasets_command(name: str | None, json: bool) -> None:
    """List the data sets that models were trained on, or show the one called NAME."""
    found = datasets() if name is None else (get_dataset(name),)
    if json:
        _print_json(found, one=name is not None)
    elif name is None:
        print_table(DATASET_COLUMNS, map(_dataset_row, found), right=("Tokens", "Year"))
    else:
        _print_dataset(found[0])


@click.command("algorithms", epilog='Example: slm models algorithms "knowledge distillation"')
@click.argument("name", required=False)
@json_option
def algorithms_command(name: str | None, json: bool) -> None:
    """List the ways of training that set models apart, or show the one called NAME."""
    found = algorithms() if name is None else (get_algorithm(name),)
    if json:
        _print_json(found, one=name is not None)
    elif name is None:
        print_table(ALGORITHM_COLUMNS, map(_algorithm_row, found), right=("Year", "Models"))
    else:
        _print_algorithm(found[0])


def families(models: Iterable[Model]) -> str | None:
    """The families of models, each with how many there are; None: no model."""
    counts = Counter(model.family for model in models)
    return ", ".join(f"{family} ({count})" if count > 1 else family for family, count in counts.items()) or None


def _dataset_row(entity: Dataset) -> tuple[object, ...]:
    open_or_not = "yes" if entity.open else "no"
    users = families(models_using(entity.name))
    return (entity.name, _tokens(entity), entity.year, open_or_not, entity.organization, users)


def _algorithm_row(entity: Algorithm) -> tuple[object, ...]:
    users = models_using(entity.name)
    return (entity.name, entity.year, len(users), families(users))


def _print_dataset(entity: Dataset) -> None:
    fields = {
        "by": f"{entity.organization}, {entity.year}",
        "tokens": _tokens(entity),
        "licence": entity.license,
        "open": "yes" if entity.open else "no",
        "content": entity.content,
        "filtered": entity.filtered,
        **_footer(entity),
    }
    print_fields(entity.name, fields)


def _print_algorithm(entity: Algorithm) -> None:
    fields = {"what": entity.what, "paper": entity.paper, "year": entity.year, **_footer(entity)}
    print_fields(entity.name, fields)


def _footer(entity: Dataset | Algorithm) -> dict[str, object]:
    users = ", ".join(model.id for model in models_using(entity.name))
    return {"source": f"{entity.source.kind}: {entity.source.where}", "used by": users or None}


def _print_json(entities: Sequence[Dataset | Algorithm], *, one: bool) -> None:
    documents = [
        {**msgspec.structs.asdict(entity), "models": [model.id for model in models_using(entity.name)]}
        for entity in entities
    ]
    print_json(documents[0] if one else documents)


def _tokens(entity: Dataset) -> str | None:
    return None if entity.tokens_billion is None else format_count(entity.tokens_billion * 1e9)
