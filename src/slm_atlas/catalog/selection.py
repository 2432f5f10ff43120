"""Which models of the catalogue are wanted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from slm_atlas.catalog.equivalents import runnable
from slm_atlas.catalog.load import models
from slm_atlas.catalog.schema import Model


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
    """Trained or tuned on this data set."""
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
            and (self.year is None or model.release.startswith(f"{self.year}-"))
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
            and (self.dataset is None or _holds(_datasets(model), self.dataset))
            and (self.algorithm is None or _holds(model.training.algorithms, self.algorithm))
            and (self.runnable is None or self.runnable == (runnable(model) is not None))
        )


def select(selection: Selection) -> tuple[Model, ...]:
    """The models wanted."""
    return tuple(filter(selection.has, models()))


def _datasets(model: Model) -> tuple[str, ...]:
    return (*model.training.datasets, *model.training.finetune_datasets)


def _holds(names: Iterable[str], wanted: str) -> bool:
    return wanted.lower() in (name.lower() for name in names)
