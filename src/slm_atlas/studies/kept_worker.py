"""A worker whose model stays loaded for the next task: loading takes a while, and in PyTorch more than many a task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from slm_atlas.engines import Engine, LoadReport, LoadSettings


class KeptWorker(AbstractContextManager["KeptWorker"]):
    """At most one worker, and what it has loaded.

    Args:
        start: starts one.
    """

    def __init__(self, start: Callable[[], Engine]) -> None:
        self._start = start
        self._worker: Engine | None = None
        self._loaded: tuple[LoadSettings, LoadReport] | None = None

    def worker(self) -> Engine:
        """The worker, started if there is none."""
        if self._worker is None:
            self._worker = self._start()
        return self._worker

    def report(self, load: LoadSettings) -> LoadReport | None:
        """What it granted, if a model is loaded so; None: it is to be loaded."""
        if self._loaded is None or self._loaded[0] != load:
            self._loaded = None
        return self._loaded and self._loaded[1]

    def keep(self, load: LoadSettings, report: LoadReport) -> None:
        """Remember what is loaded."""
        self._loaded = load, report

    def drop(self) -> None:
        """End the worker: it failed, or the machine is needed for something else."""
        if self._worker is not None:
            self._worker.close()
        self._worker = self._loaded = None

    def __exit__(self, *error: object) -> None:
        self.drop()
