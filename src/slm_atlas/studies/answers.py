"""Answers of an evaluation in the store: a task that was killed, or asked for with more items, goes on where it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from slm_atlas.evals.answers import Answer, Arguments, Told
from slm_atlas.store import Answer as StoredAnswer
from slm_atlas.store import Store, content_hash, run_key

NOT_OF_AN_ANSWER = frozenset({"limit", "shots_order", "chance", "suite"})
"""Settings that choose requests or judge answers, and change none: answers are shared between their values."""


class StoredAnswers:
    """The answers of one file to one task, as one engine build gives them on one machine with certain settings.

    An answer is on the disk when `put` returns. The prompt itself is a part of the key, so that answers to another
    version of a task, or to other worked examples, are never taken for these.

    Args:
        store: where they are kept; the file and the machine are known to it.
        artifact: sha256 of the file.
        host: id of the machine.
        engine: engine, version and build.
        settings: the evaluation's; of them `NOT_OF_AN_ANSWER` do not count.
    """

    def __init__(self, store: Store, *, artifact: str, host: str, engine: str, settings: Mapping[str, Any]) -> None:
        self._store = store
        self._same = {"artifact": artifact, "host": host, "engine": engine}
        self._settings = {name: value for name, value in settings.items() if name not in NOT_OF_AN_ANSWER}

    def get(self, kind: str, arguments: Arguments) -> Answer | None:
        """The answer kept; None: there is none."""
        key = self._key(kind, content_hash(arguments))
        found = self._store.answers([key]).get(key)
        return None if found is None else msgspec.convert(found.value, Answer)

    def put(self, told: Sequence[Told]) -> None:
        """Keep the answers of one call to the engine."""
        self._store.add_answers(map(self._stored, told))

    def _key(self, kind: str, prompt_hash: str) -> str:
        return run_key(**self._same, settings=self._settings, kind=kind, prompt_hash=prompt_hash)

    def _stored(self, told: Told) -> StoredAnswer:
        prompt_hash = content_hash(told.arguments)
        return StoredAnswer(
            key=self._key(told.kind, prompt_hash),
            **self._same,
            settings=self._settings,
            kind=told.kind,
            prompt_hash=prompt_hash,
            value=msgspec.to_builtins(told.answer),
            recorded_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
