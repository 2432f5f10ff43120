"""Recognizes a run that measured nothing: its answers say more about a fault than about the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from slm_atlas.store.records import Sample

MIN_ITEMS = 20
"""Fewer items prove no fault: a model may answer a few alike by chance."""


class Choice(msgspec.Struct, frozen=True):
    """One item of a multiple-choice task, as it was answered."""

    scores: tuple[float, ...]
    """What decides among the choices: their log-likelihoods, normalized as the metric does."""
    target: int
    """Which is right."""

    @property
    def chosen(self) -> int:
        """The first of the best."""
        return self.scores.index(max(self.scores))


def choices_of(samples: Iterable[Sample]) -> list[Choice]:
    """The items of a multiple-choice task among samples, by their plain log-likelihoods; others are left out."""
    found = []
    for sample in samples:
        detail = sample.detail or {}
        target = str(detail.get("target"))
        if len(detail.get("logprobs", ())) > 1 and target.isdecimal():
            found.append(Choice(scores=tuple(detail["logprobs"]), target=int(target)))
    return found


def fault(items: Sequence[Choice]) -> str | None:
    """Why a run is broken; None where nothing shows that it is.

    - A score that is no number: the engine computed nothing.
    - On every item all choices score alike: the engine gives no likelihoods, or the choices are empty.
    - On every item the same of three or more places is chosen, though the right one varies: a token is always at hand
      (a missing space, a broken template). With two choices, that is what a weak model does (it always says yes).
    """
    for number, item in enumerate(items):
        if any(math.isnan(score) for score in item.scores):
            return f"item {number} has a likelihood that is no number"
    several = [item for item in items if len(item.scores) > 1]
    if len(several) < MIN_ITEMS:
        return None
    if all(min(item.scores) == max(item.scores) for item in several):
        return f"all choices score alike on all {len(several)} items: no likelihoods were measured"
    wide = [item for item in several if len(item.scores) > 2]
    if len(wide) >= MIN_ITEMS and len({item.chosen for item in wide}) == 1 < len({item.target for item in wide}):
        letter = chr(ord("A") + wide[0].chosen)
        return f"choice {letter} is taken on all {len(wide)} items, though the right one varies"
    return None
