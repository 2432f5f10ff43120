"""A small server of our own that speaks as OpenAI-compatible ones do, and misbehaves where its model's name says so."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORD_S = 0.01
"""Seconds between the words of an answer."""


GARBAGE = {
    "not-json": b"<html>",
    "not-utf8": b'{"choices": [{"text": "\xff\xfe", "finish_reason": \xff}]}',
    "no-object": b"[1, 2]",
    "no-list": b'{"choices": "word"}',
    "no-choice": b'{"choices": [5]}',
    "no-reason": b'{"choices": [{"text": "a", "finish_reason": {}}]}',
    "no-counts": b'{"choices": [], "usage": "many"}',
    "deep": b"[" * 100_000,
}
"""Events that are no completions, by the name of the model that sends them."""


class StandIn(ThreadingHTTPServer):
    """The server; remembers what it was asked, and with which headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.over = threading.Event()

    def handle_error(self, *_: object) -> None:
        """A client that hangs up, or is killed at its deadline, is no error here."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    """Answers as the name of the model says: `good`, `chat-only`, `old`, `uncounted`, `cached`, `stall`, ..."""

    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            self._whole(200, {"data": [{"id": "good", "meta": {"n_params": 7}}]})
        else:
            self._whole(404, {"error": {"message": "no such path"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body)
        self.server.headers.append(dict(self.headers))
        name, chat = body["model"], self.path.endswith("chat/completions")
        if name == "chat-only" and not chat:
            return self._whole(404, {"detail": "Not Found"})
        if name == "old" and len(body) > 5:
            return self._whole(422, {"detail": "extra fields are not permitted"})
        if name == "busy":
            return self._whole(503, {"error": {"message": "Loading model", "type": "unavailable_error"}})
        if name == "locked":
            return self._whole(401, {"error": {"message": f"bad key {self.headers.get('Authorization')}"}})
        if name == "broken":
            return self._whole(500, {"error": {"message": "CUDA error: out of memory"}})
        if name == "moved":
            return self._bytes(301, b"", "text/html", Location="http://elsewhere.example/v1/completions")
        if name == "html":
            return self._bytes(200, b"<html>It works!</html>", "text/html")
        if not body["stream"]:
            return self._whole(200, self._answer(body, chat))
        return self._stream(body, chat)

    def _answer(self, body: dict[str, Any], chat: bool) -> dict[str, Any]:
        text = " word" * body["max_tokens"]
        choice = {"message": {"content": text}} if chat else {"text": text}
        return {"choices": [choice | {"finish_reason": "length"}], "usage": usage(body, chat)}

    def _stream(self, body: dict[str, Any], chat: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        try:
            for piece in pieces(body, chat):
                if piece is None:
                    self.server.over.wait(30)
                    return
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
            if body["model"] != "cut-chunk":  # that one hangs up where a chunk should begin
                self.wfile.write(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client has what it wanted

    def _whole(self, status: int, body: dict[str, Any]) -> None:
        self._bytes(status, json.dumps(body).encode(), "application/json")

    def _bytes(self, status: int, body: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def usage(body: dict[str, Any], chat: bool) -> dict[str, Any]:
    """The counts: a token a word, and three of a template around a chat."""
    words = len((body["messages"][0]["content"] if chat else body["prompt"]).split())
    cached = words if body["model"] == "cached" else 0
    return {
        "prompt_tokens": words + 3 * chat,
        "completion_tokens": body["max_tokens"],
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def pieces(body: dict[str, Any], chat: bool) -> Iterator[bytes | None]:
    """The chunks of a stream; None: it stalls."""
    name, tokens = body["model"], body["max_tokens"]
    measured = tokens > 1
    if chat:
        yield event({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
    yield b": keep-alive\n\n"
    step = 2 if name == "pairs" else 1
    for place in range(0, tokens, step):
        time.sleep(WORD_S)
        if measured and place == 2 * step:
            if name == "stall":
                yield None
            if name == "garbage":
                yield b"data: {never\n\n"
            if name in GARBAGE:
                yield b"data: " + GARBAGE[name] + b"\n\n"
            if name == "half":
                yield b'data: {"choices": [{"text": " wo'
                return
            while name == "endless":
                yield b": " + b"x" * 2**20 + b"\n\n"
            if name == "error":
                yield event({"error": {"message": "out of memory", "code": 500}})
            if name in ("cut", "cut-chunk"):
                return
        text = " word" * min(step, tokens - place)
        yield event({"choices": [{"delta": {"content": text}} if chat else {"text": text}]})
    yield event({"choices": [{"text": "", "delta": {}, "finish_reason": "length"}]})
    if name != "uncounted" and "stream_options" in body:
        yield event({"choices": [], "usage": usage(body, chat)})
    yield b"data: [DONE]\n\n"


def event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """The server, in a thread of its own."""
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
