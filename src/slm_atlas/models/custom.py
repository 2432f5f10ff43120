"""A shape of one's own, from a file: the catalogue's keys in TOML, or a model's config.json."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from slm_atlas.catalog import huggingface
from slm_atlas.catalog.architecture import Architecture, Struct
from slm_atlas.catalog.checks import shape_problems
from slm_atlas.catalog.reading import read, refuse
from slm_atlas.errors import UserError


class _Named(Struct, frozen=True, kw_only=True):
    """The keys may stand alone, or under `[architecture]`."""

    architecture: Architecture


def read_architecture(path: Path) -> Architecture:
    """The architecture a file describes.

    Args:
        path: `NAME.toml` with the keys of `[models.architecture]`, or a config.json.

    Raises:
        UserError: there is no such file, or it is neither; names the key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"There is no file {path}.", "slm forge --help") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}.") from None
    if path.suffix == ".json":
        return _from_config(text, path.name)
    return _from_toml(text, path.name)


def _from_config(text: str, name: str) -> Architecture:
    try:
        config = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{name}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{name} is not the configuration of a model.")
    return _checked(huggingface.architecture(config), name)


def _from_toml(text: str, name: str) -> Architecture:
    named = _has_heading(text)
    arch = read(text, name, _Named, "id").architecture if named else read(text, name, Architecture, "id")
    return _checked(arch, name)


def _has_heading(text: str) -> bool:
    try:
        return "architecture" in tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return False  # `read` says what is wrong


def _checked(arch: Architecture, name: str) -> Architecture:
    refuse(name, shape_problems(arch))
    return arch
