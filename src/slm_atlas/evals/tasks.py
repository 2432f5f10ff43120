"""lm-eval's tasks, built from its own definitions: only where the rows come from and how many shots are ours.

A definition is loaded as lm-eval loads it; prompts, targets, filters and metrics are its own (tests compare the hashes
of every prompt). Importing this module imports lm-eval (extra `eval`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from datasets import Dataset
from datasets.exceptions import DatasetsError
from lm_eval.api.task import ConfigurableTask
from lm_eval.defaults import DEFAULT_OTHER_SEED
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml  # what TaskManager itself loads a definition with

from slm_atlas.errors import MissingExtra, OfflineError, UserError
from slm_atlas.evals import longcontext
from slm_atlas.evals.data import PartRows, read_task
from slm_atlas.evals.definitions import Part, parts
from slm_atlas.evals.suites import Source, Suite, SuiteTask

Tasks = dict[str, ConfigurableTask]


def build(suite: Suite, task: SuiteTask, encode: longcontext.Encode, data: Path | None = None) -> Tasks:
    """lm-eval's tasks for a task of a suite, by name: one, or one a part.

    Args:
        suite: the suite that has the task.
        task: the task.
        encode: the model's tokenizer, which generated prompts are measured with.
        data: the user's folder of rows; None: lm-eval's own data set, from the Hub.

    Raises:
        OfflineError: the Hub does not answer.
        MissingExtra: the definition needs a package that is not installed.
        UserError: rows are missing or break the schema, or there are too few worked examples.
    """
    if task.source is Source.BUNDLED:
        found: Tasks = TaskManager(include_path=suite.folder, include_defaults=False).load([task.name])["tasks"]
    elif task.source is Source.GENERATED:
        found = {task.name: _generated(task, encode)}
    else:
        rows = None if data is None else read_task(task, data)
        found = {part.name: _of_lm_eval(task, part, rows) for part in parts(task) if rows is None or part.name in rows}
    for built in found.values():
        set_shots(built, task.shots)
    return found


def _of_lm_eval(task: SuiteTask, part: Part, rows: Mapping[str, PartRows] | None) -> ConfigurableTask:
    with _extra_named(), _code_in_sandbox() if task.code else contextlib.nullcontext():
        config = load_yaml(part.path)
    if rows is not None:
        config |= {"custom_dataset": _supplying(part, rows[part.name]), "dataset_kwargs": None}
    return _configured(config, task)


def _configured(config: dict[str, Any], task: SuiteTask) -> ConfigurableTask:
    for key in ("tag", "group", "task_list"):  # as lm-eval's own factory does
        config.pop(key, None)
    try:
        with _hub.patience():
            return ConfigurableTask(config=config)
    except (ConnectionError, DatasetsError, FileNotFoundError) as error:
        _hub.silent = True
        # Not the library's own words: they name addresses, and differ from task to task.
        raise OfflineError(
            "The Hub did not give lm-eval's data set.", "--data DIR for rows from a folder, or --retry-failed later"
        ) from error


def _supplying(part: Part, rows: PartRows) -> Callable[..., dict[str, Dataset]]:
    """What lm-eval calls in place of `datasets.load_dataset`."""
    evaluated = Dataset.from_list(rows.evaluated)
    # Without shots none is drawn, yet lm-eval looks at the split.
    splits = {} if part.examples is None else {part.examples: evaluated}
    splits |= {part.examples: Dataset.from_list(rows.examples)} if part.examples and rows.examples else {}
    return lambda **_: {**splits, part.evaluated: evaluated}


def _generated(task: SuiteTask, encode: longcontext.Encode) -> ConfigurableTask:
    rows = longcontext.documents(task, encode)
    config = {
        "task": task.name,
        "custom_dataset": lambda **_: {"test": Dataset.from_list(rows)},
        "test_split": "test",
        "output_type": "generate_until",
        "doc_to_text": "prompt",
        "doc_to_target": "answer",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": longcontext.ANSWER_TOKENS, "do_sample": False},
        "filter_list": [
            {
                "name": "first-number",
                "filter": [{"function": "regex", "regex_pattern": r"\d+"}, {"function": "take_first"}],
            }
        ],
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "metadata": {"version": longcontext.VERSION},
    }
    return ConfigurableTask(config=config)


def set_shots(task: ConfigurableTask, shots: int) -> None:
    """Give each prompt so many worked examples: lm-eval's random ones per document, drawn with its own seed.

    lm-eval's command line leaves a task alone whose definition says 0 (TruthfulQA); here the number asked for counts.

    Raises:
        UserError: there are fewer to draw from.
    """
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(DEFAULT_OTHER_SEED)
    drawn_from_evaluated = task.fewshot_cfg.split == task.config.test_split
    pool = len(task.sampler.df) - drawn_from_evaluated if hasattr(task, "sampler") else 0
    if shots > pool:
        raise UserError(f"{task.config.task} has {pool} worked examples, and {shots} are asked for.", "fewer shots")


class _Hub:
    """What is known of the Hub in this process: once it did not answer, only what was fetched before is asked for.

    Its client tries for half a minute each time, and a suite has many tasks.
    """

    silent = False

    @contextlib.contextmanager
    def patience(self) -> Iterator[None]:
        """Wait for the Hub as its client does, or not at all."""
        if not self.silent:
            yield
            return
        with (
            mock.patch("huggingface_hub.constants.HF_HUB_OFFLINE", new=True),
            mock.patch("datasets.config.HF_HUB_OFFLINE", new=True),
        ):
            yield


_hub = _Hub()


@contextlib.contextmanager
def _extra_named() -> Iterator[None]:
    """A definition's helper that does not find a package names the extra that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingExtra("What this task judges answers with", "eval") from error


@contextlib.contextmanager
def _code_in_sandbox() -> Iterator[None]:
    """While a definition is loaded: what it would fetch from the Hub to run code with is our sandbox.

    The helpers of lm-eval's coding tasks call `evaluate.load("code_eval")` as they are imported, and try it once with
    a function of their own; the trial is not run.
    """
    import evaluate

    runner, load = _SandboxedCodeEval(), evaluate.load
    with mock.patch("evaluate.load", lambda name, *a, **k: runner if name == "code_eval" else load(name, *a, **k)):
        yield
    runner.ready = True


class _SandboxedCodeEval:
    """Stands for the Hub's module `code_eval`: the same call, run in our sandbox."""

    ready = False

    def compute(
        self, references: list[str], predictions: list[list[str]], k: Sequence[int] = (1,)
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """pass@k of candidates for each reference (a text of tests), and nothing in place of single results."""
        if not self.ready:
            return {}, {}
        from slm_atlas.evals.code import pass_at_k

        return pass_at_k(references, predictions, list(k)), {}
