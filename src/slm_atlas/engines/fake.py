"""A deterministic engine without a model: tests, documentation and demonstrations run on it.

A token is a byte. The next token is a fixed function of the last one, so that what is likely, greedy and generated can
be said in advance; the clock is simulated, so that times are exact. The path says how it behaves: `fake:ok`,
`fake:refuse`, `fake:abort` (the process dies at the first prefill), `fake:hang` (prefill never ends).
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Sequence
from typing import Self

from slm_atlas.engines.base import EngineInfo, Generation, LoadReport, LoadSettings, MemoryReport, Score
from slm_atlas.engines.partial import Partial
from slm_atlas.errors import EngineRefused
from slm_atlas.units import MIB

PREFILL_S_PER_TOKEN = 0.001
"""Simulated seconds of a token in prefill."""
DECODE_S = 0.01
"""Simulated seconds of a token in decode."""
LIKELY = 0.75
"""Probability of the next token; the rest is shared by all other bytes."""

_END = 0


def next_token(token: int) -> int:
    """The likely successor: the next letter of the alphabet, and the end of text after `z`.

    >>> chr(next_token(ord("a"))), next_token(ord("z"))
    ('b', 0)
    """
    return _END if token == ord("z") else (token + 1) % 256


class Fake(Partial):
    """The engine; see `slm_atlas.engines.base.Engine` for what each method does."""

    name = "fake"

    def __init__(self) -> None:
        self._behaviour = "ok"
        self._settings = LoadSettings(path="fake:ok")

    def describe(self) -> EngineInfo:
        """Always the same."""
        return EngineInfo(name="fake", version="1", build="simulated")

    def load(self, settings: LoadSettings) -> LoadReport:
        """Take the behaviour from the path; raises `EngineRefused` for `fake:refuse`."""
        self._behaviour = settings.path.removeprefix("fake:").split("/")[0]
        self._settings = settings
        if self._behaviour == "refuse":
            raise EngineRefused("the fake engine refuses to load this model")
        return LoadReport(
            load_s=0.1,
            n_vocab=256,
            context=settings.context,
            micro_batch=settings.micro_batch,
            threads=settings.threads or 1,
            model_desc="fake",
            model_params=1_000_000,
            model_size_bytes=MIB,
        )

    def memory(self) -> MemoryReport:
        """Whole MiBs; one MiB is left unaccounted."""
        return MemoryReport(
            model_bytes=MIB,
            repacked_bytes=0,
            kv_bytes=2 * MIB,
            compute_bytes=3 * MIB,
            output_bytes=MIB,
            process_baseline_bytes=10 * MIB,
            process_peak_bytes=18 * MIB,
        )

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """The bytes."""
        return list(text.encode())

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of the bytes."""
        return bytes(tokens).decode(errors="replace")

    def end_of_text(self) -> int:
        """Zero."""
        return _END

    def prefill(self, tokens: Sequence[int]) -> float:
        """Proportional to the tokens; dies or hangs where the path says so."""
        if self._behaviour == "abort":
            os.abort()
        while self._behaviour == "hang":
            time.sleep(60)
        return PREFILL_S_PER_TOKEN * len(tokens)

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """The same for each token."""
        return [DECODE_S] * len(tokens)

    def score(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
        """Each token is `LIKELY` where it follows its predecessor in the alphabet."""
        if not prefix or not all(continuations):
            raise EngineRefused("scoring needs a prefix and continuations of at least one token each")
        return [_score([prefix[-1], *continuation]) for continuation in continuations]

    def generate(self, prompt: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Generation:
        """The alphabet, from the prompt's last letter on."""
        if not prompt:
            raise EngineRefused("generation needs a prompt of at least one token")
        tokens: list[int] = []
        last = prompt[-1]
        while len(tokens) < max_tokens:
            last = next_token(last)
            if last == _END:
                return Generation(text=self.detokenize(tokens), tokens=len(tokens), stopped=True)
            tokens.append(last)
            text = self.detokenize(tokens)
            ends = [place for place in map(text.find, stop) if place >= 0]
            if ends:
                return Generation(text=text[: min(ends)], tokens=len(tokens), stopped=True)
        return Generation(text=self.detokenize(tokens), tokens=len(tokens), stopped=False)

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


def _score(tokens: Sequence[int]) -> Score:
    hits = [next_token(before) == after for before, after in itertools.pairwise(tokens)]
    unlikely = math.log((1 - LIKELY) / 255)
    return Score(logprob=sum(math.log(LIKELY) if hit else unlikely for hit in hits), greedy=all(hits))
