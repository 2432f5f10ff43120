"""The model hub: downloads a file, or reads a part of it, through `huggingface_hub` (extra `hf`)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from slm_atlas.errors import MissingExtra, OfflineError, UserError

_ASKED_S = 10
"""Seconds for an answer: offline, the library's own retries take half a minute to say so."""
_PIECE_BYTES = 2**20
"""Bytes asked for at once: a header with a large vocabulary has a few million."""


def parse(text: str) -> tuple[str, str]:
    """The repository and the file of `OWNER/REPO/FILE`.

    Raises:
        UserError: the text is something else.
    """
    parts = text.split("/", 2)
    if len(parts) < 3 or not all(parts) or ".." in text.split("/"):
        raise UserError(f"'hf:{text}' does not name a file.", "hf:OWNER/REPO/FILE.gguf")
    return "/".join(parts[:2]), parts[2]


def download(repo: str, file: str) -> Path:
    """The file on this disk, downloaded if it is not in the library's cache.

    Raises:
        MissingExtra: without the extra `hf`.
        UserError: the hub has no such file, or asks for terms to be accepted.
        OfflineError: the hub does not answer, or the download broke off.
    """
    with _said_in_a_line(repo, file) as hub:
        cached = hub.try_to_load_from_cache(repo, file)
        if isinstance(cached, str):
            return Path(cached)
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, file), timeout=_ASKED_S)
        return Path(hub.hf_hub_download(repo, file))


@contextmanager
def reading(repo: str, file: str) -> Iterator[IO[bytes]]:
    """The file, read from the hub a piece at a time as far as it is asked for; nothing is kept on disk.

    Raises:
        MissingExtra: without the extra `hf`.
        UserError: the hub has no such file, or asks for terms to be accepted.
        OfflineError: the hub does not answer, or does not give parts of a file.
    """
    with _said_in_a_line(repo, file) as hub:
        url = hub.hf_hub_url(repo, file)
        size = hub.get_hf_file_metadata(url, timeout=_ASKED_S).size
        yield io.BufferedReader(_Remote(hub, url, size or 0), _PIECE_BYTES)


class _Remote(io.RawIOBase):
    """A file of the hub, by range requests."""

    def __init__(self, hub: Any, url: str, size: int) -> None:  # noqa: ANN401  (the library, imported when needed)
        self._session, self._headers = hub.utils.get_session(), hub.utils.build_hf_headers()
        self._url, self._size, self._place = url, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (any writable buffer)
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        span = f"bytes={self._place}-{self._place + wanted - 1}"
        answer = self._session.get(
            self._url, headers={**self._headers, "Range": span}, timeout=_ASKED_S, follow_redirects=True
        )
        answer.raise_for_status()
        if answer.status_code != 206:
            raise OSError("the hub gives no part of a file, only the whole")
        buffer[: len(answer.content)] = answer.content
        self._place += len(answer.content)
        return len(answer.content)


@contextmanager
def _said_in_a_line(repo: str, file: str) -> Iterator[Any]:
    """The library; what it raises becomes a line that says what to do."""
    try:
        import huggingface_hub as hub
        from httpx2 import HTTPError
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError
    except ImportError:
        raise MissingExtra("A model of the hub", "hf") from None
    where = f"hf:{repo}/{file}"
    try:
        yield hub
    except GatedRepoError:
        raise UserError(f"{repo} asks you to accept its terms first.", "hf auth login") from None
    except HFValidationError:
        raise UserError(f"'{repo}' is not the name of a repository.", "hf:OWNER/REPO/FILE.gguf") from None
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403, 404):
            raise UserError(f"The model hub shows no file {file} in {repo}.", "check the spelling") from None
        raise OfflineError(f"Cannot download {where}: {_first_line(error)}", "try again later") from None
    except (HTTPError, ConnectionError):
        raise OfflineError(f"Cannot download {where}: the model hub does not answer.", "check the network") from None
    except OSError as error:
        # What answered is not the hub, the download broke off, or the disk is full: the library says which.
        raise OfflineError(f"Cannot download {where}: {_first_line(error)}", "check the network and the disk") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
