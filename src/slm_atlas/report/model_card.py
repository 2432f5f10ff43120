"""Scores of a model as the Hub's metadata: a file of `.eval_results/` each, and the `model-index` of its README.

The formats are the Hub's, written by its own library. A score says in its notes what it stands on. What is not
comparable with published scores has no place there: random weights, the smoke suite, and texts generated here.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from slm_atlas import stats
from slm_atlas.errors import MissingExtra
from slm_atlas.insights.answered import Answered
from slm_atlas.store.records import Artifact

_METRIC_TYPES = {"acc": "accuracy"}
"""The Hub's names of metrics, where they are not lm-eval's."""
_TASK_TYPE = "text-generation"


class Source(NamedTuple):
    """Where the items of a task are on the Hub."""

    dataset: str
    """`allenai/ai2_arc`."""
    config: str | None
    """Its part, where the task is of one alone: `ARC-Easy`."""
    split: str
    """`test`."""


class Entry(NamedTuple):
    """A score to publish."""

    task: str
    """The name of its result here: `arc_easy`, `mmlu_5shot`."""
    base: str
    """lm-eval's name of the task."""
    shots: int
    """Worked examples before a question."""
    source: Source
    """Where its items are."""
    metric: str
    """`acc`, `exact_match`, ..."""
    value: float
    """A share in percent; bits and perplexities as they are."""
    notes: str
    """n, standard error, interval, the file, engine and versions."""
    date: str
    """When it was measured: UTC, ISO 8601."""
    others: dict[str, float]
    """The task's other metrics, alike; `model-index` alone takes them."""


def entry(artifact: Artifact, answered: Answered, source: Source, compute: str | None = None) -> Entry:
    """The score of a task as it is published.

    Args:
        artifact: the file.
        answered: the task as the file answered it.
        source: where the task's items are on the Hub.
        compute: the precision it was computed in; None: as the file is stored.
    """
    score, scale = answered.score, 100.0 if answered.score.is_share else 1.0
    digits = 2 if score.is_share else 4
    return Entry(
        task=score.task,
        base=score.base,
        shots=score.shots,
        source=source,
        metric=score.metric,
        value=round(scale * score.estimate.value, digits),
        notes=_notes(artifact, answered, scale, compute),
        date=answered.run.started_at,
        others={metric: round(scale * other.value, digits) for metric, other in score.others.items()},
    )


def _notes(artifact: Artifact, answered: Answered, scale: float, compute: str | None) -> str:
    run, score = answered.run, answered.score
    items, estimate = run.settings.get("items"), score.estimate
    of = f" of {items} items" if items and items != estimate.n else " items"
    parts = [f"{score.metric}, {score.shots}-shot, n = {estimate.n}{of}"]
    if score.is_share and len(answered.values) > 1:
        parts.append(f"standard error {scale * standard_error(answered.values):.2f}")
    if estimate.low is not None and estimate.high is not None:
        parts.append(f"{stats.LEVEL:.0%} interval [{scale * estimate.low:.4g}, {scale * estimate.high:.4g}]")
    form = f"{artifact.quantization}, computed in {compute}" if compute else artifact.quantization
    lineage = f" (made from {artifact.requantized_from})" if artifact.requantized_from else ""
    parts.append(f"file {artifact.sha256[:16]} in {form}{lineage}")
    parts.append(f"{', '.join(run.engine.split(' | ')[:2])}")
    version = run.settings.get("lm_eval")
    parts.append(f"lm-eval {version}, task version {run.settings.get('task_version')}")
    return "; ".join([*parts, f"SLM Atlas {run.atlas_version}"])


def standard_error(values: Mapping[str, float]) -> float:
    """The standard error of the mean over items, as lm-eval gives it: sample deviation over the root of n."""
    return statistics.stdev(values.values()) / math.sqrt(len(values))


def card_files(name: str, entries: Sequence[Entry]) -> dict[str, str]:
    """The files of a model's repository, by path: one of `.eval_results/` a task, and `model-index.yaml`.

    The latter is for the head of the repository's README, between its two lines of dashes.

    Raises:
        MissingExtra: huggingface_hub is not installed.
    """
    try:
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    except ImportError:
        raise MissingExtra("The Hub's metadata", "hf") from None

    files = {}
    for found in entries:
        result = EvalResultEntry(
            dataset_id=found.source.dataset,
            task_id=found.base,
            value=found.value,
            date=found.date,
            notes=found.notes,
        )
        files[f".eval_results/{re.sub(r'[^A-Za-z0-9._-]', '_', found.task)}.yaml"] = _yaml(
            eval_result_entries_to_yaml([result])
        )
    return files | {"model-index.yaml": _yaml({"model-index": _model_index(name, entries)})}


def _model_index(name: str, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index

    results: list[dict[str, Any]] = []
    for found in entries:
        told = {found.metric: (found.value, found.notes)}
        told |= {metric: (value, f"{metric} of the same items") for metric, value in found.others.items()}
        of_task = [
            EvalResult(
                task_type=_TASK_TYPE,
                dataset_type=found.source.dataset,
                dataset_name=found.task,
                dataset_config=found.source.config,
                dataset_split=found.source.split,
                dataset_args={"num_few_shot": found.shots},
                metric_type=_METRIC_TYPES.get(metric, metric),
                metric_name=told_name,
                metric_value=value,
            )
            for metric, (value, told_name) in told.items()
        ]
        # A task at a time: the library takes two numbers of worked examples of a data set for one.
        (indexed,) = eval_results_to_model_index(name, of_task)
        results += indexed["results"]
    return [{"name": name, "results": results}]


def _yaml(document: object) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=110)
    return text
