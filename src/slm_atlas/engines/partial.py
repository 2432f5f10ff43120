"""What an engine answers to what it does not do: a refusal, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, Self

from slm_atlas.engines.values import (
    Conversion,
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
from slm_atlas.errors import EngineRefused


class Partial:
    """An engine that refuses everything; one that does a part of the protocol overrides that part."""

    name = "this one"
    """The engine's name, in its refusals."""

    def load(self, settings: LoadSettings) -> LoadReport:
        """Refuse."""
        self._refuse("load model files")

    def memory(self) -> MemoryReport:
        """Refuse."""
        self._refuse("know the memory of what it runs")

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """Refuse."""
        self._refuse("tokenize")

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """Each in turn."""
        return [self.tokenize(text, special=special) for text in texts]

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Refuse."""
        self._refuse("detokenize")

    def begin_of_text(self) -> int:
        """Refuse."""
        self._refuse("know the beginning of a text")

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Refuse."""
        self._refuse("time a prefill alone")

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Refuse."""
        self._refuse("append given tokens")

    def first_token(self, text: str) -> FirstToken:
        """Refuse."""
        self._refuse("answer a text")

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """Refuse."""
        self._refuse("time parts of a model")

    def multiply(self, product: Product) -> ProductReport:
        """Refuse."""
        self._refuse("time a matrix product alone")

    def quantize(self, conversion: Conversion) -> None:
        """Refuse."""
        self._refuse("write model files")

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Refuse."""
        self._refuse("score")

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """Refuse."""
        self._refuse("generate from token ids")

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        """Refuse."""
        self._refuse("hand over to lm-eval's own models")

    def connect(self, name: str, url: str) -> ServerReport:
        """Refuse."""
        self._refuse("speak to servers")

    def respond(self, prompt: str, *, max_tokens: int) -> Response:
        """Refuse."""
        self._refuse("speak to servers")

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    def _refuse(self, what: str) -> NoReturn:
        raise EngineRefused(f"the engine '{self.name}' does not {what}")
