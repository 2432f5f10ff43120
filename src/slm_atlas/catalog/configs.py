"""The Hugging Face configurations of the catalogue's models, from `data/configs/*.json`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from slm_atlas.catalog.architecture import Struct


class Config(Struct, frozen=True, kw_only=True):
    """The configuration of a model, as far as it decides its shape."""

    config: dict[str, Any]
    """Its keys and values as in `config.json`, corrected where that is wrong (`note` says so)."""
    native: bool
    """transformers has a class that builds it, without remote code."""
    transformers: tuple[str, ...] = ()
    """Versions of transformers seen to build it, or its equivalent where it is not native."""
    equivalent: dict[str, Any] | None = None
    """The configuration of another class with tensors of the same shapes; None: it is not needed, or there is none."""
    note: str | None = None
    """What to know of it."""


def config_of(model_id: str) -> Config | None:
    """The configuration of a model of the catalogue; None: it is not known."""
    return configs().get(model_id)


@cache
def configs() -> Mapping[str, Config]:
    """All configurations, by the model's id."""
    folder = resources.files("slm_atlas.catalog") / "data" / "configs"
    found: dict[str, Config] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".json"):
            found |= msgspec.json.decode(file.read_bytes(), type=dict[str, Config])
    return found
