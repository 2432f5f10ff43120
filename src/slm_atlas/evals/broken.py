"""Recognizes a run that measured nothing: its answers say more about a fault than about the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from slm_atlas.store.records import Sample

MIN_ITEMS = 20
"""Fewer items prove no fault: a model may answer a few alike by chance."""


class Choice(msgspec.Struct, frozen=True):
    """One item as its likelihoods answer it; of a text that is only scored, there is one."""

    scores: tuple[float, ...]
    """What decides among the choices: their log-likelihoods, normalized as the metric does."""
    target: int | str
    """Which is right: its place, or its text."""

    @property
    def chosen(self) -> int:
        """The first of the best."""
        return self.scores.index(max(self.scores))


def choices_of(samples: Iterable[Sample]) -> list[Choice]:
    """The items of a run that were answered by likelihoods; none of what was generated."""
    details = [sample.detail for sample in samples if sample.detail]
    chosen = [Choice(tuple(each["logprobs"]), _place(each.get("target"))) for each in details if each.get("logprobs")]
    rolling = [Choice((each["loglikelihood"],), 0) for each in details if "loglikelihood" in each]
    return [*chosen, *rolling]


def _place(target: object) -> int | str:
    return target if isinstance(target, int) else str(target)


def fault(items: Sequence[Choice]) -> str | None:
    """Why a run is broken; None where nothing shows that it is.

    - A likelihood that is not a finite number, or the same one whatever was asked: the engine computed nothing.
    - On every item all choices score alike: the engine gives no likelihoods, or the choices are empty.
    - On every item the same of three or more places is chosen, though the right one varies: a token is always at hand
      (a missing space, a broken template). With two choices, that is what a weak model does (it always says yes).
    """
    for number, item in enumerate(items):
        if not all(map(math.isfinite, item.scores)):
            return f"item {number} has a likelihood that is no finite number"
    scores = [score for item in items for score in item.scores]
    if len(scores) > 1 and len(set(scores)) == 1:
        return f"all {len(scores)} log probabilities are {scores[0]:g}: the engine does not score"
    several = [item for item in items if len(item.scores) > 1]
    return _habit(several) if len(several) >= MIN_ITEMS else None


def _habit(several: Sequence[Choice]) -> str | None:
    """What is done on every item alike, of items with several choices."""
    if all(min(item.scores) == max(item.scores) for item in several):
        return f"all choices score alike on all {len(several)} items: no likelihoods were measured"
    wide = [item for item in several if len(item.scores) > 2]
    if len(wide) >= MIN_ITEMS and len({item.chosen for item in wide}) == 1 < len({item.target for item in wide}):
        letter = chr(ord("A") + wide[0].chosen)
        return f"choice {letter} is taken on all {len(wide)} items, though the right one varies"
    return None
