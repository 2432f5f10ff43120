"""All that is said of the scores of a dataset beyond each by itself: domains, pairs, learning, published scores."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from slm_atlas.insights.answered import Model, models
from slm_atlas.insights.domains import Domain, Paired, domains, pairs
from slm_atlas.insights.frame import Dataset
from slm_atlas.insights.learning import Curve, curves
from slm_atlas.insights.published import Beside, beside
from slm_atlas.insights.scores import Score

FEW = 3
"""With more models than this, pairs are shown by domain alone: there are too many."""


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """What one model can do."""

    model: str
    """Its name, as no other has it."""
    artifact: str
    """sha256 of its file."""
    host: str
    """Id of the machine."""
    scores: dict[str, Score]
    """Its scores by task."""
    domains: list[Domain]
    """Its averages in the survey's domains."""
    published: list[Beside]
    """What its maker publishes, beside ours."""


class Capability(msgspec.Struct, frozen=True, kw_only=True):
    """What models can do, and how they differ."""

    models: list[Ability]
    """A model each."""
    pairs: list[Paired]
    """Every two of them on the same items."""
    learning: list[Curve]
    """Their curves over worked examples."""

    @property
    def shown_pairs(self) -> list[Paired]:
        """The pairs, by domain alone where there are many models."""
        return [pair for pair in self.pairs if pair.is_domain or len(self.models) <= FEW]


def capability(dataset: Dataset) -> Capability:
    """All of it; empty lists where nothing was evaluated."""
    found = models(dataset)
    return Capability(models=_abilities(dataset, found), pairs=pairs(found), learning=curves(found))


def _abilities(dataset: Dataset, found: Sequence[Model]) -> list[Ability]:
    return [_ability(dataset, model) for model in found]


def _ability(dataset: Dataset, model: Model) -> Ability:
    artifact = dataset.artifacts[model.artifact]
    scores = {task: each.score for task, each in model.tasks.items()}
    plain = artifact.name.removesuffix(f" (from {artifact.requantized_from})")
    return Ability(
        model=model.name,
        artifact=model.artifact,
        host=model.host,
        scores=scores,
        domains=domains(scores),
        published=beside(plain, scores),
    )
