"""What runs a model: llama.cpp, llama.cpp with some fields of the architecture changed, transformers, or nothing."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Any

import msgspec

from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.configs import config_of
from slm_atlas.catalog.schema import Model


class Runs(StrEnum):
    """What runs a model, by the first of these that can."""

    NATIVE = "llama.cpp"
    """llama.cpp has its architecture."""
    EQUIVALENT = "llama.cpp, as an equivalent shape"
    """llama.cpp runs a shape that costs nearly the same; `Model.equivalent` says what differs."""
    TRANSFORMERS = "transformers only"
    """transformers has a class for it."""
    NOWHERE = "nothing without its authors' code"
    """Only code published with the weights builds it."""


def runs(model: Model) -> Runs:
    """What runs a model."""
    if model.architecture.gguf is not None:
        return Runs.NATIVE
    if model.equivalent is not None:
        return Runs.EQUIVALENT
    config = config_of(model.id)
    return Runs.TRANSFORMERS if config is not None and config.native else Runs.NOWHERE


def runnable(model: Model) -> Architecture | None:
    """The architecture to forge for a model: its own, its equivalent's, or None where llama.cpp runs neither.

    Raises:
        msgspec.ValidationError: the equivalent changes a field that the architecture does not have, or to a value that
            it cannot have.
    """
    if model.architecture.gguf is not None:
        return model.architecture
    if model.equivalent is None:
        return None
    return _changed(model.architecture, tuple(model.equivalent.changes.items()))


@lru_cache(maxsize=256)
def _changed(arch: Architecture, changes: tuple[tuple[str, object], ...]) -> Architecture:
    table: dict[str, Any] = msgspec.to_builtins(arch)
    for field, value in changes:
        *path, last = field.split(".")
        inner: object = table
        for key in path:
            inner = inner.get(key) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise msgspec.ValidationError(f"`{field}` is not a field of the architecture")
        inner[last] = value
    return msgspec.convert(table, Architecture)
