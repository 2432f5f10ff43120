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


def snapshot(repo: str) -> Path:
    """The folder of a repository's files on this disk, without what other libraries want; downloaded if need be.

    Raises:
        MissingExtra: without the extra `hf`.
        UserError: the hub has no such repository, or asks for terms to be accepted.
        OfflineError: the hub does not answer, or the download broke off.
    """
    with _said_in_a_line(repo, "config.json") as hub:
        return Path(hub.snapshot_download(repo, allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"]))


@contextmanager
def reading(repo: str, file: str) -> Iterator[IO[bytes]]:
    """The file, read from the hub a piece at a time as far as it is asked for; nothing is kept on disk.

    Raises:
        MissingExtra: without the extra `hf`.
        UserError: the hub has no such file, or asks for terms to be accepted.
        OfflineError: the hub does not answer, or does not give parts of a file.
    """
    with _said_in_a_line(repo, file) as hub:
        yield io.BufferedReader(_Remote(hub, repo, file), _PIECE_BYTES)


class _Remote(io.RawIOBase):
    """A file of the hub, by range requests."""

    def __init__(self, hub: Any, repo: str, file: str) -> None:  # noqa: ANN401  (the library, imported when needed)
        self._named, self._url = (repo, file), hub.hf_hub_url(repo, file)
        self._size = hub.get_hf_file_metadata(self._url, timeout=_ASKED_S).size or 0
        self._session, self._place = hub.utils.get_session(), 0
        self._headers = {**hub.utils.build_hf_headers(), "Accept-Encoding": "identity"}

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  (any writable buffer)
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        piece = self._piece(f"bytes={self._place}-{self._place + wanted - 1}")[:wanted]
        buffer[: len(piece)] = piece
        self._place += len(piece)
        return len(piece)

    def _piece(self, span: str) -> bytes:
        headers = {**self._headers, "Range": span}
        asked = self._session.stream("GET", self._url, headers=headers, timeout=_ASKED_S, follow_redirects=True)
        with asked as answer:
            answer.raise_for_status()
            if answer.status_code != 206:  # all of the file would follow
                where = "/".join(self._named)
                raise OfflineError(f"The hub gives hf:{where} as a whole only.", f"hf download {' '.join(self._named)}")
            return bytes(answer.read())


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
