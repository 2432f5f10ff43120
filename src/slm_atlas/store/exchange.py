"""Carries stores between machines as JSON lines.

A line describes itself, `{"record": "run", "run": {...}, "samples": [...]}`, so lines may be filtered, reordered and
concatenated. Every attempt is there.
"""

from __future__ import annotations

import gzip
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from slm_atlas.errors import UserError
from slm_atlas.store.db import Attempt, Store
from slm_atlas.store.faults import read_bytes
from slm_atlas.store.merge import Merged, Merger, is_store, snapshot
from slm_atlas.store.records import Artifact, Host, Run, Sample
from slm_atlas.store.replacing import replacing


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="record"):
    """The base of the lines; `record` says which one it is."""


class _ArtifactLine(_Line, frozen=True, tag="artifact"):
    artifact: Artifact


class _HostLine(_Line, frozen=True, tag="host"):
    host: Host


class _RunLine(_Line, frozen=True, tag="run"):
    run: Run
    samples: list[Sample]


def export_jsonl(store: Store, path: Path) -> None:
    """Writes all that a store holds, one line a fact; the file appears whole or not at all, packed if named `.gz`.

    Raises:
        UserError: the file cannot be written.
    """
    with store.transaction():
        lines: list[_Line] = [_ArtifactLine(artifact) for artifact in store.artifacts().values()]
        lines += [_HostLine(host) for host in store.hosts().values()]
        lines += [_RunLine(run, samples) for run, samples in store.attempts()]
    text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    with replacing(path) as file:
        file.write(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def import_jsonl(store: Store, path: Path) -> Merged:
    """Merges an export into a store, all of it or nothing; what is known already is not added again.

    Raises:
        UserError: the file cannot be read, or a line of it is broken (the message names it); nothing is imported.
    """
    lines = _read_lines(path)
    with store.transaction():
        merger = Merger(store)
        # Runs last, whatever their order in the file: they refer to the others.
        for number, line in lines.items():
            with _naming(f"{path}:{number}"):
                match line:
                    case _ArtifactLine(artifact):
                        merger.add_artifact(artifact)
                    case _HostLine(host):
                        merger.add_host(host)
        for attempts in _by_key(lines).values():
            if merger.agrees(list(attempts.values())):
                for number, attempt in attempts.items():
                    with _naming(f"{path}:{number}"):
                        merger.record(attempt)
    return merger.merged()


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Another store, or an export, as a store of its own that ends with this; the file itself is only read.

    Raises:
        UserError: it is neither, or is broken; or a store that is another program's or of a newer version.
    """
    if is_store(path):
        with snapshot(path) as other:
            yield other
        return
    if not is_export(path):
        raise UserError(f"{path} is neither a store nor an export of ours.", "slm results export NAME.jsonl")
    with TemporaryDirectory() as folder, Store(Path(folder) / "read.sqlite") as other:
        import_jsonl(other, path)
        yield other


def _by_key(lines: Mapping[int, _Line]) -> dict[str, dict[int, Attempt]]:
    """The attempts of each key, by their line."""
    found: dict[str, dict[int, Attempt]] = defaultdict(dict)
    for number, line in lines.items():
        if isinstance(line, _RunLine):
            found[line.run.key][number] = Attempt(line.run, line.samples)
    return found


def _read_lines(path: Path) -> dict[int, _Line]:
    """The lines of an export, by their number in the file."""
    decoder = msgspec.json.Decoder(_ArtifactLine | _HostLine | _RunLine)
    texts = read_bytes(path).split(b"\n")
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
    data = read_bytes(path)
    return not data.strip() or b'"record":' in data.replace(b" ", b"")


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
