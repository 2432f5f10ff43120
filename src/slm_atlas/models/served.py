"""A model behind a server, as a user names it: `endpoint:NAME@http://host:port/v1`."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from slm_atlas.errors import UserError
from slm_atlas.store import content_hash
from slm_atlas.store.records import Artifact

PREFIX = "endpoint:"
EXAMPLE = "endpoint:smollm2:135m@http://127.0.0.1:11434/v1"
UNKNOWN = "unknown"


class Served(NamedTuple):
    """Where a model is served, and under which name."""

    name: str
    """What the server calls it."""
    url: str
    """The server, up to and with `/v1`."""
    label: str
    """What follows a `#`: tells apart what was measured at one URL (`#build-1234`); the server never sees it."""


def is_served(model: str) -> bool:
    """Whether it is a model behind a server."""
    return model.startswith(PREFIX)


def parse(model: str) -> Served:
    """The parts of `endpoint:NAME@URL[#LABEL]`.

    >>> parse("endpoint:smollm2:135m@http://127.0.0.1:11434/v1")
    Served(name='smollm2:135m', url='http://127.0.0.1:11434/v1', label='')

    Raises:
        UserError: a part is missing, or the URL is not one of a server.
    """
    name, _, url = model.removeprefix(PREFIX).rpartition("@")
    address, _, label = url.partition("#")
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    # A URL with a user and a password has an '@' of its own, which ends up in the name.
    if "://" in name:
        raise UserError("A URL holds no password; a key is read from SLM_ATLAS_API_KEY.", EXAMPLE)
    if not (name and good):
        raise UserError(f"'{model}' does not name a model and its server.", EXAMPLE)
    return Served(name, address.rstrip("/"), label)


def identify_served(model: str) -> Artifact:
    """The record of a model behind a server: known by its name and address alone, and by what the user adds to them.

    Raises:
        UserError: it is not named as it should be.
    """
    served = parse(model)
    return Artifact(
        sha256=content_hash([PREFIX, *served]),
        name=f"{served.name} ({urlsplit(served.url).netloc}{' ' + served.label if served.label else ''})",
        model_id=None,
        origin=model,
        forged=False,
        architecture=UNKNOWN,
        quantization=UNKNOWN,
        params=None,
        size_bytes=None,
        tensor_bytes={},
    )
