"""Which version of a task this is, told from its files alone: no engine is needed, and lm-eval is not imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from slm_atlas.evals import longcontext
from slm_atlas.evals.data import PartRows, read_task
from slm_atlas.evals.definitions import Part, lm_eval_version, parts, read_definition
from slm_atlas.evals.suites import Source, Suite, SuiteTask


class Fingerprint(NamedTuple):
    """What makes two evaluations of a task the same evaluation."""

    version: str
    """`metadata.version` of the task's definition."""
    data_hash: str
    """sha256 of the definition (prompt, metrics, filters) and all items; comments and layout do not count."""
    items: int | None = None
    """How many items there are; None where they are the Hub's."""


def task_fingerprint(suite: Suite, task: str, data: Path | None = None) -> Fingerprint:
    """The version and the hash of a task; of its rows too, but those of the Hub, which are lm-eval's data set by name.

    Args:
        suite: the suite that has the task.
        task: the task's name.
        data: the user's folder of rows; None: the Hub.

    Raises:
        UserError: the suite has no such task, or its rows are missing or break the schema.
        MissingExtra: the task is lm-eval's, which is not installed.
    """
    found = suite.task(task)
    if found.source is Source.BUNDLED:
        return fingerprint(suite.folder, found.name)
    if found.source is Source.GENERATED:
        return Fingerprint(longcontext.VERSION, _hash(longcontext.recipe(found)), longcontext.N_ITEMS)
    rows = None if data is None else read_task(found, data)
    return _of_lm_eval(found, parts(found), rows)


def _of_lm_eval(task: SuiteTask, found: tuple[Part, ...], rows: dict[str, PartRows] | None) -> Fingerprint:
    definitions = [part.definition for part in found]
    number = str((definitions[0].get("metadata") or {}).get("version", "none"))
    # The functions that definitions name are lm-eval's code: its version stands for them.
    content = [lm_eval_version(), definitions, task.shots, rows, *_reading(definitions)]
    return Fingerprint(number, _hash(content), None if rows is None else sum(len(r.evaluated) for r in rows.values()))


def _reading(definitions: Sequence[Mapping[str, Any]]) -> list[str]:
    """How we read what these tasks ask, where that changed: older scores and answers are not those of today."""
    whole = any(each.get("output_type") == "loglikelihood_rolling" for each in definitions)
    return ["texts begin with begin-of-text"] if whole else []


def fingerprint(folder: Path, task: str) -> Fingerprint:
    """The version and the hash of the task defined by `<task>.yaml` in a folder."""
    definition = read_definition(folder / f"{task}.yaml")
    file = definition["dataset_kwargs"]["data_files"][definition["test_split"]]
    with (folder / file).open(encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines if line.strip()]
    return Fingerprint(str(definition["metadata"]["version"]), _hash([definition, items]), len(items))


def _hash(content: object) -> str:
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
