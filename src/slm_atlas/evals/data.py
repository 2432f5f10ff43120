"""Rows of data sets from a folder of the user's, checked line by line: `DIR/<task>/<split>.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from slm_atlas.errors import UserError
from slm_atlas.evals.definitions import Part, parts
from slm_atlas.evals.schema import PART_FIELD, ROWS, Row, part_name
from slm_atlas.evals.suites import SuiteTask

Rows = list[dict[str, Any]]


class PartRows(NamedTuple):
    """The rows of a part of a task."""

    evaluated: Rows
    """Those that are evaluated."""
    examples: Rows
    """Those worked examples are drawn from; empty where the definition has its own, or none are asked for."""


def folder_of(task: SuiteTask, data: Path) -> Path:
    """The folder that holds a task's rows."""
    return data / (task.data or task.base)


def missing(task: SuiteTask, data: Path) -> Path | None:
    """The first file the task needs that is not there; None if all are."""
    for part in parts(task):
        needed = [part.evaluated, *([part.examples] if task.shots and part.examples else [])]
        for split in needed:
            path = folder_of(task, data) / f"{split}.jsonl"
            if not path.is_file():
                return path
    return None


def read_task(task: SuiteTask, data: Path) -> dict[str, PartRows]:
    """The rows of every part of a task that has some, by lm-eval's name of the part.

    Raises:
        UserError: a file is missing, or a row breaks the schema; names the file, the line and the field.
    """
    absent = missing(task, data)
    if absent is not None:
        raise UserError(f"{absent} is missing.", "rows as `slm eval --help` describes them, or no --data for the Hub")
    found = {part.name: _part_rows(task, part, data) for part in parts(task)}
    kept = {name: rows for name, rows in found.items() if rows.evaluated}
    if not kept:
        raise UserError(f"{folder_of(task, data)} has no row of {task.base}.")
    return kept


def _part_rows(task: SuiteTask, part: Part, data: Path) -> PartRows:
    folder = folder_of(task, data)
    examples = _rows_of(folder, part.examples, part) if task.shots and part.examples else []
    return PartRows(_rows_of(folder, part.evaluated, part), examples)


def _rows_of(folder: Path, split: str, part: Part) -> Rows:
    path = folder / f"{split}.jsonl"
    rows = list(_read(path, path.stat().st_mtime_ns))
    field = PART_FIELD.get(folder.name)
    if field is None:
        return rows
    return [row for row in rows if part_name(row[field]) == part.definition["dataset_name"]]


@cache
def _read(path: Path, _changed: int) -> Sequence[dict[str, Any]]:
    """All rows of a file, with the fields that the schema names; kept until the file changes."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    kind = ROWS.get(path.parent.name)
    rows = list(_checked(path, content, kind) if kind else _alike(path, content))
    if not rows:
        raise UserError(f"{path} has no rows.")
    return rows


def _checked(path: Path, content: bytes, kind: type[Row]) -> Iterator[dict[str, Any]]:
    fields = kind.__struct_fields__
    for number, line in _lines(content):
        try:
            msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise UserError(f"{path}, line {number}: {_complaint(error)}.", "mend the row, or leave it out") from None
        row = json.loads(line)
        yield {name: row[name] for name in fields}


def _alike(path: Path, content: bytes) -> Iterator[dict[str, Any]]:
    """Rows of a data set without a schema here: objects that all have the fields of the first."""
    fields: set[str] | None = None
    for number, line in _lines(content):
        try:
            row = json.loads(line.decode("utf-8"))
        except (ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path}, line {number}: {_complaint(error)}.", "mend the row, or leave it out") from None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: not an object.", "mend the row, or leave it out")
        fields = fields or set(row)
        if set(row) != fields:
            differing = ", ".join(f"`{name}`" for name in sorted(set(row) ^ fields))
            raise UserError(f"{path}, line {number}: other fields than line 1: {differing}.", "mend the row")
        yield row


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    # Not splitlines(), which also splits at characters that JSON allows inside a string.
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, line


def _complaint(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 (byte {error.object[error.start]:#04x} at {error.start})"
    text = str(error)
    return text[:1].lower() + text[1:].rstrip(".")
