"""A stand-in for the model hub on this machine, and a process that fetches from it.

The hub's library reads its settings when it is imported, so what fetches is a program of its own: its arguments are
models; it says one JSON object a line, `{"path": ..., "origin": ...}` or `{"error": ..., "message": ...}`.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENT = b"GGUF" + bytes(range(256)) * 400


class Hub(ThreadingHTTPServer):
    """Serves one file; other names fail in the ways a hub fails."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
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
        cut = body and "/cut/" in self.path
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("ETag", f'"{sha256(self.path.encode()).hexdigest()}"')
        if "/portal/" not in self.path:  # a page that stands in for every other, as in a hotel
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(CONTENT[:1000] if cut else CONTENT)
        self.close_connection = cut

    def fail(self, status: int, code: str) -> None:
        """A failure, with the code the hub's library goes by."""
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", "no")
        self.send_header("Content-Length", "0")
        self.end_headers()


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that listens until the block ends."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def main(models: list[str]) -> None:
    """Fetch each."""
    from slm_atlas.errors import UserError
    from slm_atlas.models import locate

    for model in models:
        said: dict[str, str]
        try:
            found = locate(model)
            said = {"path": str(found.path), "origin": found.origin}
        except UserError as error:
            said = {"error": type(error).__name__, "message": str(error)}
        sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
