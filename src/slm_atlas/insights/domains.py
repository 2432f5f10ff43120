"""The survey's domains: the average score of a model in each, and two models set side by side on the same items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec

from slm_atlas import stats
from slm_atlas.insights.answered import Answered, Model, on_the_same_items
from slm_atlas.insights.scores import Score
from slm_atlas.stats import Comparison, Estimate

DOMAINS = {
    "commonsense": (
        "hellaswag", "truthfulqa_mc2", "winogrande", "commonsense_qa", "piqa", "openbookqa", "boolq",
    ),
    "problem solving": ("arc_easy", "arc_challenge", "mmlu_5shot"),
    "mathematics": ("gsm8k", "minerva_math"),
    "coding": ("humaneval", "mbpp"),
}  # fmt: skip
"""The tasks of the suite `paper` (a test holds the two together): each counts alike in its domain."""


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is said of domains and pairs."""


class Domain(Struct, frozen=True):
    """How a model did in a domain."""

    name: str
    """`commonsense`, `problem solving`, `mathematics` or `coding`."""
    estimate: Estimate
    """The mean of its tasks' scores."""
    corrected: Estimate | None
    """The mean of the scores above guessing, of the tasks where guessing has a meaning."""
    tasks: tuple[str, ...]
    """The tasks it is the mean of."""
    missing: tuple[str, ...]
    """The survey's tasks of the domain that were not evaluated."""


class Paired(Struct, frozen=True):
    """Two models on the same items of a task, or of a domain."""

    what: str
    """The task or the domain."""
    is_domain: bool
    """It is a domain: the mean of its tasks' differences."""
    first: str
    """The one model."""
    second: str
    """The other."""
    difference: Estimate
    """By how much the second scores higher."""
    p_value: float | None
    """McNemar's exact test (of a domain: of all its items together); None for scores between right and wrong."""
    verdict: str
    """Which of them is better, or `indistinguishable`: the interval of the difference holds 0."""


def domains(scores: Mapping[str, Score]) -> list[Domain]:
    """The survey's domains, as far as a model was evaluated on them."""
    return [found for name, tasks in DOMAINS.items() if (found := _domain(name, tasks, scores)) is not None]


def _domain(name: str, tasks: Sequence[str], scores: Mapping[str, Score]) -> Domain | None:
    done = [scores[task] for task in tasks if task in scores and scores[task].is_share]
    if not done:
        return None
    corrected = [score.corrected for score in done if score.corrected is not None]
    return Domain(
        name=name,
        estimate=stats.average([score.estimate for score in done]),
        corrected=stats.average(corrected) if corrected else None,
        tasks=tuple(score.task for score in done),
        missing=tuple(task for task in tasks if task not in scores),
    )


def pairs(models: Sequence[Model]) -> list[Paired]:
    """Every two models on the same machine: task by task, then by domain; a domain with one task says nothing more."""
    of_machine = [(one, other) for one, other in combinations(models, 2) if one.host == other.host]
    return [pair for one, other in of_machine for pair in _pair(one, other)]


def _pair(one: Model, other: Model) -> list[Paired]:
    names = [task for task in one.tasks if task in other.tasks and _same_rows(one.tasks[task], other.tasks[task])]
    compared = {task: on_the_same_items(one.tasks[task], other.tasks[task]) for task in names}
    found = {task: comparison for task, comparison in compared.items() if comparison is not None}
    of_tasks = [_paired(task, one, other, each, is_domain=False) for task, each in found.items()]
    together = {name: [found[task] for task in tasks if task in found] for name, tasks in DOMAINS.items()}
    whole = {name: _together(each) for name, each in together.items() if len(each) > 1}
    return of_tasks + [_paired(name, one, other, each, is_domain=True) for name, each in whole.items()]


def _same_rows(one: Answered, other: Answered) -> bool:
    """A folder of rows may have changed in between."""
    return bool(one.run.settings.get("data_hash") == other.run.settings.get("data_hash"))


def _together(comparisons: Sequence[Comparison]) -> Comparison:
    """Several tasks as one: the mean of their differences, and McNemar's test of all items that differ.

    Under the hypothesis that the models do not differ in any task, each such item is a fair coin in whichever task it
    is, so that they may be counted together; tasks scored between right and wrong are not among them.
    """
    difference = stats.average([each.difference for each in comparisons])
    losses = sum(each.only_first or 0 for each in comparisons)
    gains = sum(each.only_second or 0 for each in comparisons)
    known = any(each.p_value is not None for each in comparisons)
    p_value = stats.mcnemar(losses, gains) if known else None
    return Comparison(difference=difference, p_value=p_value, only_first=losses, only_second=gains)


def _paired(what: str, one: Model, other: Model, comparison: Comparison, *, is_domain: bool) -> Paired:
    better = other.name if comparison.difference.value > 0 else one.name
    return Paired(
        what=what,
        is_domain=is_domain,
        first=one.name,
        second=other.name,
        difference=comparison.difference,
        p_value=comparison.p_value,
        verdict="indistinguishable" if comparison.indistinguishable else f"{better} is better",
    )
