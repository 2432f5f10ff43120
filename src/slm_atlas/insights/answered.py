"""Which items each model answered, and what each scored: what domains, pairs and learning curves are made of."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from slm_atlas import stats
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, by_weight, precision
from slm_atlas.insights.scores import Score, score
from slm_atlas.stats import Comparison
from slm_atlas.store.records import Run, RunKind


class Answered(NamedTuple):
    """A task as one model answered it."""

    run: Run
    """The run of the task that counts (`frame.by_weight`)."""
    score: Score
    """Its score."""
    values: dict[str, float]
    """The main metric of each item, by the item's name."""

    @property
    def source(self) -> tuple[object, ...]:
        """What two runs share whose items are the same, whatever their number of worked examples."""
        settings = self.run.settings
        rows = settings.get("data"), settings.get("items"), settings.get("task_version")
        return self.score.base or self.score.task, self.score.metric, *rows


class Model(NamedTuple):
    """A model file on a machine, and what it answered."""

    name: str
    """Its name and quantization, and what tells it from others so named."""
    artifact: str
    """sha256 of the file."""
    host: str
    """Id of the machine."""
    tasks: dict[str, Answered]
    """Its tasks by name, in the order they were run."""
    compute: str | None = None
    """The precision its weights were computed in; None: as they are stored."""


def models(dataset: Dataset) -> list[Model]:
    """The models that were evaluated, the smallest first, of one size as they were run; none of random weights."""
    found: dict[tuple[str, str, str], dict[str, Answered]] = defaultdict(dict)
    for run in by_weight(dataset.runs, dataset.samples):
        if run.kind is not RunKind.EVAL or run.outcome is not Outcome.OK or dataset.artifacts[run.artifact].forged:
            continue
        samples = dataset.samples.get(run.key, [])
        if (of_run := score(run, samples)) is not None:
            values = {sample.item: sample.value for sample in samples if sample.metric == of_run.metric}
            found[run.artifact, run.host, precision(run) or ""][of_run.task] = Answered(run, of_run, values)
    named = [Model("", artifact, host, tasks, compute or None) for (artifact, host, compute), tasks in found.items()]
    labelled = [model._replace(name=name) for model, name in zip(named, _names(dataset, named), strict=True)]
    return sorted(labelled, key=lambda model: dataset.artifacts[model.artifact].params or 0)


def _names(dataset: Dataset, found: Sequence[Model]) -> list[str]:
    """A name for each model that no other has: with the beginning of its hash, and of its machine's, where needed."""
    known = [dataset.artifacts[model.artifact] for model in found]
    forms = [f" in {model.compute}" if model.compute else "" for model in found]
    names = [f"{each.name} {each.quantization}{form}" for each, form in zip(known, forms, strict=True)]
    for additions in ([model.artifact[:8] for model in found], [model.host[:8] for model in found]):
        count, both = Counter(names), list(zip(names, additions, strict=True))
        alike = Counter(both)  # an addition that all of one name share tells nothing apart
        names = [f"{name} {more}" if count[name] > alike[name, more] else name for name, more in both]
    return names


def on_the_same_items(first: Answered, second: Answered) -> Comparison | None:
    """By how much the second scores higher on the items that both answered; None where there are none."""
    shared = [item for item in first.values if item in second.values]
    if first.source != second.source or not shared:
        return None
    return stats.compare([first.values[item] for item in shared], [second.values[item] for item in shared])
