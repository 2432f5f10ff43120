"""The catalogue's TOML, written: the tables of an architecture, and the draft of a new model."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Equivalent, Source, SourceKind

WIDTH = 120
"""Longest line, where a list can be broken."""

_UNGROUPED = 10_000
"""Whole numbers below it are written without underscores, as a context of 2048."""


class Identity(NamedTuple):
    """What a draft can know of a model besides its architecture."""

    id: str
    """Its name on the command line."""
    name: str
    """The name its authors gave it."""
    family: str
    """The family it belongs to."""
    hub_id: str | None
    """owner/name on the model hub; None: not there."""
    where: str
    """Where its architecture was read."""


def draft(arch: Architecture, identity: Identity, *, params: int) -> str:
    """A `[[models]]` table whose placeholders its `doubts` name.

    Args:
        arch: how the model is built.
        identity: what else is known of it.
        params: its exact number of parameters.
    """
    head: dict[str, object] = {
        "id": identity.id,
        "name": identity.name,
        "family": identity.family,
        "organization": "?",
        "release": "1970-01",
        "license": "?",
        "variant": "base",
        **({} if identity.hub_id is None else {"hub_id": identity.hub_id}),
        "params": params,
        "verified": "formula",
        **({} if arch.gguf is not None else {"not_run": "?"}),
        "doubts": _doubts(arch),
    }
    tables = [table("[[models]]", head), architecture(arch), "[models.training]\n", _sources(identity.where)]
    return "\n".join(tables)


def file_name(family: str) -> str:
    """The file of a family.

    >>> file_name("Own Models")
    'own-models.toml'
    """
    return re.sub(r"[ /]+", "-", family.lower()) + ".toml"


def _doubts(arch: Architecture) -> tuple[str, ...]:
    placeholders = "Drafted: organization, release, license, variant and the sources that say ? are placeholders."
    training = "Drafted: training is empty."
    runs = "Drafted: llama.cpp does not run it: a shape that costs the same (equivalent), or the reason (not_run)?"
    return (placeholders, training) if arch.gguf is not None else (placeholders, training, runs)


def _sources(where: str) -> str:
    unknown = Source(kind=SourceKind.RECALLED, where="?")
    return table(
        "[models.sources]",
        {
            "identity": unknown,
            "params": Source(kind=SourceKind.DERIVED, where="added up from the tensors of its architecture"),
            "architecture": Source(kind=SourceKind.REPORTED, where=where),
            "training": unknown,
        },
    )


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
        # JSON lets the one control character stand that TOML does not.
        return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")
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
    """A table with its equals signs below each other; an inner table that is too long for a line follows as its own."""
    width = max(map(len, content), default=0)
    lines, inner = [header], []
    for name, given in content.items():
        line = f"{name:{width}} = {value(given)}"
        if len(line) <= WIDTH or not isinstance(given, msgspec.Struct | list | tuple):
            lines.append(line)
        elif isinstance(given, msgspec.Struct):
            inner.append(table(f"{header[:-1]}.{name}]", fields(given)))
        else:
            lines.append(f"{name:{width}} = {_broken(given)}")
    return "\n".join(("\n".join(lines) + "\n", *inner))


def architecture(arch: Architecture) -> str:
    """The table `[models.architecture]`, single values before inner tables."""
    ordered = sorted(fields(arch).items(), key=lambda item: isinstance(item[1], msgspec.Struct | tuple))
    return table("[models.architecture]", dict(ordered))


def equivalent(given: Equivalent) -> str:
    """The table `[models.equivalent]`."""
    return table("[models.equivalent]", fields(given))


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


def _broken(items: Sequence[object]) -> str:
    """A list over several lines: one entry a line, or numbers that fill them."""
    texts = [value(item) for item in items]
    if all(isinstance(item, int | float) for item in items):
        texts = textwrap.wrap(" ".join(f"{text}," for text in texts), WIDTH - 4)
    else:
        texts = [f"{text}," for text in texts]
    return "\n".join(("[", *(f"    {text}" for text in texts), "]"))
