"""Records as rows of a table and back: one column a field, JSON where the field holds a dict."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from math import isfinite
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import msgspec

from slm_atlas.store.records import Struct

R = TypeVar("R", bound=Struct)


def columns(kind: type[Struct]) -> str:
    """The columns of a record's table, quoted, in the order of its fields."""
    return ", ".join(f'"{name}"' for name in kind.__struct_fields__)


def to_row(record: Struct) -> tuple[object, ...]:
    """The values of a record's columns.

    Raises:
        ValueError: a number in it is NaN or infinite; SQLite and JSON would both turn it into nothing.
    """
    return tuple(column(record, name) for name in record.__struct_fields__)


def column(record: Struct, name: str) -> object:
    """The value of one column of a record.

    Raises:
        ValueError: a number in it is NaN or infinite.
    """
    value: object = getattr(record, name)
    try:
        if isinstance(value, dict):
            return json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{value} is not a number to store")
    except ValueError as error:
        raise ValueError(f"{type(record).__name__}.{name}: {error}") from error
    return value


def from_row(kind: type[R], row: Sequence[Any]) -> R:
    """The record whose columns hold these values."""
    values = dict(zip(kind.__struct_fields__, row, strict=True))
    for name, decode in _decoders(kind).items():
        if values[name] is not None:
            values[name] = decode(values[name])
    return msgspec.convert(values, kind)


@cache
def _decoders(kind: type[Struct]) -> Mapping[str, Callable[[Any], Any]]:
    """How to read the columns that SQLite does not hold as they are."""
    known: dict[Any, Callable[[Any], Any]] = {dict: msgspec.json.decode, bool: bool}
    decoders = {}
    for field in msgspec.structs.fields(kind):
        parts = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
        for part in parts:
            decode = known.get(get_origin(part) or part)
            if decode is not None:
                decoders[field.name] = decode
    return decoders
