"""Hashes that name things by their content: equal content, equal name, on every machine and in every version."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec


def run_key(**parts: Any) -> str:
    """The key of a run: the hash of whatever determines its result.

    The order of the parts does not matter, and `1.0` is `1`, so that a setting written either way is measured once.

    >>> run_key(artifact="ab12", n_prompt=50, temperature=0.0) == run_key(temperature=0, n_prompt=50, artifact="ab12")
    True

    Raises:
        TypeError: a part is not data (numbers, strings, None, lists, dicts, enums, msgspec structs).
        ValueError: a number is NaN or infinite.
    """
    return content_hash(parts)


def content_hash(value: object) -> str:
    """The sha256, in hexadecimal, of a value's canonical JSON: keys sorted, no whitespace, shortest exact numbers.

    >>> content_hash({"b": [1, 2.5], "a": None})[:16]
    'e57f5d37865437a8'

    Raises:
        TypeError: the value is not data.
        ValueError: a number is NaN or infinite.
    """
    data = _canonical(msgspec.to_builtins(value, order="deterministic", str_keys=True))
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _canonical(data: object) -> object:
    """The same data with whole floats as integers."""
    match data:
        case float() if data.is_integer():
            return int(data)
        case dict():
            return {key: _canonical(value) for key, value in data.items()}
        case list() | tuple():
            return [_canonical(value) for value in data]
        case _:
            return data
