"""From what lm-eval logs of each item to samples that keep all that a score can be computed from afterwards."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slm_atlas.evals.suites import SuiteTask
from slm_atlas.store.records import Sample

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import ConfigurableTask

Entry = dict[str, Any]
_UNITS = {"bits_per_byte": "bytes", "byte_perplexity": "bytes", "word_perplexity": "words"}
"""What each metric of a whole text is a mean over."""


def prompts_hash(instances: Iterable[Instance]) -> str:
    """sha256 of all requests in order: prompts and continuations, or prompts and how to generate after them."""
    digest = hashlib.sha256()
    for instance in instances:
        digest.update(json.dumps([instance.request_type, *instance.args], ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def samples_of(
    task: SuiteTask, tasks: Mapping[str, ConfigurableTask], logged: Mapping[str, Sequence[Entry]]
) -> list[Sample]:
    """The samples of all parts: the main metric of each item with its detail, then every other metric.

    An item's index is its place among all items; `item` is its id, or its part and its number there.
    """
    several = len(tasks) > 1
    entries = [(part, entry) for part in tasks for entry in sorted(logged[part], key=lambda entry: entry["doc_id"])]
    numbers = {key: index for index, key in enumerate(dict.fromkeys((part, e["doc_id"]) for part, e in entries))}
    main: list[Sample] = []
    other: list[Sample] = []
    for part, entry in entries:
        index, first = numbers[part, entry["doc_id"]], _is_main(task, entry, logged[part])
        item = f"{part}/{entry['doc_id']}" if several else str(entry["doc"].get("id", entry["doc_id"]))
        wanted = _main_metric(task, entry)
        for metric, value in _values(entry):
            shown = metric if first else f"{metric},{entry['filter']}"
            detail = _detail(tasks[part], entry) if first and metric == wanted else None
            if detail is not None and several:
                detail["part"] = part
            sample = Sample(metric=shown, index=index, value=value, scope=task.name, item=item, detail=detail)
            (main if detail is not None else other).append(sample)
    return [*main, *sorted(other, key=lambda sample: sample.metric)]


def _is_main(task: SuiteTask, entry: Entry, logged: Sequence[Entry]) -> bool:
    """Whether an entry is of the way of reading answers that counts: lm-eval logs an item once for each filter."""
    return bool(entry["filter"] == (task.filter or logged[0]["filter"]))


def _main_metric(task: SuiteTask, entry: Entry) -> str:
    """The main metric, or the first there is where a definition names it otherwise than its values."""
    return task.metric if task.metric in entry["metrics"] else str(entry["metrics"][0])


def _values(entry: Entry) -> Iterator[tuple[str, float]]:
    """Each metric of an item as a number; of a perplexity its natural logarithm, which is what is averaged."""
    for metric in entry["metrics"]:
        value = entry[metric]
        if metric in _UNITS:
            loglikelihood, weight = value
            yield metric, -loglikelihood / weight / (math.log(2) if metric == "bits_per_byte" else 1)
        elif metric == "perplexity":
            yield metric, -float(value)
        elif isinstance(value, int | float) or getattr(value, "ndim", None) == 0:
            yield metric, float(value)


def _detail(task: ConfigurableTask, entry: Entry) -> dict[str, Any]:
    """What stands behind an item's score, for any normalization afterwards."""
    first = [responses[0] for responses in entry["resps"]]
    detail: dict[str, Any] = {"target": entry["target"], "prompt_hash": entry["prompt_hash"]}
    if isinstance(first[0], str):
        return detail | {"text": first[0], "answer": entry["filtered_resps"][0]} | _depth(entry["doc"])
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return {"prompt_hash": entry["prompt_hash"], "loglikelihood": first[0], **_weights(entry)}
    detail |= {"logprobs": [logprob for logprob, _ in first], "greedy": [bool(greedy) for _, greedy in first]}
    if task.OUTPUT_TYPE != "multiple_choice":
        return detail
    choices = task.doc_to_choice(entry["doc"])
    detail |= {"chars": [len(choice) for choice in choices], "bytes": [len(choice.encode()) for choice in choices]}
    # Where each choice is a prompt of its own (WinoGrande), the choice is what lm-eval takes as the text.
    detail["target"] = task.doc_to_text(entry["doc"]) if task.multiple_input else entry["target"]
    labels = (entry["doc"].get("mc2_targets") or {}).get("labels") if len(choices) > 1 else None
    return detail | ({"labels": labels} if labels and len(labels) == len(choices) else {})


def _depth(doc: Mapping[str, Any]) -> dict[str, Any]:
    return {name: doc[name] for name in ("depth", "tokens") if "prompt" in doc and name in doc}


def _weights(entry: Entry) -> dict[str, int]:
    """Words and bytes of a text, as the task counts them."""
    return {name: entry[metric][1] for metric, name in _UNITS.items() if metric in entry}
