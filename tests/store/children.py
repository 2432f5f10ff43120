"""Processes that write to a store until something ends them; the tests start them and look at what is left."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from slm_atlas.errors import UserError
from slm_atlas.store import Store, export_jsonl

from .facts import prepare, run, samples

SAMPLES = 300


class Child(NamedTuple):
    process: BaseProcess
    said: Connection

    def rest(self) -> list[Any]:
        """What it said and nobody has read yet; waits until it has ended."""
        heard = []
        try:
            while True:
                heard.append(self.said.recv())
        except EOFError:
            self.process.join()
            return heard


class Work(Protocol):
    def __call__(self, path: Path, say: Connection, *args: Any) -> None: ...


@contextmanager
def child(work: Work, path: Path, *args: Any) -> Iterator[Child]:
    context = get_context("forkserver")  # a child starts as fast as a fork, without what this process holds
    context.set_forkserver_preload([__name__])
    said, say = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(path, say, *args))
    process.start()
    say.close()
    try:
        yield Child(process, said)
    finally:
        process.kill()
        process.join()
        said.close()


def write_runs(path: Path, say: Connection, name: str = "", count: int = 1_000_000) -> None:
    """Records run after run, and says the key of each when it is stored."""
    with Store(path) as store:
        prepare(store)
        for index in range(count):
            key = f"{name}{index}"
            store.record(run(key, replicate=index), samples(SAMPLES))
            say.send(key)


def die_after_steps(path: Path, say: Connection, steps: int) -> None:
    """Records one run, then dies by SIGKILL after so many steps of SQLite's machine into the next one."""
    with Store(path) as store:
        prepare(store)
        store.record(run("first"), samples(SAMPLES))
        say.send("first")
        store._connection.set_progress_handler(_die, steps)
        store.record(run("second"), samples(SAMPLES))
        say.send("second")


def die_uncommitted(path: Path, say: Connection) -> None:
    """Dies by SIGKILL when a second run is written and only the commit is missing."""
    with Store(path) as store:
        prepare(store)
        store.record(run("first"), samples(SAMPLES))
        say.send("first")
        with store.transaction():
            store.record(run("second"), samples(SAMPLES))
            _die()


def fill_the_disk(path: Path, say: Connection, limit_bytes: int) -> None:
    """Writes until no file may grow further; says each key, then the error."""
    with Store(path) as store:
        prepare(store)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        try:
            for index in range(1_000):
                store.record(run(str(index)), samples(SAMPLES))
                say.send(str(index))
        except UserError as error:
            say.send(error.message)


def export_to_a_full_disk(path: Path, say: Connection, target: Path) -> None:
    """Exports where no file may grow beyond a few bytes; says the error."""
    with Store(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            export_jsonl(store, target)
        except UserError as error:
            say.send(error.message)


def open_when_told(path: Path, say: Connection, go: Path) -> None:
    """Opens the store at the moment a file appears; says so when done."""
    say.send("ready")
    while not go.exists():
        pass
    Store(path).close()
    say.send("opened")


def _die() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0
