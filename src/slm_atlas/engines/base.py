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

    @property
    def text(self) -> str:
        """All of it in one line, as it is stored."""
        return f"{self.name} | {self.version} | {self.build}"


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
    """Fused attention on, off, or (None) as the engine chooses: for several sequences generated at once, off."""
    mmap: bool = True
    """Map the file rather than copy it."""
    repack: bool = True
    """Let the engine hold weights in another layout for faster kernels, where it has them."""
    sequences: int = 32
    """Most sequences generated at once. Their caches come beside the one of `context`, when they are first needed."""
    sequences_bytes: int = 1 << 30
    """Most bytes that the caches of all sequences generated at once take: where more would, fewer run at once."""
    dtype: str = "float32"
    """Number type of the weights in PyTorch: float32, bfloat16 or float16."""
    tokenizer: str | None = None
    """For a model behind a server: the folder, or the Hub's name, of its tokenizer; None: there is none at hand."""
    simulate: bool = False
    """Only reckon the cache and the compute buffer: the model cannot be run, and no weights are read or held."""


class Reading(Struct, frozen=True):
    """A number that the system gives, or why it gives none."""

    value: int | None = None
    """The number."""
    reason: str | None = None
    """Why there is none."""


_NOT_READ = Reading(reason="not read")


class Usage(Struct, frozen=True):
    """What the operating system counted of the engine's process since it began."""

    minor_faults: Reading = _NOT_READ
    """Pages that had to be mapped and were in memory already."""
    major_faults: Reading = _NOT_READ
    """Pages that had to be read from a disk."""
    voluntary_switches: Reading = _NOT_READ
    """Times a thread gave its core away, waiting for something."""
    involuntary_switches: Reading = _NOT_READ
    """Times a thread's core was taken for another."""
    weights_resident_bytes: Reading = _NOT_READ
    """The part of the mapped model file that is in memory."""
    group_peak_bytes: Reading = _NOT_READ
    """Peak memory of the process's control group, page cache included, and of all other processes in it."""


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
    usage: Usage = Usage()
    """What the system counted of the process."""
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
    cores: list[int] | None = None
    """The logical cores its process may use; None where the system does not say."""


class Pair(Struct, frozen=True):
    """A continuation to score, and what stands before it."""

    prefix: list[int]
    """The tokens before; at least one."""
    continuation: list[int]
    """The tokens scored; at least one."""


class Prompt(Struct, frozen=True):
    """A text to continue greedily."""

    tokens: list[int]
    """The text; at least one token."""
    max_tokens: int
    """Most tokens generated."""
    stop: list[str] = []
    """Strings that end what is generated, and are cut off it."""


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


class Work(Struct, frozen=True):
    """What a call took."""

    asked: int = 0
    """Tokens a model reads that answers one request after another and keeps nothing in between."""
    computed: int = 0
    """Tokens read: what requests share, once."""
    compute_s: float = 0.0
    """Seconds inside the model."""
    other_s: float = 0.0
    """Seconds of all else: planning, log-softmax, text."""

    def __add__(self, other: Work) -> Work:
        """Both."""
        return Work(
            asked=self.asked + other.asked,
            computed=self.computed + other.computed,
            compute_s=self.compute_s + other.compute_s,
            other_s=self.other_s + other.other_s,
        )


class Scores(Struct, frozen=True):
    """What `Engine.score` gave."""

    scores: list[Score]
    """One a pair, in order."""
    work: Work
    """What it took."""


class Generations(Struct, frozen=True):
    """What `Engine.generate` gave."""

    generations: list[Generation]
    """One a prompt, in order."""
    work: Work
    """What it took."""


class Request(Struct, frozen=True):
    """One of lm-eval's requests, for an engine that is a model of lm-eval's own."""

    kind: str
    """`loglikelihood`, `loglikelihood_rolling` or `generate_until`."""
    arguments: list[Any]
    """lm-eval's: context and continuation; a text; or a prompt and how to generate."""


class Reply(Struct, frozen=True):
    """What such an engine answers."""

    tokens: int | None
    """Tokens scored, or generated; None: it has no tokenizer."""
    logprob: float | None = None
    """Sum of the natural log probabilities; None: a text was generated."""
    greedy: bool | None = None
    """Each token was the most likely one; None: not told."""
    text: str | None = None
    """The text generated."""


class FirstToken(Struct, frozen=True):
    """What a user waits for: a prompt of text becomes the first token of text."""

    seconds: float
    """Tokenize, prefill, choose the most likely token, detokenize."""
    prompt_tokens: int
    """Tokens of the prompt."""


EMPTY = frozenset({"NONE", "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"})
"""Operations of a compute graph that compute nothing (`ggml_op_is_empty`)."""


class NodeCost(Struct, frozen=True):
    """What the nodes of the compute graph cost that are alike in all but their layer."""

    op: str
    """The operation, as the engine calls it: `MUL_MAT`, `ROPE`, ..."""
    name: str
    """The node's name without the layer's number: `ffn_gate`."""
    weight: str
    """The tensor of the model's file that it reads, without the layer's number: `blk.ffn_gate.weight`; empty: none."""
    dtype: str
    """Type of what it reads first: `q4_K`, `f32`, ..."""
    calls: int
    """How often it was computed, in all passes."""
    flops: float
    """FLOPs of the matrix products in it, in all passes; 0 for what only passes over its data."""
    bytes: float
    """Bytes it reads and writes, in all passes, were nothing kept in a cache."""
    seconds: tuple[float, ...]
    """Seconds of each pass, what it takes to time a node included."""


class NodeEvent(Struct, frozen=True):
    """One node, computed once."""

    op: str
    """The operation."""
    name: str
    """The node's name."""
    weight: str
    """The tensor of the model's file that it reads, without the layer's number; empty: none."""
    layer: int | None
    """Its layer; None: before the first, or after the last."""
    start_s: float
    """Seconds since the pass began."""
    elapsed_s: float
    """Seconds it took."""


class PhaseProfile(Struct, frozen=True):
    """Prefill or decode, node by node. A pass is a whole prompt, or one token."""

    seconds: tuple[float, ...]
    """Seconds of each pass, with every node timed."""
    nodes: tuple[NodeCost, ...]
    """What was computed, in the order in which it was first met."""
    events: tuple[NodeEvent, ...] = ()
    """Each node of the last pass, where that was asked for."""


class Profile(Struct, frozen=True):
    """Where the time goes."""

    prefill: PhaseProfile
    """One pass."""
    decode: PhaseProfile
    """A pass a token."""


class Product(Struct, frozen=True):
    """A matrix of weights times a batch of vectors: what a model's time is spent on, without the model."""

    type: str
    """Type of the weights, as llama.cpp names it: `Q4_0`."""
    rows: int
    """Rows of the matrix: values that come out."""
    columns: int
    """Columns: values that go in."""
    tokens: int
    """Vectors multiplied at once: 1 in decode, a micro-batch in prefill."""
    threads: tuple[int, ...]
    """Each number of threads to time it at."""
    budget_s: float
    """Seconds to repeat it at each number of threads; at least three times in any case."""


class ProductReport(Struct, frozen=True):
    """How long a product took."""

    weight_bytes: int
    """Bytes of the matrix, in the file's layout."""
    layout: str
    """Where the engine keeps such weights: `CPU` as in the file, `AMX` or `CPU_REPACK` for faster kernels."""
    seconds: tuple[tuple[float, ...], ...]
    """The repetitions, for each number of threads."""


NOT_WRITTEN = "the file cannot be written"
"""Why an engine refuses to write a file where the disk is full, or gone."""


class Conversion(Struct, frozen=True):
    """A model file to be written again in other tensor types."""

    source: str
    """The file there is."""
    target: str
    """The file to write; one that is there is written over."""
    file_type: int
    """The mix of types, as `general.file_type` numbers it (`llama_ftype`)."""
    metadata: dict[str, str] = {}
    """Keys and texts to add to the file's metadata; of a text, the first 127 bytes are kept."""
    threads: int = 0
    """Threads; 0: as many as the process may use."""


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

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """`tokenize` of many texts in one call."""
        ...

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of token ids."""
        ...

    def end_of_text(self) -> int:
        """The token that ends (and, before an empty context, begins) a text."""
        ...

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Forget all but the first `depth` tokens, read these until logits are ready; the seconds the reading took."""
        ...

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Append the tokens one at a time, as if each had been sampled; the seconds each took."""
        ...

    def first_token(self, text: str) -> FirstToken:
        """Forget everything, and answer a text with its first token (user-visible TTFT)."""

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """As `prefill` of the prompt and `decode` of the answer, each node of the compute graph timed.

        That costs time itself: for totals, see `prefill` and `decode`. An engine that cannot do it refuses.

        Args:
            prompt: tokens read.
            answer: tokens appended one at a time; may be empty.
            before: tokens that are in the cache before the prompt; their reading is not told.
            events: give each node of the last passes as well.
        """
        ...

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """The log probability of each continuation after its prefix.

        What pairs share is read once, and so is what they share with the last call, as far as the engine keeps it.
        """
        ...

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """Continue each prompt greedily, many at once."""
        ...

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """lm-eval's requests, all of one kind, answered by a model of lm-eval's own; in order."""
        ...

    def multiply(self, product: Product) -> ProductReport:
        """Time a matrix product in the engine's own kernels; no model is needed."""
        ...

    def quantize(self, conversion: Conversion) -> None:
        """Write a model file again in other types, quantized ones from quantized ones too; what is loaded stays.

        A refusal may leave a part of the target.
        """
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
