"""A stand-in for the model hub on this machine, and a process that fetches from it.

The hub's library reads its settings when it is imported, so what fetches is a program of its own: its arguments are
models; it says one JSON object a line, `{"path": ..., "origin": ...}` or `{"error": ..., "message": ...}`. After
`--headers` it reads but the header of each, and says `{"name": ..., "architecture": ..., "data_offset": ...}`.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"GGUF" + bytes(range(256)) * 400


class Hub(ThreadingHTTPServer):
    """Serves one file; other names fail in the ways a hub fails."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.asked: list[str] = []
        self.sent_bytes = 0
        super().__init__(("127.0.0.1", 0), Answer)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answer(BaseHTTPRequestHandler):
    """Answers to one request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        """Say what a GET would give."""
        self.do_GET(body=False)

    def do_GET(self, *, body: bool = True) -> None:
        """Give the file, or fail as the name says."""
        self.server.asked.append(f"{self.command} {self.path}")
        failures = {
            "/gated/": (401, "GatedRepo"),
            "/private/": (401, "RepoNotFound"),
            "/broken/": (500, ""),
            "/absent.gguf": (404, "EntryNotFound"),
        }
        for name, (status, code) in failures.items():
            if name in self.path:
                self.fail(status, code)
                return
        if "/moved/" in self.path:
            self.move()
            return
        content, span = self.server.content, self.span()
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {span.start}-{span.stop - 1}/{len(content)}")
            content = content[span.start : span.stop]
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{sha256(self.path.encode()).hexdigest()}"')
        if "/portal/" not in self.path:  # a page that stands in for every other, as in a hotel
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        self.close_connection = body and "/cut/" in self.path
        if body:
            self.send(content[:1000] if self.close_connection else content)

    def span(self) -> slice | None:
        """The part that is asked for; none where the name says that the server knows no parts."""
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found is None or "/whole/" in self.path:
            return None
        return slice(int(found[1]), min(int(found[2]) + 1, len(self.server.content)))

    def send(self, content: bytes) -> None:
        """The content, piece by piece, until nobody listens."""
        with suppress(ConnectionError):
            for first in range(0, len(content), 2**16):
                piece = content[first : first + 2**16]
                self.wfile.write(piece)
                self.server.sent_bytes += len(piece)

    def move(self) -> None:
        """Where the file is, as a hub says that keeps its files elsewhere."""
        self.send_response(302)
        self.send_header("Location", f"{self.server.url}{self.path.replace('/moved/', '/kept/')}")
        self.send_header("X-Linked-Size", str(len(self.server.content)))
        self.send_header("X-Linked-ETag", '"0123"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def fail(self, status: int, code: str) -> None:
        """A failure, with the code the hub's library goes by."""
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving(content: bytes = CONTENT) -> Iterator[Hub]:
    """A hub that listens until the block ends."""
    with Hub(content) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def main(models: list[str]) -> None:
    """Fetch each, or read its header."""
    from slm_atlas.errors import UserError

    say, models = (header, models[1:]) if models[0] == "--headers" else (fetched, models)
    for model in models:
        try:
            said = say(model)
        except UserError as error:
            said = {"error": type(error).__name__, "message": str(error)}
        sys.stdout.write(json.dumps(said) + "\n")


def fetched(model: str) -> dict[str, object]:
    """What there is of a model once it is here."""
    from slm_atlas.models import locate

    found = locate(model)
    return {"path": str(found.path), "origin": found.origin}


def header(model: str) -> dict[str, object]:
    """What the header of a model says."""
    from slm_atlas.models.shape import file_header

    name, found = file_header(model)
    return {"name": str(name), "architecture": found.architecture, "data_offset": found.data_offset}


if __name__ == "__main__":
    main(sys.argv[1:])
