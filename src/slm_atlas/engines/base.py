"""What every engine can do: the seam between us and whatever runs the model.

Times are measured inside the engine, around the native calls alone, so that the way a request travels (in process, or
through the pipe of a worker) never shows in them. Tokenization and sampling are outside `prefill` and `decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

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
    Reply,
    Request,
    Response,
    Scores,
    ServerReport,
)


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

    def begin_of_text(self) -> int:
        """The token that stands before an empty text: what begins one, whoever adds it, else what ends one.

        As in lm-eval's `hf` (`HFLM.prefix_token_id`).
        """
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
