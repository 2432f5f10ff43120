"""Every error a user can meet, in one place.

    AtlasError
    ├── UserError             something the user can mend: one line, and the command that mends it; exit code 2
    │   ├── MissingExtra      an optional dependency is not installed
    │   └── UnusableModel     a model's file is broken, or cannot be made or had; a study records it and goes on
    │       └── OfflineError  a download was needed and the network did not answer
    └── EngineError           an engine did not do its work; `outcome` says how, and it is a result to record
        ├── EngineRefused     the engine said no (a broken file, an unknown architecture, not enough memory)
        ├── EngineCrashed     the process of the engine died (abort, signal, kill -9, out of memory)
        └── EngineTimeout     the engine did not answer before its deadline and was killed

A bug keeps its traceback: nothing here wraps what we did not foresee.
"""

from __future__ import annotations

from enum import StrEnum


class Outcome(StrEnum):
    """How a run ended; what is stored with every run."""

    OK = "ok"
    """The run ended as it should."""
    REFUSED = "refused"
    """The engine declined: it lives, and gave a reason."""
    CRASHED = "crashed"
    """The engine's process died."""
    TIMEOUT = "timeout"
    """The engine did not answer before its deadline."""
    REJECTED = "rejected"
    """The run ended, but its numbers are physically impossible."""


class AtlasError(Exception):
    """The base of all errors raised on purpose."""


class UserError(AtlasError):
    """What the user can mend.

    Args:
        message: what is wrong, and where.
        fix: the command (or the change) that mends it.
    """

    def __init__(self, message: str, fix: str | None = None) -> None:
        self.message = message
        self.fix = fix
        super().__init__(f"{message} Try: {fix}" if fix else message)


class MissingExtra(UserError):
    """An optional dependency is not installed; names the extra that brings it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra '{extra}'.", f"pip install 'slm-atlas[{extra}]'")


class UnusableModel(UserError):
    """The file of a model that was named rightly is broken, or cannot be made or had."""


class OfflineError(UnusableModel):
    """A download was needed, and the network did not answer."""


class EngineError(AtlasError):
    """An engine did not do its work.

    Args:
        cause: one line that says what happened.
        log_tail: the last lines of the engine's own log.
    """

    outcome = Outcome.CRASHED

    def __init__(self, cause: str, log_tail: str = "") -> None:
        self.cause = cause
        self.log_tail = log_tail
        super().__init__(cause)


class EngineRefused(EngineError):
    """The engine said no, and lives."""

    outcome = Outcome.REFUSED


class EngineCrashed(EngineError):
    """The process of the engine died."""

    outcome = Outcome.CRASHED


class EngineTimeout(EngineError):
    """The engine did not answer before its deadline, and was killed."""

    outcome = Outcome.TIMEOUT
