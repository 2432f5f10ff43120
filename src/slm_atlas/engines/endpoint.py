"""Any OpenAI-compatible server, as its user meets it: the time to the first fragment, and between fragments.

What the model is, and the memory it takes, only the server knows. Text goes in and comes out: the server's own counts
say how many tokens it was, and where it gives none, fragments are fragments and never called tokens.
"""

from __future__ import annotations

import itertools
import json
import platform
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from slm_atlas.engines.client import Client, Exchange, Rejected
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.sse import Counts, Events, Said, said
from slm_atlas.engines.values import EngineInfo, Response, ServerReport
from slm_atlas.errors import EngineRefused

APIS = ("completions", "chat/completions")
"""Paths, the first that the server has is asked: no template stands around the prompt of a completion."""
EXTRAS: tuple[dict[str, Any], ...] = (
    # The answer has the length asked for (vLLM, llama.cpp), no prompt is kept (llama.cpp), tokens are counted.
    {"ignore_eos": True, "cache_prompt": False, "stream_options": {"include_usage": True}},
    {"stream_options": {"include_usage": True}},
    {},
)
"""Fields beside OpenAI's oldest, most first; a server that rejects some is asked with fewer."""
_NO_SUCH_PATH = (404, 405, 501)
_NO_SUCH_FIELD = (400, 422)
_DONE = "[DONE]"


class _Way(NamedTuple):
    """How a server is asked."""

    api: str
    extras: dict[str, Any]


class _Answer(NamedTuple):
    """A whole streamed answer."""

    text: str
    times_s: list[float]
    finish: str | None
    counts: Counts
    client_s: float


class Endpoint(Partial):
    """The engine; see `slm_atlas.engines.base.Engine` for what each method does."""

    name = "endpoint"

    def __init__(self) -> None:
        self._client = Client("http://localhost")
        self._model = ""
        self._way = _Way(APIS[0], {})

    def describe(self) -> EngineInfo:
        """The client; what stands behind the URL says itself what it is."""
        return EngineInfo(name="endpoint", version="1", build=f"http.client of Python {platform.python_version()}")

    def connect(self, name: str, url: str) -> ServerReport:
        """Ask the server for its models, then for one token, with fewer fields or of another path if it must be.

        Raises:
            EngineRefused: there is no server, or it answers no way of asking.
        """
        self._client, self._model = Client(url), name
        models, server, noop_s = self._models()
        self._way = self._find_way()
        entries = [entry for entry in models or () if isinstance(entry, dict)]
        mine = next((entry for entry in entries if entry.get("id") == name), None)
        return ServerReport(
            server=server,
            api=self._way.api,
            extras=sorted(self._way.extras),
            listed=None if models is None else mine is not None,
            details=mine or {},
            noop_s=noop_s,
        )

    def respond(self, prompt: str, *, max_tokens: int) -> Response:
        """Have the server continue a prompt greedily, streaming.

        Raises:
            EngineRefused: the server rejects the request, hangs up, or sends what is no stream of completions.
        """
        with self._client.exchange(self._way.api, self._body(self._way, prompt, max_tokens)) as exchange:
            answer = self._read(exchange)
        if not answer.times_s:
            raise EngineRefused(f"the server answered without any text (finish reason: {answer.finish})")
        counts, counted = answer.counts, "stream"
        if counts.generated is None:
            counts, counted = self._count(prompt, max_tokens, answer.text)
        return Response(
            connect_s=exchange.connect_s,
            first_s=answer.times_s[0] - exchange.sent_at_s,
            gaps_s=[after - before for before, after in itertools.pairwise(answer.times_s)],
            client_s=answer.client_s,
            prompt_tokens=counts.prompt,
            tokens=counts.generated,
            # Of a repeated request it says nothing: the prompt is no longer new.
            cached_tokens=answer.counts.cached,
            counted=counted,
            finish=answer.finish,
        )

    # ---- how to ask ---------------------------------------------------------------------------------------------

    def _models(self) -> tuple[list[Any] | None, str | None, float]:
        """The server's list of models, its name, and the time that took without the connection."""
        try:
            with self._client.exchange("models") as exchange:
                body = b"".join(data for data, _ in exchange.reads())
                noop_s = time.perf_counter() - exchange.sent_at_s
                server = exchange.response.getheader("Server")
        except Rejected as rejected:
            if rejected.status in _NO_SUCH_PATH:
                raise EngineRefused(f"{rejected.cause}; a URL ends with /v1 for most servers") from None
            raise
        try:
            listed = json.loads(body).get("data")
        except (ValueError, AttributeError):
            raise EngineRefused(self._client.clean(f"the server's list of models is no JSON: {body!r}")) from None
        return (listed if isinstance(listed, list) else None), server, noop_s

    def _find_way(self) -> _Way:
        refusal: Rejected | None = None
        for api in APIS:
            for extras in EXTRAS:
                way = _Way(api, extras)
                try:
                    with self._client.exchange(api, self._body(way, "Hello", 1)) as exchange:
                        self._read(exchange)
                    return way
                except Rejected as rejected:
                    refusal = rejected
                if refusal.status in _NO_SUCH_PATH:
                    break
                if refusal.status not in _NO_SUCH_FIELD:
                    raise refusal
        assert refusal is not None
        raise refusal

    def _body(self, way: _Way, prompt: str, max_tokens: int, *, stream: bool = True) -> dict[str, Any]:
        message = {"messages": [{"role": "user", "content": prompt}]}
        extras = {key: value for key, value in way.extras.items() if stream or key != "stream_options"}
        text = {"prompt": prompt} if way.api == "completions" else message
        asked = {"model": self._model, "max_tokens": max_tokens, "temperature": 0, "stream": stream}
        return asked | text | extras

    # ---- what it answers ----------------------------------------------------------------------------------------

    def _read(self, exchange: Exchange) -> _Answer:
        """A whole stream."""
        kind = exchange.response.getheader("Content-Type") or "nothing"
        if "text/event-stream" not in kind:
            raise EngineRefused(self._client.clean(f"the server sent {kind} instead of a stream of events"))
        texts: list[str] = []
        times: list[float] = []
        finish, counts, client_s, ended = None, Counts(), 0.0, False
        events = Events()
        for data, at_s in _closed(exchange):
            for one in self._parse(events, data):
                if one is None:
                    ended = True
                    break
                if one.text:
                    texts.append(one.text)
                    times.append(at_s)
                finish = one.finish or finish
                counts = Counts(*(new if new is not None else old for new, old in zip(one.counts, counts, strict=True)))
            client_s += time.perf_counter() - at_s
            if ended:
                break
        if not ended and finish is None:
            place = f"in the middle, after {len(texts)} fragments" if texts else "before it began"
            raise EngineRefused(f"the server ended its answer {place}")
        return _Answer("".join(texts), times, finish, counts, client_s)

    def _parse(self, events: Events, data: bytes) -> Iterator[Said | None]:
        """What bytes say, event by event; None: the stream ends."""
        try:
            for event in events.feed(data):
                one = None if event == _DONE else said(event)
                if one is not None and one.error is not None:
                    raise EngineRefused(self._client.clean(f"the server broke its answer off: {one.error}"))
                yield one
        except ValueError as error:
            raise EngineRefused(self._client.clean(f"the server sent what is no completion: {error}")) from None

    def _count(self, prompt: str, max_tokens: int, text: str) -> tuple[Counts, str]:
        """The counts of the same request, not streamed, where its answer is the same text."""
        try:
            with self._client.exchange(
                self._way.api, self._body(self._way, prompt, max_tokens, stream=False)
            ) as exchange:
                whole = said(b"".join(data for data, _ in exchange.reads()))
        except (Rejected, ValueError):
            return Counts(), "nobody"
        same = whole.text == text and whole.counts.generated is not None
        return (whole.counts, "repeat") if same else (Counts(), "nobody")


def _closed(exchange: Exchange) -> Iterator[tuple[bytes, float]]:
    """What arrives, then an empty line: a server that hangs up may leave the last event without one."""
    yield from exchange.reads()
    yield b"\n\n", time.perf_counter()
