"""What every engine can do: the seam between us and whatever runs the model.

Times are measured inside the engine, around the native calls alone, so that the way a request travels (in process, or
through the pipe of a worker) never shows in them. Tokenization and sampling are outside `prefill` and `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import msgspec


class Struct(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of the engines' values, which travel over a pipe."""


class EngineInfo(Struct, frozen=True):
    """Which engine, built how; part of every record."""

    name: str
    """`llamacpp`, `fake`, ..."""
    version: str
    """Version of the engine and of its bindings."""
    build: str
    """Instruction sets and options it was built with."""


class LoadSettings(Struct, frozen=True):
    """How a model is loaded."""

    path: str
    """The model file."""
    context: int = 512
    """Tokens the KV cache holds."""
    batch: int = 2048
    """Most tokens of one decode call (logical batch)."""
    micro_batch: int = 512
    """Most tokens computed at once (physical batch); sizes the compute buffer."""
    threads: int = 0
    """Threads; 0: as many as the process may use."""
    kv_type: str = "f16"
    """Type of the KV cache: f32, f16, bf16, q8_0, q5_1, q5_0, q4_1 or q4_0."""
    flash_attention: bool | None = None
    """Fused attention on, off, or (None) as the engine chooses."""
    mmap: bool = True
    """Map the file rather than copy it."""
    repack: bool = True
    """Let the engine hold weights in another layout for faster kernels, where it has them."""
    simulate: bool = False
    """Only reckon what would be allocated: the model cannot be run, and the file's weights are not read."""


class MemoryReport(Struct, frozen=True):
    """What the engine allocated, in bytes; `process_*` are the whole process's, read from the operating system."""

    model_bytes: int
    """Weights, mapped or copied."""
    repacked_bytes: int
    """The part of `model_bytes` held a second time or in another layout for faster kernels."""
    kv_bytes: int
    """The KV cache."""
    compute_bytes: int | None
    """The compute buffers (activations, and logits of a micro-batch); None: the engine does not say."""
    output_bytes: int | None
    """The output buffer (logits handed to the caller); None: the engine does not say."""
    process_baseline_bytes: int
    """Resident set before the model was loaded: the interpreter and the engine's code."""
    process_peak_bytes: int
    """Peak resident set of the process until now (VmHWM)."""
    absent: dict[str, str] = {}
    """Why a number is None, by its name."""

    @property
    def known_bytes(self) -> int:
        """All that the engine says it allocated; `repacked_bytes` is a part of `model_bytes`."""
        return self.model_bytes + self.kv_bytes + (self.compute_bytes or 0) + (self.output_bytes or 0)


class LoadReport(Struct, frozen=True):
    """What loading gave."""

    load_s: float
    """Seconds from opening the file to a ready context."""
    n_vocab: int
    """Size of the vocabulary."""
    context: int
    """Tokens the KV cache holds, as the engine granted it."""
    micro_batch: int
    """Physical batch, as granted."""
    threads: int
    """Threads, as granted."""
    model_desc: str
    """The engine's own description of the model."""
    model_params: int
    """Parameters, as the engine counts them."""
    model_size_bytes: int
    """Bytes of all tensors."""
    remarks: list[str] = []
    """What the engine warns of: a slow stand-in for a kernel that is not installed, say."""


class Score(Struct, frozen=True):
    """How likely a continuation is."""

    logprob: float
    """Sum of the natural log probabilities of the continuation's tokens."""
    greedy: bool
    """Each token was the most likely one."""


class Generation(Struct, frozen=True):
    """Text generated greedily."""

    text: str
    """The text, cut before the first stop string."""
    tokens: int
    """Tokens generated."""
    stopped: bool
    """A stop string or the end-of-text token ended it, rather than the limit."""


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


class Engine(Protocol):
    """An engine with at most one model loaded, or one server connected to.

    All methods raise `EngineRefused` for what the engine declines; a worker's proxy also raises `EngineCrashed` and
    `EngineTimeout`.
    """

    def describe(self) -> EngineInfo:
        """Which engine this is."""
        ...

    def load(self, settings: LoadSettings) -> LoadReport:
        """Load a model file, replacing the one loaded before."""
        ...

    def memory(self) -> MemoryReport:
        """What is allocated now."""
        ...

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """The token ids of a text; with `special`, control tokens in the text count and begin-of-text is added."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        ...

    def end_of_text(self) -> int:
        """The token that ends (and, before an empty context, begins) a text."""
        ...

    def prefill(self, tokens: Sequence[int]) -> float:
        """Forget everything, read the tokens until logits are ready; the seconds it took."""
        ...

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Append the tokens one at a time, as if each had been sampled; the seconds each took."""
        ...

    def score(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
        """The log probability of each continuation after the prefix.

        What is shared with the last call is not read again. No continuation and no prefix may be empty.
        """
        ...

    def generate(self, prompt: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Generation:
        """Continue the prompt greedily."""
        ...

    def connect(self, name: str, url: str) -> ServerReport:
        """Find out how a server is asked for a model; sends one request for a single token."""
        ...

    def respond(self, prompt: str, *, max_tokens: int) -> Response:
        """Have the server continue a prompt, streaming."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...

    def __enter__(self) -> Self:
        """Use as a context manager."""
        ...

    def __exit__(self, *error: object) -> None:
        """Close."""
        ...
