"""Which version of a task this is, told from its files alone: no engine and no lm-eval is needed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from slm_atlas.evals.suites import Suite


class Fingerprint(NamedTuple):
    """What makes two evaluations of a task the same evaluation."""

    version: str
    """`metadata.version` of the task's definition."""
    data_hash: str
    """sha256 of the definition (prompt, metrics, filters) and all items; comments and layout do not count."""


def task_fingerprint(suite: Suite, task: str) -> Fingerprint:
    """The version and the hash of a task.

    Raises:
        UserError: the suite has no such task.
    """
    return fingerprint(suite.folder, suite.task(task).name)


def fingerprint(folder: Path, task: str) -> Fingerprint:
    """The version and the hash of the task defined by `<task>.yaml` in a folder."""
    definition = _read_definition(folder / f"{task}.yaml")
    file = definition["dataset_kwargs"]["data_files"][definition["test_split"]]
    with (folder / file).open(encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines if line.strip()]
    canonical = json.dumps([definition, items], sort_keys=True, ensure_ascii=False)
    return Fingerprint(
        version=str(definition["metadata"]["version"]), data_hash=hashlib.sha256(canonical.encode()).hexdigest()
    )


def _read_definition(path: Path) -> dict[str, Any]:
    """A task's YAML; a `!function module.name` stays the text it is."""
    import yaml

    class Loader(yaml.SafeLoader):
        """With lm-eval's one tag."""

    def as_text(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
        return str(loader.construct_scalar(node))

    Loader.add_constructor("!function", as_text)
    definition: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader)
    return definition
