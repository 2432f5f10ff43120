"""Server-sent events, as an OpenAI-compatible server streams an answer: bytes to events, events to what they say."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\n|$)")
_MAX_LINE_BYTES = 2**20
"""A line that is longer is not an event."""


class Events:
    """Takes what a connection gives, in whatever pieces, and gives the data of each event that is complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, received: bytes) -> list[str]:
        r"""The events completed by these bytes; comments and other fields are passed over.

        >>> Events().feed(b": hello\ndata: 1\n\ndata: 2\r\n\r\ndata: half")
        ['1', '2']

        Raises:
            ValueError: a line without end: this is no stream of events.
        """
        *lines, self._rest = _LINE_END.split(self._rest + received)
        if len(self._rest) > _MAX_LINE_BYTES:
            raise ValueError("a line of more than 1 MiB")
        return [event for line in lines if (event := self._line(line.decode(errors="replace"))) is not None]

    def _line(self, line: str) -> str | None:
        if line:
            field, _, value = line.partition(":")
            if field == "data":
                self._data.append(value.removeprefix(" "))
            return None
        event, self._data = "\n".join(self._data), []
        return event or None


class Counts(NamedTuple):
    """What a server counted; None: it does not say."""

    prompt: int | None = None
    """Tokens of the prompt, its template included."""
    generated: int | None = None
    """Tokens generated."""
    cached: int | None = None
    """Tokens of the prompt that it did not read anew."""


class Said(NamedTuple):
    """What one event, or a whole answer, says."""

    text: str
    """A fragment of the answer; empty in events that only begin or end it."""
    finish: str | None
    """Why the answer ends; None: it does not end here."""
    counts: Counts
    """What the server counted."""
    error: str | None
    """What went wrong, where the server says so in the stream."""


class _Choice(msgspec.Struct):
    text: str | None = None
    delta: dict[str, Any] | None = None
    message: dict[str, Any] | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []
    usage: dict[str, Any] | None = None
    timings: dict[str, Any] | None = None
    error: Any = None


def said(data: str | bytes) -> Said:
    """What an event or an answer says.

    >>> said('{"choices": [{"delta": {"content": "Hi"}, "finish_reason": null}]}').text
    'Hi'

    Raises:
        ValueError: it is not the JSON of a completion.
    """
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    choice = answer.choices[0] if answer.choices else _Choice()
    parts = choice.delta or choice.message or {}
    # Reasoning is generated as all else is; servers name it one way or the other.
    texts = (choice.text, *(parts.get(key) for key in ("content", "reasoning_content", "reasoning")))
    text = next((text for text in texts if isinstance(text, str) and text), "")
    wrong = None if answer.error is None else error_text(answer.error)
    return Said(text, choice.finish_reason, _counts(answer.usage or {}, answer.timings or {}), wrong)


def error_text(error: object) -> str:
    """The message of an error object, however a server nests it.

    >>> error_text({"error": {"message": "no such model", "code": 404}}), error_text({"detail": "busy"})
    ('no such model', 'busy')
    """
    if isinstance(error, dict):
        for key in ("error", "message", "detail"):
            if error.get(key):
                return error_text(error[key])
    return str(error)


def _counts(usage: dict[str, Any], timings: dict[str, Any]) -> Counts:
    """From `usage`, as OpenAI has it, and `timings`, as llama.cpp's server adds them."""
    details = usage.get("prompt_tokens_details") or {}
    read, cached = _whole(timings.get("prompt_n")), _whole(timings.get("cache_n"))
    prompt = _whole(usage.get("prompt_tokens"))
    if prompt is None and read is not None and cached is not None:
        prompt = read + cached
    if cached is None and prompt is not None and read is not None:
        cached = prompt - read
    told = _whole(details.get("cached_tokens")) if isinstance(details, dict) else None
    generated = _whole(usage.get("completion_tokens"))
    return Counts(
        prompt=prompt,
        generated=_whole(timings.get("predicted_n")) if generated is None else generated,
        cached=cached if told is None else told,
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
