"""What the store says of capability: one file a real model, its scores, and what examples gain (claims D2, C, I, X)."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from slm_atlas.catalog import Model
from slm_atlas.insights.answered import Model as Answers
from slm_atlas.insights.claims.abilities import ABILITIES, Scored
from slm_atlas.insights.claims.evidence import Evidence, year_of
from slm_atlas.insights.domains import DOMAINS, domains
from slm_atlas.insights.learning import curves
from slm_atlas.insights.scores import Score
from slm_atlas.stats import Estimate

PAPER_SUITE = "slm eval MODEL --suite paper --data DIR"
"""What gives all tasks of the survey's domains."""
ICL_SUITE = "slm eval MODEL --suite icl --data DIR"
"""What gives tasks with and without worked examples."""
EXAMPLES = 5
"""Worked examples that claims speak of; more count too."""
DOMAIN = dict(zip(ABILITIES, tuple(DOMAINS), strict=False))
"""By panel of Figure 5, the domain of our tasks."""


class Evaluated(NamedTuple):
    """A real model, as the one of its files that says most."""

    name: str
    """The name of its file."""
    params: int
    """Parameters; 0: not told."""
    model: Model | None
    """The catalogue's model; None where it is none of them."""
    answers: Answers
    """Its tasks, and what it answered."""

    @property
    def scores(self) -> dict[str, Score]:
        """The scores that are shares, by task."""
        return {task: each.score for task, each in self.answers.tasks.items() if each.score.is_share}


def evaluated(evidence: Evidence) -> list[Evaluated]:
    """The real models with scores, the smallest first.

    Of several files of a model (formats, precisions) one counts: they are no models of their own. It is the one with
    the most tasks, then the largest, whose weights lost the least; never the one that scored best. What a file answered
    on several machines is taken together, the evaluation of the most items for each task.
    """
    best: dict[str, tuple[tuple[int, int, str], Answers]] = {}
    for answers in _whichever_machine(evidence.answers):
        file = evidence.dataset.artifacts[answers.artifact]
        key = file.model_id or file.name.removesuffix(f" (from {file.requantized_from})")
        rank = (len(answers.tasks), file.size_bytes or 0, answers.name)
        if key not in best or rank > best[key][0]:
            best[key] = (rank, answers)
    return [_evaluated(evidence, answers) for _, answers in best.values()]


def _evaluated(evidence: Evidence, answers: Answers) -> Evaluated:
    file = evidence.dataset.artifacts[answers.artifact]
    return Evaluated(file.name, file.params or 0, evidence.model(answers.artifact), answers)


def _whichever_machine(found: Sequence[Answers]) -> list[Answers]:
    """A file's tasks in one precision, from all machines."""
    merged: dict[tuple[str, str | None], Answers] = {}
    for one in found:
        known = merged.setdefault((one.artifact, one.compute), one)
        both = sorted((*known.tasks.items(), *one.tasks.items()), key=lambda pair: pair[1].score.estimate.n)
        merged[one.artifact, one.compute] = known._replace(tasks=dict(both))
    return list(merged.values())


def common_tasks(found: Sequence[Evaluated]) -> tuple[str, ...]:
    """The tasks of a model that the most models have too, the longest list among equals."""
    lists = {tuple(sorted(one.scores)) for one in found if one.scores}
    return max(lists, key=lambda tasks: (len(_having(found, tasks)), len(tasks), tasks), default=())


def _having(found: Sequence[Evaluated], tasks: Sequence[str]) -> list[Evaluated]:
    return [one for one in found if all(task in one.scores for task in tasks)]


def mean_scores(found: Sequence[Evaluated]) -> tuple[tuple[str, ...], list[tuple[Evaluated, float]]]:
    """The tasks that the most models have in common, and the mean score over them of each model that has them."""
    tasks = common_tasks(found)
    able = _having(found, tasks) if tasks else []
    return tasks, [(one, statistics.fmean(one.scores[task].estimate.value for task in tasks)) for one in able]


def in_domain(evidence: Evidence, ability: str) -> list[Scored]:
    """The catalogue's models that were evaluated on all tasks of a panel of Figure 5, as its points are."""
    found = []
    for one in evaluated(evidence):
        domain = next((each for each in domains(one.scores) if each.name == DOMAIN[ability]), None)
        if one.model is not None and domain is not None and not domain.missing:
            maker, year = one.model.organization, year_of(one.model.release)
            value = domain.estimate.value
            found.append(Scored(one.model.name, maker, year, float(one.model.params), value, one.model))
    return found


def gains(one: Evaluated) -> Mapping[str, Estimate]:
    """By task, what five worked examples or more gain over none, on the same items."""
    return {
        curve.task: curve.gain
        for curve in curves([one.answers])
        if curve.tasks == 1 and curve.gain is not None and curve.fewest == 0 and curve.most >= EXAMPLES
    }
