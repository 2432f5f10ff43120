"""What llama.cpp runs in place of a model it cannot run: the model's architecture with some fields changed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Model


@lru_cache(maxsize=512)
def runnable(model: Model) -> Architecture | None:
    """The architecture to forge for a model: its own, its equivalent's, or None where llama.cpp runs neither.

    Raises:
        msgspec.ValidationError: the equivalent changes a field that an architecture does not have.
    """
    if model.architecture.gguf is not None or model.equivalent is None:
        return model.architecture if model.architecture.gguf is not None else None
    table: dict[str, Any] = msgspec.to_builtins(model.architecture)
    for field, value in model.equivalent.changes.items():
        *path, last = field.split(".")
        inner = table
        for key in path:
            inner = inner[key]
        inner[last] = value
    return msgspec.convert(table, Architecture)
