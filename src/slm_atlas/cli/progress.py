"""What is shown while a study runs: what runs, what is next, how much time is left.

Nothing is drawn while a cost is measured: a line is written before a run and after it, and no thread redraws between.
"""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType
from typing import Self

import click

from slm_atlas.errors import Outcome
from slm_atlas.studies import Advanced, Event, Finished, Remaining, Started
from slm_atlas.units import format_bytes, format_seconds

_WIDTH = 24
REDRAW_S = 0.1
"""What changes often is drawn again after so long."""


class StudyProgress:
    """Listens to a study and writes to stderr; on a terminal the running cell is shown in place."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._running = ""
        self._drawn_at = 0.0

    def __call__(self, event: Event) -> None:
        """Show an event."""
        match event:
            case Started(cell, done, total, remaining, following, again):
                self._running = f"[{done + 1}/{total}] {cell.label}{', again' if again else ''}"
                after = f"; next: {following.label}" if following else ""
                self._in_place(f"{_bar(done, total)} {self._running}{_left(remaining)}{after}")
            case Advanced(done, total):
                self._at_times(f"{_bar(done, total)} {self._running}: {done} of {total} requests")
            case Finished(_, outcome, cause, elapsed_s):
                end = "" if outcome is Outcome.OK else f"  {outcome.value.upper()}: {cause}"
                self.say(f"{self._running}  {format_seconds(elapsed_s)}{end}")

    def preparing(self, name: str, done: int = 0, total: int = 0) -> None:
        """Show how far a file is; a download does not say how far it is."""
        size = f": {format_bytes(done)} of {format_bytes(total)}" if total else ""
        self._at_times(f"{_bar(done, total)} preparing {name}{size}")

    def counted(self, what: str, done: int, total: int) -> None:
        """Show how much of some work is done."""
        self._at_times(f"{_bar(done, total)} {what}: {done} of {total}")

    def say(self, message: str) -> None:
        """Write a line that stays, in place of what is shown."""
        self._in_place("")
        click.echo(message, err=True)

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal's line clean."""
        self._in_place("")

    def _at_times(self, text: str) -> None:
        """Draw what changes often, a few times a second."""
        if time.monotonic() - self._drawn_at >= REDRAW_S:
            self._in_place(text)
            self._drawn_at = time.monotonic()

    def _in_place(self, text: str) -> None:
        if self._terminal:
            # A line that wraps could not be taken back.
            fitting = text[: shutil.get_terminal_size().columns - 1]
            click.echo(f"\r\x1b[2K{fitting}", nl=False, err=True)


def _left(remaining: Remaining) -> str:
    """The time left, in words; nothing where nothing is known."""
    if not remaining.seconds:
        return ""
    return f", {'about' if remaining.complete else 'at least'} {format_seconds(remaining.seconds)} left"


def _bar(done: int, total: int) -> str:
    filled = _WIDTH * done // total if total else 0
    return "█" * filled + "░" * (_WIDTH - filled)
