"""A plain HTTP client for one server: requests, streamed answers with the time of each read, complaints in one line.

It is the standard library's `http.client`: a blocking read and nothing else between the socket and the clock, no event
loop, no dependency. Proxies and redirects are not followed: they would be measured too.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from slm_atlas.engines.sse import error_text
from slm_atlas.errors import EngineRefused

KEY_VARIABLE = "SLM_ATLAS_API_KEY"
"""Holds the server's API key, where it wants one. It is sent, and never stored, logged or shown."""
_READ_BYTES = 65536
_MOST_BYTES = 64 * 2**20
"""Of one answer: no completion is as long, and what never ends would fill the memory."""
_SHOWN = 200


class Rejected(EngineRefused):
    """The server answered with a status that is not success."""

    def __init__(self, cause: str, status: int) -> None:
        super().__init__(cause)
        self.status = status


class Received(NamedTuple):
    """What one read gave."""

    data: bytes
    """The bytes."""
    at_s: float
    """When, by the monotonic clock."""


class Exchange(NamedTuple):
    """A request that was answered with success, whose body is still to be read."""

    response: http.client.HTTPResponse
    """The answer."""
    connect_s: float
    """Seconds to connect."""
    sent_at_s: float
    """When the request began to be sent, by the monotonic clock."""

    def reads(self) -> Iterator[Received]:
        """The body, as it arrives; raises `EngineRefused` when it does not end."""
        total = 0
        while data := self.response.read1(_READ_BYTES):
            total += len(data)
            if total > _MOST_BYTES:
                raise EngineRefused(f"the server sent more than {_MOST_BYTES // 2**20} MiB in one answer")
            yield Received(data, time.perf_counter())


class Client:
    """Speaks to the server at a URL such as `http://127.0.0.1:8000/v1`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._url, self._path = url, parts.path.rstrip("/")
        secure = parts.scheme == "https"
        self._kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port = parts.hostname or "", parts.port
        self._key = os.environ.get(KEY_VARIABLE, "").strip()

    @contextlib.contextmanager
    def exchange(self, path: str, body: dict[str, Any] | None = None) -> Iterator[Exchange]:
        """Send one request over a fresh connection: a POST of JSON, or a GET where there is no body.

        Raises:
            Rejected: the server's status is not success.
            EngineRefused: there is no server, it does not speak HTTP, or it hangs up.
        """
        connection = self._kind(self._host, self._port)
        try:
            with self._told():
                yield self._ask(connection, path, body)
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, path: str, body: dict[str, Any] | None) -> Exchange:
        start = time.perf_counter()
        connection.connect()
        connected = time.perf_counter()
        payload = None if body is None else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", f"{self._path}/{path}", payload, self._headers())
        response = connection.getresponse()
        if response.status != http.client.OK:
            raise Rejected(self._complaint(response), response.status)
        return Exchange(response, connected - start, connected)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        return headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever goes wrong on the way, as one line."""
        try:
            yield
        except http.client.IncompleteRead:
            raise EngineRefused(f"{self._url} closed the connection in the middle of its answer") from None
        except http.client.RemoteDisconnected:
            raise EngineRefused(f"{self._url} closed the connection without an answer") from None
        except http.client.HTTPException as error:
            raise EngineRefused(self.clean(f"{self._url} does not speak HTTP: {error!r}")) from None
        except ConnectionResetError:
            raise EngineRefused(f"{self._url} broke the connection off") from None
        except UnicodeError:
            raise EngineRefused(self.clean(f"{self._url} is not the address of a server")) from None
        except OSError as error:
            raise EngineRefused(f"no server answers at {self._url}: {error.strerror or error}") from None

    def _complaint(self, response: http.client.HTTPResponse) -> str:
        """What a server says of a request that it rejects."""
        if target := response.getheader("Location"):
            return self.clean(f"{self._url} says {response.status}: the server is at {target}; give that URL")
        body = response.read1(_READ_BYTES).decode(errors="replace")
        with contextlib.suppress(ValueError):
            body = error_text(json.loads(body))
        said = self.clean(f"{response.status} {response.reason}: {body}").rstrip(": ")
        hint = f" (the key is read from {KEY_VARIABLE})" if response.status in (401, 403) else ""
        return f"the server answered {said}{hint}"

    def clean(self, text: str) -> str:
        """A text of the server's in one short line, without the key."""
        line = " ".join(text.split())
        line = line.replace(self._key, "***") if self._key else line
        line = "".join(char if char.isprintable() else "?" for char in line)
        return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."
