"""The catalogue's TOML, written: the tables of an architecture, and the draft of a new model."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping

import msgspec

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Equivalent

WIDTH = 120
"""Longest line, where a list can be broken."""

_UNGROUPED = 10_000
"""Whole numbers below it are written without underscores, as a context of 2048."""


# ---- values --------------------------------------------------------------------------------------------------------


def value(given: object) -> str:
    """A value in the catalogue's style.

    >>> value(50304), value(2048), value(1e-5), value(10_000.0), value("silu"), value([1, 2])
    ('50_304', '2048', '1e-5', '10_000.0', '"silu"', '[1, 2]')
    """
    if isinstance(given, msgspec.Struct):
        return _inline(fields(given))
    if isinstance(given, Mapping):
        return _inline({json.dumps(name) if "." in name else name: one for name, one in given.items()})
    if isinstance(given, list | tuple):
        return f"[{', '.join(map(value, given))}]"
    if isinstance(given, bool | str):
        return json.dumps(given, ensure_ascii=False)
    return _float(given) if isinstance(given, float) else f"{given:_}" if _grouped(given) else str(given)


def fields(struct: msgspec.Struct) -> dict[str, object]:
    """The fields of a struct that are not at their default."""
    found = {}
    for info in msgspec.structs.fields(type(struct)):
        given = getattr(struct, info.name)
        if info.required or given != info.default:
            found[info.name] = given
    return found


def table(header: str, content: Mapping[str, object]) -> str:
    """A table with its equals signs below each other: single values first, then inner tables, then lists of them."""
    ordered = sorted(content.items(), key=lambda item: _rank(item[1]))
    width = max(map(len, content), default=0)
    lines = [_line(f"{name:{width}} = ", given) for name, given in ordered]
    return "\n".join((header, *lines)) + "\n"


def architecture(arch: Architecture) -> str:
    """The table `[models.architecture]`."""
    return table("[models.architecture]", fields(arch))


def equivalent(given: Equivalent) -> str:
    """The table `[models.equivalent]`."""
    return table("[models.equivalent]", {"changes": given.changes, "differs": given.differs})


def _grouped(given: object) -> bool:
    return isinstance(given, int) and abs(given) >= _UNGROUPED


def _float(given: float) -> str:
    if given.is_integer() and abs(given) < 1e15:
        whole = int(given)
        return f"{whole:_}.0" if _grouped(whole) else f"{whole}.0"
    mantissa, exponent, power = repr(given).partition("e")
    return f"{mantissa}e{int(power)}" if exponent else mantissa


def _inline(content: Mapping[str, object]) -> str:
    inner = ", ".join(f"{name} = {value(given)}" for name, given in content.items())
    return f"{{ {inner} }}"


def _rank(given: object) -> int:
    """Where a value stands in a table: single ones first, as in the files written by hand."""
    if isinstance(given, msgspec.Struct | Mapping):
        return 1
    return 2 if isinstance(given, tuple) and given and isinstance(given[0], msgspec.Struct) else 0


def _line(start: str, given: object) -> str:
    """A line of a table; one that is too long is broken inside its lists, the only place where TOML lets it be."""
    whole = start + value(given)
    if len(whole) <= WIDTH:
        return whole
    if isinstance(given, list | tuple):
        return f"{start}{_broken(given)}"
    if isinstance(given, msgspec.Struct) and any(isinstance(one, tuple) for one in fields(given).values()):
        parts = (f"{name} = {_broken_if_long(one)}" for name, one in fields(given).items())
        return f"{start}{{ {', '.join(parts)} }}"
    return whole


def _broken_if_long(given: object) -> str:
    return _broken(given) if isinstance(given, tuple) and len(value(given)) > WIDTH // 4 else value(given)


def _broken(items: list[object] | tuple[object, ...]) -> str:
    """A list over several lines: one entry a line, or numbers that fill them."""
    texts = [value(item) for item in items]
    if all(isinstance(item, int | float) for item in items):
        texts = textwrap.wrap(" ".join(f"{text}," for text in texts), WIDTH - 4)
    else:
        texts = [f"{text}," for text in texts]
    return "\n".join(("[", *(f"    {text}" for text in texts), "]"))
