"""Reading the catalogue: the models in `data/models/*.toml`, checked, and found by name or by what they are."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import resources
from typing import Any

import msgspec

from slm_atlas.catalog.checks import check, repeated_ids
from slm_atlas.catalog.equivalents import runnable
from slm_atlas.catalog.schema import Family, Model
from slm_atlas.errors import UserError

_IN_MODEL = re.compile(r"(?P<what>.*) - at `\$\.models\[(?P<index>\d+)\](?P<path>.*)`")


@cache
def models() -> tuple[Model, ...]:
    """All models of the catalogue, by family, small to large within one.

    Raises:
        UserError: a file of the catalogue is not valid; names the file, the model and the key.
    """
    folder = resources.files("slm_atlas.catalog") / "data" / "models"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    found = tuple(model for file in files for model in parse(file.read_text(encoding="utf-8"), file.name))
    if repeated := repeated_ids(found):
        raise UserError(f"The catalogue has more than one model called {', '.join(repeated)}.")
    return found


def get(model_id: str) -> Model:
    """The model with an id such as `smollm-135m`; upper case is forgiven.

    Raises:
        UserError: there is none; names those that are spelled nearly the same.
    """
    by_id = {model.id: model for model in models()}
    if found := by_id.get(model_id.lower()):
        return found
    near = get_close_matches(model_id.lower(), by_id, n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"No model '{model_id}' in the catalogue.{hint}", "slm models list")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which models are wanted: those that meet every condition given. Names are compared without regard to case."""

    family: str | None = None
    """Of this family."""
    organization: str | None = None
    """Made by it; a part of the name will do."""
    license: str | None = None
    """Under this licence; a part of the name will do."""
    year: int | None = None
    """Released in this year."""
    in_paper: bool | None = None
    """Counted in the survey's first version, or not."""
    min_params: int | None = None
    """Of at least so many parameters."""
    max_params: int | None = None
    """Of at most so many parameters."""
    attention: str | None = None
    """With this kind of attention."""
    ffn: str | None = None
    """With a `gated` or a `standard` feed-forward network."""
    dataset: str | None = None
    """Trained on this data set."""
    algorithm: str | None = None
    """Trained with this algorithm."""
    runnable: bool | None = None
    """That llama.cpp can run, itself or as an equivalent, or cannot."""

    def has(self, model: Model) -> bool:
        """Whether a model is wanted."""
        return self._is_named(model) and self._is_sized(model) and self._is_built(model)

    def _is_named(self, model: Model) -> bool:
        return (
            (self.family is None or self.family.lower() == model.family.lower())
            and (self.organization is None or self.organization.lower() in model.organization.lower())
            and (self.license is None or self.license.lower() in model.license.lower())
            and (self.year is None or model.release.startswith(str(self.year)))
            and (self.in_paper is None or self.in_paper == model.paper.v1)
        )

    def _is_sized(self, model: Model) -> bool:
        return (self.min_params is None or model.params >= self.min_params) and (
            self.max_params is None or model.params <= self.max_params
        )

    def _is_built(self, model: Model) -> bool:
        arch = model.architecture
        return (
            (self.attention is None or self.attention.lower() == arch.attention_kind.lower())
            and (self.ffn is None or (self.ffn == "gated") == arch.ffn.gated)
            and (self.dataset is None or _holds(model.training.datasets, self.dataset))
            and (self.algorithm is None or _holds(model.training.algorithms, self.algorithm))
            and (self.runnable is None or self.runnable == (runnable(model) is not None))
        )


def select(selection: Selection) -> tuple[Model, ...]:
    """The models wanted."""
    return tuple(filter(selection.has, models()))


def _holds(names: Iterable[str], wanted: str) -> bool:
    return wanted.lower() in (name.lower() for name in names)


def parse(text: str, filename: str) -> tuple[Model, ...]:
    """The models of a family's TOML.

    Args:
        text: `[[models]]` tables in the form of `schema.Model`.
        filename: what to call the text in errors.

    Raises:
        UserError: not TOML, a key that is unknown, missing or of the wrong type, or a problem `check` finds; names the
            file, the model and the key, as `smollm.toml: smollm-135m: $.architecture.hidden: Expected ...`.
    """
    try:
        data = tomllib.loads(text)
        family = msgspec.convert(data, Family)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{filename}: {error}") from None
    except msgspec.ValidationError as error:
        raise UserError(f"{filename}: {_locate(str(error), data)}") from None
    problems = [f"{model.id}: {problem}" for model in family.models for problem in check(model)]
    if problems:
        raise UserError(f"{filename}: {'; '.join(problems)}")
    return family.models


def _locate(error: str, data: dict[str, Any]) -> str:
    """An error of msgspec, with the model's id in place of its number."""
    match = _IN_MODEL.fullmatch(error)
    if match is None:
        return error
    index = int(match["index"])
    table = data["models"][index]
    model_id = table.get("id") if isinstance(table, dict) else None
    return f"{model_id or f'model {index + 1}'}: ${match['path']}: {match['what']}"
