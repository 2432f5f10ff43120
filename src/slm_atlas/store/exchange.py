"""Carries stores between machines as JSON lines, and samples to other tools as CSV.

A line of the JSONL form describes itself, `{"record": "run", "run": {...}, "samples": [...]}`, so lines may be
filtered, reordered and concatenated. It holds every attempt; the CSV holds the best one of each key, which is what
readers of the store see.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, TextIO

import msgspec

from slm_atlas.errors import UserError
from slm_atlas.store.db import Store
from slm_atlas.store.faults import make_folder
from slm_atlas.store.records import Artifact, Host, Run, Sample
from slm_atlas.store.rows import column


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="record"):
    """The base of the lines; `record` says which one it is."""


class _ArtifactLine(_Line, frozen=True, tag="artifact"):
    artifact: Artifact


class _HostLine(_Line, frozen=True, tag="host"):
    host: Host


class _RunLine(_Line, frozen=True, tag="run"):
    run: Run
    samples: list[Sample]


class Imported(NamedTuple):
    """What an import added; what the store held already is not counted."""

    artifacts: int
    """Model files."""
    hosts: int
    """Machines."""
    runs: int
    """Runs, each attempt counted."""


_RUN_COLUMNS = (
    "key",
    "kind",
    "outcome",
    "cause",
    "replicate",
    "started_at",
    "elapsed_s",
    "engine",
    "settings",
    "artifact",
    "host",
)
_ARTIFACT_COLUMNS = (
    "name",
    "model_id",
    "origin",
    "forged",
    "architecture",
    "quantization",
    "params",
    "size_bytes",
    "requantized_from",
)
_HOST_COLUMNS = ("cpu", "arch", "cores", "memory_bytes", "system")
_SAMPLE_COLUMNS = ("metric", "scope", "item", "index", "value")


def export_jsonl(store: Store, path: Path) -> None:
    """Writes all that a store holds, one line a fact; the file appears whole or not at all.

    Raises:
        UserError: the file cannot be written.
    """
    with store.transaction():
        lines: list[_Line] = [_ArtifactLine(artifact) for artifact in store.artifacts().values()]
        lines += [_HostLine(host) for host in store.hosts().values()]
        lines += [_RunLine(run, samples) for run, samples in store.attempts()]
    with _replacing(path) as file:
        file.writelines(f"{msgspec.json.encode(line).decode()}\n" for line in lines)


def import_jsonl(store: Store, path: Path) -> Imported:
    """Merges an export into a store, all of it or nothing; what is known already is not added again.

    Raises:
        UserError: the file cannot be read, or a line of it is broken (the message names it); nothing is imported.
    """
    lines = _read_lines(path)
    # Runs last, whatever their order in the file: they refer to the others.
    order = sorted(lines, key=lambda number: isinstance(lines[number], _RunLine))
    with store.transaction():
        added = [type(lines[number]) for number in order if _add(store, lines[number], f"{path}:{number}")]
    return Imported(added.count(_ArtifactLine), added.count(_HostLine), added.count(_RunLine))


def export_csv(store: Store, path: Path) -> None:
    """Writes one row a sample, each with what it needs of its run, file and machine (long format).

    A run without samples has one row with empty `metric` and `value`: a failure stays visible. `settings` is JSON.

    Raises:
        UserError: the file cannot be written.
    """
    with store.transaction():
        rows = list(_csv_rows(store))
    hosts = [f"host_{name}" for name in _HOST_COLUMNS]
    with _replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_RUN_COLUMNS, *_ARTIFACT_COLUMNS, *hosts, *_SAMPLE_COLUMNS])
        writer.writerows(rows)


def _csv_rows(store: Store) -> Iterator[list[object]]:
    runs = store.runs()
    samples = store.samples_of(run.key for run in runs)
    artifacts, hosts = store.artifacts(), store.hosts()
    nothing: list[object] = [None] * len(_SAMPLE_COLUMNS)
    for run in runs:
        known = [
            *_pick(run, _RUN_COLUMNS),
            *_pick(artifacts[run.artifact], _ARTIFACT_COLUMNS),
            *_pick(hosts[run.host], _HOST_COLUMNS),
        ]
        rows = [_pick(sample, _SAMPLE_COLUMNS) for sample in samples[run.key]]
        for row in rows or [nothing]:
            yield known + row


def _pick(record: Run | Artifact | Host | Sample, names: tuple[str, ...]) -> list[object]:
    """Some columns of a record, as they are stored."""
    return [column(record, name) for name in names]


def _read_lines(path: Path) -> dict[int, _Line]:
    """The lines of an export, by their number in the file."""
    decoder = msgspec.json.Decoder(_ArtifactLine | _HostLine | _RunLine)
    try:
        texts = path.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    lines: dict[int, _Line] = {}
    for number, text in enumerate(texts, 1):
        if text.strip():
            with _naming(f"{path}:{number}"):
                lines[number] = decoder.decode(text)
    return lines


def is_export(path: Path) -> bool:
    """Whether a line of a file says that it is of an export; the others may be broken. An empty file is an empty one.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    return not data.strip() or b'"record":' in data.replace(b" ", b"")


def _add(store: Store, line: _Line, where: str) -> bool:
    """Adds what a line holds; False if the store held it."""
    with _naming(where):
        match line:
            case _ArtifactLine(artifact):
                return store.add_artifact(artifact)
            case _HostLine(host):
                return store.add_host(host)
            case _RunLine(run, samples):
                return store.record(run, samples)
    raise TypeError(f"no such line: {line!r}")


@contextmanager
def _naming(where: str) -> Iterator[None]:
    """Says which line is broken, and that nothing was imported."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise _broken(where, "its artifact or host is not in the file") from error
    except (msgspec.MsgspecError, ValueError, OverflowError) as error:
        raise _broken(where, str(error)) from error


def _broken(where: str, reason: str) -> UserError:
    return UserError(f"{where}: {reason}. Nothing was imported.", "slm results export, on the machine it came from")


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place when it is complete; until then, and after an error, the old one stays."""
    make_folder(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "choose another folder or disk") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
