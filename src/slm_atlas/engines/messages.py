"""What travels between a worker and its parent: typed requests and replies, msgpack, each frame led by its length."""

from __future__ import annotations

from typing import IO

import msgspec

from slm_atlas.engines import values
from slm_atlas.engines.values import (
    Conversion,
    EngineInfo,
    FirstToken,
    Generations,
    LoadReport,
    LoadSettings,
    MemoryReport,
    Pair,
    Product,
    ProductReport,
    Profile,
    Prompt,
    Response,
    Scores,
    ServerReport,
    Struct,
)


class Start(Struct, frozen=True, tag=True):
    """First message: which engine, under which memory limit, pinned to which cores."""

    engine: str
    memory_limit_bytes: int | None = None
    cores: list[int] | None = None


class Load(Struct, frozen=True, tag=True):
    """`Engine.load`."""

    settings: LoadSettings


class Memory(Struct, frozen=True, tag=True):
    """`Engine.memory`."""


class Tokenize(Struct, frozen=True, tag=True):
    """`Engine.tokenize`."""

    text: str
    special: bool


class TokenizeAll(Struct, frozen=True, tag=True):
    """`Engine.tokenize_all`."""

    texts: list[str]
    special: bool


class Detokenize(Struct, frozen=True, tag=True):
    """`Engine.detokenize`."""

    tokens: list[int]


class BeginOfText(Struct, frozen=True, tag=True):
    """`Engine.begin_of_text`."""


class Prefill(Struct, frozen=True, tag=True):
    """`Engine.prefill`."""

    tokens: list[int]
    depth: int = 0


class Decode(Struct, frozen=True, tag=True):
    """`Engine.decode`."""

    tokens: list[int]


class Answer(Struct, frozen=True, tag=True):
    """`Engine.first_token`."""

    text: str


class ProfileNodes(Struct, frozen=True, tag=True):
    """`Engine.profile`."""

    prompt: list[int]
    answer: list[int]
    before: list[int]
    events: bool


class ScoreAll(Struct, frozen=True, tag=True):
    """`Engine.score`."""

    pairs: list[Pair]


class Generate(Struct, frozen=True, tag=True):
    """`Engine.generate`."""

    prompts: list[Prompt]


class Multiply(Struct, frozen=True, tag=True):
    """`Engine.multiply`."""

    product: Product


class Quantize(Struct, frozen=True, tag=True):
    """`Engine.quantize`."""

    conversion: Conversion


class Ask(Struct, frozen=True, tag=True):
    """`Engine.ask`."""

    requests: list[values.Request]


class Connect(Struct, frozen=True, tag=True):
    """`Engine.connect`."""

    name: str
    url: str


class Respond(Struct, frozen=True, tag=True):
    """`Engine.respond`."""

    prompt: str
    max_tokens: int


Asked = Start | Load | Memory | Tokenize | TokenizeAll | Detokenize | BeginOfText | Prefill | Decode
Request = Asked | Answer | ProfileNodes | ScoreAll | Generate | Multiply | Quantize | Ask | Connect | Respond


class Refused(Struct, frozen=True, tag=True):
    """The engine declined."""

    cause: str


class Done(Struct, frozen=True, tag=True):
    """The engine did it; the result's type follows from the request."""

    result: msgspec.Raw


Reply = Done | Refused
Report = EngineInfo | LoadReport | MemoryReport | FirstToken | Profile | ProductReport | ServerReport | Response
Told = Scores | Generations | list[values.Reply]
Result = Report | Told | list[int] | list[list[int]] | list[float] | float | str | None

_LENGTH_BYTES = 8


def write_frame(stream: IO[bytes], message: Request | Reply) -> None:
    """Send one message.

    Raises:
        BrokenPipeError: the other side is gone.
    """
    body = msgspec.msgpack.encode(message)
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "little") + body)
    stream.flush()


def read_frame(stream: IO[bytes]) -> bytes | None:
    """Wait for one message; None when the other side is gone, be it in the middle of a message."""
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "little")
    body = stream.read(length)
    return body if len(body) == length else None
