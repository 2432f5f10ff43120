"""Reading the catalogue: the models in `data/models/*.toml`, checked, and found by name or by what they are."""

from __future__ import annotations

from functools import cache
from importlib import resources

from slm_atlas.catalog.checks import check, repeated_ids
from slm_atlas.catalog.reading import pick, read, refuse
from slm_atlas.catalog.schema import Family, Model
from slm_atlas.errors import UserError


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
    return pick(model_id, {model.id: model for model in models()}, "model", "slm models list")


def parse(text: str, filename: str) -> tuple[Model, ...]:
    """The models of a family's TOML.

    Args:
        text: `[[models]]` tables in the form of `schema.Model`.
        filename: what to call the text in errors.

    Raises:
        UserError: not TOML, a key that is unknown, missing or of the wrong type, or a problem `check` finds; names the
            file, the model and the key, as `smollm.toml: smollm-135m: $.architecture.hidden: Expected ...`.
    """
    family = read(text, filename, Family, "id")
    refuse(filename, [f"{model.id}: {problem}" for model in family.models for problem in check(model)])
    return family.models
