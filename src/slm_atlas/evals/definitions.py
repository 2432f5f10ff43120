"""lm-eval's definitions of tasks, found in its installed folder and read as text: lm-eval itself is not imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from slm_atlas.errors import MissingExtra, UserError
from slm_atlas.evals.suites import SuiteTask


class Part(NamedTuple):
    """One of the tasks that make up a task: a subject of MMLU, or the task itself."""

    name: str
    """lm-eval's name."""
    path: Path
    """Its definition."""
    definition: dict[str, Any]
    """The definition with what it includes; a `!function module.name` is that text."""

    @property
    def evaluated(self) -> str:
        """The split whose items are evaluated."""
        return str(self.definition.get("test_split") or self.definition["validation_split"])

    @property
    def examples(self) -> str | None:
        """The split worked examples are drawn from, as lm-eval picks it; None where the definition has its own."""
        own = self.definition.get("fewshot_config") or {}
        if split := self.definition.get("fewshot_split") or own.get("split"):
            return str(split)
        if "samples" in own:
            return None
        return str(self.definition.get("training_split") or self.definition.get("validation_split") or self.evaluated)


def lm_eval_version() -> str:
    """The version of lm-eval, whose functions belong to its definitions.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        return version("lm-eval")
    except PackageNotFoundError:
        raise MissingExtra("Evaluation", "eval") from None


def tasks_folder() -> Path:
    """lm-eval's folder of tasks.

    Raises:
        MissingExtra: it is not installed.
    """
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra("Evaluation", "eval")
    return Path(spec.submodule_search_locations[0]) / "tasks"


def parts(task: SuiteTask) -> tuple[Part, ...]:
    """The parts of one of lm-eval's tasks, in the order of their names.

    Raises:
        MissingExtra: lm-eval is not installed.
        UserError: its folder does not have the definition.
    """
    folder = tasks_folder()
    paths = sorted(path for pattern in task.definition.split() for path in folder.glob(pattern))
    if not paths:
        raise UserError(f"lm-eval {lm_eval_version()} has no {task.definition}.", "pip install 'slm-atlas[eval]'")
    return tuple(Part(str(read["task"]), path, read) for path in paths for read in [read_definition(path)])


def read_definition(path: Path) -> dict[str, Any]:
    """A definition with what it includes, the nearest value winning, as lm-eval merges them."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """With lm-eval's one tag."""

    Loader.add_constructor("!function", lambda loader, node: str(loader.construct_scalar(node)))
    own: dict[str, Any] = yaml.load(path.read_bytes(), Loader)
    included = own.pop("include", None) or []
    merged: dict[str, Any] = {}
    for name in [included] if isinstance(included, str) else included:
        merged |= read_definition(path.parent / name)
    return merged | own


def metrics(definition: dict[str, Any]) -> Iterator[str]:
    """Names of the metrics a definition lists, in order; `acc` where it leaves choices to lm-eval's default."""
    listed = definition.get("metric_list")
    if not listed:
        yield "acc" if definition.get("output_type") == "multiple_choice" else "exact_match"
    for entry in listed or ():
        yield str(entry["metric"]).rpartition(".")[2]
