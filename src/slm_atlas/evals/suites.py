"""Suites: which tasks are evaluated together, what their main metric is, and what guessing would score."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from slm_atlas.errors import UserError

_FOLDER = Path(__file__).parent


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what `suites.toml` holds."""


class Source(StrEnum):
    """Where a task's items are."""

    BUNDLED = "bundled"
    """In the package, beside the task's definition."""
    LM_EVAL = "lm-eval"
    """Where lm-eval's own definition says (the Hub), or in the user's folder of rows."""
    GENERATED = "generated"
    """Made here, to a length in the model's own tokens."""


class SuiteTask(Struct, frozen=True):
    """A task as a suite uses it: with so many worked examples, and to such a length."""

    name: str
    """The name of its results: `smoke_reading`, `arc_challenge_5shot`, `passkey_4k`."""
    title: str
    """The name shown."""
    metric: str
    """The main metric: `acc`, `exact_match`, `bits_per_byte`."""
    chance: float | None = None
    """The main metric of a guess; None where guessing has no meaning."""
    domain: str = "other"
    """`commonsense`, `problem solving`, `mathematics`, `coding`, `language`, `long context`."""
    task: str = ""
    """lm-eval's name of the task: `arc_challenge`; the name where it is empty."""
    definition: str = ""
    """lm-eval's definition, or a pattern of several (its parts), in its folder of tasks."""
    data: str = ""
    """The folder of its rows within the user's folder; the task's name where it is empty."""
    filter: str = ""
    """Which of several ways of reading an answer counts; the first where it is empty."""
    shots: int = 0
    """Worked examples before a question."""
    length: int | None = None
    """Tokens of a generated prompt and its answer."""
    code: bool = False
    """What the model writes is run."""
    source: Source = Source.LM_EVAL
    """Where its items are."""

    @property
    def base(self) -> str:
        """lm-eval's name of the task."""
        return self.task or self.name


class Suite(Struct, frozen=True):
    """Tasks that are evaluated together."""

    name: str
    """`smoke`."""
    title: str
    """The name shown."""
    version: int
    """Raised with any change of the list of tasks."""
    description: str
    """What the suite is for, and what its scores are worth."""
    comparable: bool
    """Scores may be set beside published ones."""
    tasks: tuple[SuiteTask, ...]
    """The tasks, in the order shown."""

    @property
    def folder(self) -> Path:
        """The folder of the definitions and items of a bundled suite."""
        return _FOLDER / "tasks" / self.name

    def task(self, name: str) -> SuiteTask:
        """The task of that name.

        Raises:
            UserError: there is none; names those there are.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        known = ", ".join(task.name for task in self.tasks)
        raise UserError(f"There is no task '{name}' in the suite '{self.name}'.", f"one of: {known}")


class _Listed(Struct, frozen=True):
    """A suite as `suites.toml` lists it."""

    title: str
    version: int
    source: Source
    description: str
    comparable: bool
    tasks: tuple[str, ...]
    shots: tuple[int, ...] = ()
    lengths: tuple[int, ...] = ()


@cache
def all_suites() -> tuple[Suite, ...]:
    """All suites.

    >>> [suite.name for suite in all_suites()]
    ['smoke', 'paper', 'icl', 'language', 'long-context']
    """
    tables = tomllib.loads((_FOLDER / "suites.toml").read_text(encoding="utf-8"))
    return tuple(_suite(name, msgspec.convert(table, _Listed)) for name, table in tables["suites"].items())


def _suite(name: str, listed: _Listed) -> Suite:
    facts = {key: getattr(listed, key) for key in ("title", "version", "description", "comparable")}
    return Suite(name=name, tasks=tuple(_entries(listed)), **facts)


def _entries(listed: _Listed) -> Iterator[SuiteTask]:
    for item in listed.tasks:
        name, _, shots = item.partition(":")
        task = msgspec.structs.replace(known_tasks()[name], source=listed.source)
        if listed.lengths:
            yield from (of_length(task, length) for length in listed.lengths)
        elif listed.shots:
            yield from (with_shots(task, number) for number in listed.shots)
        else:
            yield with_shots(task, int(shots)) if shots else task


@cache
def known_tasks() -> dict[str, SuiteTask]:
    """The tasks `suites.toml` knows, by their name, with the worked examples of their own definitions."""
    tables: dict[str, dict[str, Any]] = tomllib.loads((_FOLDER / "suites.toml").read_text(encoding="utf-8"))["tasks"]
    return {name: msgspec.convert({"name": name, **table}, SuiteTask) for name, table in tables.items()}


def with_shots(task: SuiteTask, shots: int) -> SuiteTask:
    """The task with so many worked examples; its results have a name of their own where that is not its own number.

    >>> with_shots(known_tasks()["piqa"], 5).name, with_shots(known_tasks()["gsm8k"], 5).name
    ('piqa_5shot', 'gsm8k')
    """
    if shots == task.shots:
        return task
    return msgspec.structs.replace(
        task, name=f"{task.base}_{shots}shot", task=task.base, title=f"{task.title}, {shots} shots", shots=shots
    )


def of_length(task: SuiteTask, length: int) -> SuiteTask:
    """The generated task at a length in tokens."""
    short = f"{length // 1024}k"
    return msgspec.structs.replace(
        task, name=f"{task.base}_{short}", task=task.base, title=f"{task.title}, {short} tokens", length=length
    )


def suite(name: str) -> Suite:
    """The suite of that name.

    Raises:
        UserError: there is none; names those there are.
    """
    for found in all_suites():
        if found.name == name:
            return found
    known = ", ".join(found.name for found in all_suites())
    raise UserError(f"There is no suite '{name}'.", f"one of: {known}")
