"""What a server says of itself, and of one request."""

from __future__ import annotations

from typing import Any

from slm_atlas.engines.values.struct import Struct


class ServerReport(Struct, frozen=True):
    """What a server is, as far as it says, and how it is asked."""

    server: str | None
    """The `Server` header."""
    api: str
    """The path asked: `completions`, or `chat/completions` where the server does not have the first."""
    extras: list[str]
    """Fields beside OpenAI's oldest that it did not reject; it may still ignore them."""
    listed: bool | None
    """The model stands in the server's list; None: there is no list."""
    details: dict[str, Any]
    """What the list says of the model."""
    noop_s: float
    """Seconds of a request that computes nothing (the list of models): network, server and client together."""


class Response(Struct, frozen=True):
    """What a server answered to one request, and when, by the client's monotonic clock."""

    connect_s: float
    """Seconds to connect, before the request; not a part of `first_s`."""
    first_s: float
    """Seconds from sending the request to the first fragment that is not empty, of text or of reasoning."""
    gaps_s: list[float]
    """Seconds between fragments. A fragment is a token only where there are as many of both."""
    client_s: float
    """The client's own share of all these: parsing what had arrived."""
    prompt_tokens: int | None
    """Tokens of the prompt, as the server counts them; None: it does not say."""
    tokens: int | None
    """Tokens generated, as the server counts them; None: it does not say."""
    cached_tokens: int | None
    """Tokens of the prompt that the server had read before; None: it does not say."""
    counted: str
    """Who counted: `stream`, `repeat` (the same request, not streamed, gave the same text) or `nobody`."""
    finish: str | None
    """Why the answer ended: `length`, `stop`, ..."""
