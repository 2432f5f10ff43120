"""Joins what several devices measured: new facts are added, contradictions are listed, nothing is overwritten."""

from __future__ import annotations

import sqlite3
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from slm_atlas.errors import Outcome, UserError
from slm_atlas.store.db import Attempt, Store, log_of, read_only
from slm_atlas.store.faults import explained
from slm_atlas.store.migrations import is_current
from slm_atlas.store.records import Artifact, Host, Sample, Struct

_OWN = ("origin", "name")
"""What each device may say of a file in its own words: where it lay, and what it was called."""
_NO_NUMBER = "–"
_MAGIC = b"SQLite format 3\0"


class Conflict(Struct, frozen=True):
    """Two stores contradict each other; what stands here stays."""

    kind: str
    """`artifact`, `host` or `run`."""
    id: str
    """sha256 of the file, id of the machine, or key of the run."""
    name: str
    """The file, the processor, or what was measured."""
    what: str
    """The fact, or the first metric, that differs."""
    here: str
    """What this store says; of a metric the median or the mean."""
    there: str
    """What the other says."""


class Merged(NamedTuple):
    """What was added; what the store held already is not counted."""

    artifacts: int
    """Model files."""
    hosts: int
    """Machines."""
    runs: int
    """Runs, each attempt counted."""
    conflicts: tuple[Conflict, ...] = ()
    """What was not added, or not changed, since the store says something else."""


class Merger:
    """Adds another store's facts to one, in a transaction of the caller's, and remembers what it did.

    Facts of a known file or machine stay as they are, and its runs are added. A key that ended well in both stores
    with different samples, each of which the other lacks, is a contradiction: nothing of it is added. One that failed
    before, or was repeated later, is none: the store holds all attempts of a key.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._artifacts, self._hosts = store.artifacts(), store.hosts()
        self._added = {"artifacts": 0, "hosts": 0, "runs": 0}
        self._conflicts: list[Conflict] = []

    def add_artifact(self, artifact: Artifact) -> None:
        """Adds a model file, or lists how it differs from the one known."""
        self._added["artifacts"] += self._store.add_artifact(artifact)
        known = self._artifacts.setdefault(artifact.sha256, artifact)
        self._compare("artifact", artifact.sha256, known.name, known, artifact)

    def add_host(self, host: Host) -> None:
        """Adds a machine, or lists how it differs from the one known."""
        self._added["hosts"] += self._store.add_host(host)
        known = self._hosts.setdefault(host.id, host)
        self._compare("host", host.id, known.cpu, known, host)

    def agrees(self, theirs: Sequence[Attempt]) -> bool:
        """Whether the attempts of one key may be added; else the contradiction is listed."""
        ours = self._store.attempts(theirs[0].run.key)
        only_here = [attempt for attempt in ours if attempt not in theirs]
        only_there = [attempt for attempt in theirs if attempt not in ours]
        pair = _good(only_here), _good(only_there)
        if pair[0] is None or pair[1] is None or pair[0].samples == pair[1].samples:
            return True
        run = pair[0].run
        name = self._artifacts[run.artifact].name
        what, here, there = _difference(pair[0].samples, pair[1].samples)
        told = f"{name}, {run.settings.get('task') or f'{run.kind} {run.replicate + 1}'}"
        self._conflicts.append(Conflict(kind="run", id=run.key, name=told, what=what, here=here, there=there))
        return False

    def record(self, attempt: Attempt) -> None:
        """Adds an attempt; raises as `Store.record`."""
        self._added["runs"] += self._store.record(*attempt)

    def merged(self) -> Merged:
        """What was done."""
        return Merged(**self._added, conflicts=tuple(self._conflicts))

    def _compare(self, kind: str, id_: str, name: str, ours: Struct, theirs: Struct) -> None:
        for field in ours.__struct_fields__:
            here, there = getattr(ours, field), getattr(theirs, field)
            if here != there and not (kind == "artifact" and field in _OWN):
                found = Conflict(kind=kind, id=id_, name=name, what=field, here=str(here), there=str(there))
                self._conflicts.append(found)


def merge_store(store: Store, path: Path) -> Merged:
    """Merges another store's file into a store, all of it or nothing; the other is only read.

    Raises:
        UserError: the file is the store itself, cannot be read, is damaged, another program's or of a newer version.
    """
    if path.resolve() == store.path.resolve():
        raise UserError(f"{path} is this store itself.", "slm results merge OTHER, of another device")
    with snapshot(path) as other:
        artifacts, hosts, attempts = other.artifacts(), other.hosts(), other.attempts()
    by_key: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_key[attempt.run.key].append(attempt)
    with store.transaction():
        merger = Merger(store)
        for artifact in artifacts.values():
            merger.add_artifact(artifact)
        for host in hosts.values():
            merger.add_host(host)
        for found in by_key.values():
            for attempt in found if merger.agrees(found) else ():
                merger.record(attempt)
    return merger.merged()


def is_store(path: Path) -> bool:
    """Whether a file is a SQLite database, ours or not.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error


@contextmanager
def snapshot(path: Path) -> Iterator[Store]:
    """A copy of another store at this moment, brought to the current schema; the file itself is only read.

    Raises:
        UserError: the file cannot be read, is damaged, another program's or of a newer version.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.sqlite"
        with explained(path), closing(read_only(path, unchanging=not log_of(path).exists())) as source:
            is_current(source, path)  # raises where it is none
            with closing(sqlite3.connect(copy)) as target:
                source.backup(target)
        with Store(copy) as other:
            other.path = path  # what messages name
            yield other


def _good(attempts: Sequence[Attempt]) -> Attempt | None:
    """The last attempt that ended well."""
    return next((attempt for attempt in reversed(attempts) if attempt.run.outcome is Outcome.OK), None)


def _difference(ours: Sequence[Sample], theirs: Sequence[Sample]) -> tuple[str, str, str]:
    """The first metric whose samples differ, and what tells them apart: the medians, else the means, else nothing."""
    for metric in dict.fromkeys(sample.metric for sample in (*ours, *theirs)):
        here, there = ([s for s in samples if s.metric == metric] for samples in (ours, theirs))
        if here != there:
            told = ((_told(summary, here), _told(summary, there)) for summary in (statistics.median, statistics.fmean))
            return metric, *next((pair for pair in told if pair[0] != pair[1]), (_NO_NUMBER, _NO_NUMBER))
    return "order of samples", _NO_NUMBER, _NO_NUMBER


def _told(summary: Callable[[Iterable[float]], float], samples: Sequence[Sample]) -> str:
    return f"{summary(sample.value for sample in samples):.6g}" if samples else _NO_NUMBER
