"""What all files of the catalogue share: TOML into structs, errors that name table and key, and finding by name."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

import msgspec

from slm_atlas.errors import UserError

File = TypeVar("File", bound=msgspec.Struct)
Entry = TypeVar("Entry")

_IN_TABLE = re.compile(r"(?P<what>.*) - at `\$\.(?P<tables>\w+)\[(?P<index>\d+)\](?P<path>.*)`")


def read(text: str, filename: str, kind: type[File], label: str) -> File:
    """The struct of a file that is a list of tables.

    Args:
        text: the TOML.
        filename: what to call it in errors.
        kind: the struct.
        label: the key that names a table, such as `id`.

    Raises:
        UserError: not TOML, or a key that is unknown, missing or of the wrong type; names the file, the table and the
            key, as `smollm.toml: smollm-135m: $.architecture.hidden: Expected ...`.
    """
    try:
        data = tomllib.loads(text)
        return msgspec.convert(data, kind)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{filename}: {error}") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{filename}: {_locate(str(error), data, label)}") from None


def refuse(filename: str, problems: Iterable[str]) -> None:
    """Raises a UserError of all problems, if there are any."""
    if found := "; ".join(problems):
        raise UserError(f"{filename}: {found}")


def pick(name: str, entries: Mapping[str, Entry], kind: str, listing: str) -> Entry:
    """The entry of a name; upper and lower case are not told apart.

    Args:
        name: what is looked for.
        entries: all there are, by name.
        kind: what they are, such as `model`.
        listing: the command that lists them.

    Raises:
        UserError: there is none; names those that are spelled nearly the same.
    """
    known = {entry.lower(): entry for entry in entries}
    if found := known.get(name.lower()):
        return entries[found]
    near = [known[key] for key in get_close_matches(name.lower(), known, n=3)]
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"No {kind} '{name}' in the catalogue.{hint}", listing)


def _locate(error: str, data: dict[str, Any], label: str) -> str:
    """An error of msgspec, with the table's name in place of its number."""
    match = _IN_TABLE.fullmatch(error)
    if match is None:
        return error
    tables, index = match["tables"], int(match["index"])
    table = data[tables][index]
    number = f"{tables.removesuffix('s')} {index + 1}"
    name = table.get(label) if isinstance(table, dict) else None
    return f"{name or number}: ${match['path']}: {match['what']}"
