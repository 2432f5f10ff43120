"""Any task of lm-eval's by its name: what `suites.toml` does not know is looked up in lm-eval's own index.

The index of some 13,000 tasks takes lm-eval a quarter of a minute to build; it is kept in the home folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import msgspec

from slm_atlas import home
from slm_atlas.errors import UserError
from slm_atlas.evals.definitions import lm_eval_version, metrics, read_definition, tasks_folder
from slm_atlas.evals.suites import Source, SuiteTask, all_suites, known_tasks


def find_task(name: str) -> SuiteTask:
    """A task by its name: one of a suite, or any of lm-eval's (a task, a group or a tag).

    Raises:
        MissingExtra: lm-eval is not installed.
        UserError: there is none; the nearest names are offered. Or it is a kind that cannot be evaluated here.
    """
    for suite in all_suites():
        for task in suite.tasks:
            if task.name == name:
                return task
    if name in known_tasks() and known_tasks()[name].definition:
        return known_tasks()[name]
    return _described(name, _paths(name))


def _paths(name: str) -> list[str]:
    """The definitions of a task, relative to lm-eval's folder: of the file so named, or else as the index says."""
    folder = tasks_folder()
    for path in folder.rglob(f"{name}.yaml"):
        found = read_definition(path)
        if found.get("task") == name and "class" not in found:
            return [str(path.relative_to(folder))]
    index = _index()
    if name not in index:
        known = sorted({*index, *(task.name for suite in all_suites() for task in suite.tasks)})
        near = get_close_matches(name, known)
        raise UserError(f"There is no task '{name}' in lm-eval {lm_eval_version()}.", " or ".join(near) or None)
    if not index[name]:
        raise UserError(f"The task '{name}' is defined in Python or in line, which is not evaluated here.")
    return index[name]


def _described(name: str, paths: list[str]) -> SuiteTask:
    definition = read_definition(tasks_folder() / paths[0])
    choices, shots = definition.get("doc_to_choice"), definition.get("num_fewshot") or 0
    return SuiteTask(
        name=name,
        title=name,
        metric=next(metrics(definition)),
        chance=1 / len(choices) if isinstance(choices, list) else None,
        definition=" ".join(paths),
        shots=int(shots),
        code=bool(definition.get("unsafe_code")),
        source=Source.LM_EVAL,
    )


def _index() -> dict[str, list[str]]:
    """The definitions of every task, group and tag of lm-eval; none for what is not defined by a file alone."""
    path = home.home() / "lm-eval" / f"tasks-{lm_eval_version()}.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, list[str]])
    except (OSError, msgspec.MsgspecError):
        index = _build_index()
    home.replace_file(path, msgspec.json.encode(index))
    return index


def _build_index() -> dict[str, list[str]]:
    from lm_eval.tasks import TaskManager

    entries, folder = TaskManager().task_index, tasks_folder()
    index = {}
    for name in entries:
        try:
            index[name] = sorted(set(_leaves(name, entries, folder)))
        except LookupError:
            index[name] = []
    return index


def _leaves(name: str, entries: Mapping[str, Any], folder: Path) -> Iterator[str]:
    """The definitions a name stands for; LookupError where a part of it is no file that defines a task."""
    entry = entries[name]
    kind = entry.kind.name
    if kind == "TASK":
        yield str(Path(entry.yaml_path).relative_to(folder))
    elif kind == "TAG":
        for member in entry.tags:
            yield from _leaves(member, entries, folder)
    elif kind == "GROUP":
        members = entry.cfg.get("task") or []
        for member in [members] if isinstance(members, str) else members:
            # A member given in line, with settings of its own, is not the registered task.
            if not isinstance(member, str):
                raise LookupError(name)
            yield from _leaves(member, entries, folder)
    else:
        raise LookupError(name)
