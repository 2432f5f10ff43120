"""Suites: which tasks are evaluated together, what their main metric is, and what guessing would score."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import msgspec

from slm_atlas.errors import UserError

_FOLDER = Path(__file__).parent


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of what `suites.toml` holds."""


class SuiteTask(Struct, frozen=True):
    """A task as a suite uses it."""

    name: str
    """Its name in lm-eval: `smoke_reading`."""
    title: str
    """The name shown."""
    metric: str
    """The main metric: `acc` or `exact_match`."""
    chance: float
    """The main metric of a guess."""


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
        """The folder of the tasks' definitions and items."""
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


@cache
def all_suites() -> tuple[Suite, ...]:
    """All suites.

    >>> [suite.name for suite in all_suites()]
    ['smoke']
    """
    tables = tomllib.loads((_FOLDER / "suites.toml").read_text(encoding="utf-8"))
    return tuple(msgspec.convert({"name": name, **table}, Suite) for name, table in tables.items())


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
