"""A deterministic engine without a model: tests, documentation and demonstrations run on it.

A token is a byte. The next token is a fixed function of the last one, so that what is likely, greedy and generated can
be said in advance; the clock is simulated, so that times are exact. The path says how it behaves: `fake:ok`,
`fake:refuse`, `fake:abort` (the process dies at the first prefill or answer, or in the middle of a file it writes),
`fake:hang` (none of these ever ends), `fake:noprofile` (nodes cannot be timed), `fake:slow` (answers take a while, and
few are asked for at once).
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from slm_atlas.engines.packing import checked
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.values import (
    Conversion,
    EngineInfo,
    FirstToken,
    Generation,
    Generations,
    LoadReport,
    LoadSettings,
    MemoryReport,
    NodeCost,
    NodeEvent,
    Pair,
    PhaseProfile,
    Product,
    ProductReport,
    Profile,
    Prompt,
    Score,
    Scores,
    Work,
)
from slm_atlas.errors import EngineRefused
from slm_atlas.units import MIB

PREFILL_S_PER_TOKEN = 0.001
"""Simulated seconds of a token in prefill."""
DECODE_S = 0.01
"""Simulated seconds of a token in decode."""
LIKELY = 0.75
"""Probability of the next token; the rest is shared by all other bytes."""

PROFILED = 1.25
"""How many times as long everything takes while nodes are timed."""
NODES = (
    ("GET_ROWS", "embd", "token_embd.weight", 0.01),
    ("RMS_NORM", "norm", "", 0.04),
    ("MUL_MAT", "Qcur", "blk.attn_q.weight", 0.15),
    ("VIEW", "Qcur (view)", "", 0.0),
    ("FLASH_ATTN_EXT", "node", "", 0.1),
    ("MUL_MAT", "ffn_gate", "blk.ffn_gate.weight", 0.5),
    ("MUL_MAT", "result_output", "output.weight", 0.2),
)
"""The nodes of its graph: operation, name, weight, share of the time."""
SLOW_S = 0.05
"""Seconds a call really takes, where the path says `slow`."""
READ_BYTES_PER_S = 10e9
"""Simulated bytes a thread reads in a second."""
FLOPS = 100e9
"""Simulated operations a thread does in a second."""

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
        self._behaviour = _behaviour(settings.path)
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
            # So large that it is asked for little at once.
            model_params=4_000_000_000 if self._behaviour == "slow" else 1_000_000,
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

    def begin_of_text(self) -> int:
        """Zero."""
        return _END

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Proportional to the tokens; dies or hangs where the path says so."""
        _misbehave(self._behaviour)
        return PREFILL_S_PER_TOKEN * len(tokens)

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """The same for each token."""
        return [DECODE_S] * len(tokens)

    def first_token(self, text: str) -> FirstToken:
        """The prefill and one decode."""
        tokens = self.tokenize(text)
        return FirstToken(seconds=self.prefill(tokens) + DECODE_S, prompt_tokens=len(tokens))

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """The shares of `NODES`; all the time is in them."""
        if self._behaviour == "noprofile":
            raise EngineRefused("the fake engine cannot time the parts of this model")
        decode = _phase([DECODE_S] * len(answer), 1, events)
        return Profile(prefill=_phase([self.prefill(prompt)], len(prompt), events), decode=decode)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Each token is `LIKELY` where it follows its predecessor in the alphabet."""
        _misbehave(self._behaviour)
        scores = [_score([pair.prefix[-1], *pair.continuation]) for pair in checked(pairs)]
        return Scores(scores=scores, work=_work([[*pair.prefix, *pair.continuation[:-1]] for pair in pairs]))

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """The alphabet, from each prompt's last letter on."""
        _misbehave(self._behaviour)
        generations = [self._continued(prompt) for prompt in checked(prompts)]
        return Generations(generations=generations, work=_work([prompt.tokens for prompt in prompts]))

    def _continued(self, prompt: Prompt) -> Generation:
        tokens: list[int] = []
        last = prompt.tokens[-1]
        while len(tokens) < prompt.max_tokens:
            last = next_token(last)
            if last == _END:
                return Generation(text=self.detokenize(tokens), tokens=len(tokens), stopped=True)
            tokens.append(last)
            text = self.detokenize(tokens)
            ends = [place for place in map(text.find, prompt.stop) if place >= 0]
            if ends:
                return Generation(text=text[: min(ends)], tokens=len(tokens), stopped=True)
        return Generation(text=self.detokenize(tokens), tokens=len(tokens), stopped=False)

    def multiply(self, product: Product) -> ProductReport:
        """Bytes and operations at a fixed rate a thread; a weight has a byte."""
        size = product.rows * product.columns
        one = max(size / READ_BYTES_PER_S, 2 * size * product.tokens / FLOPS)
        seconds = tuple((2 * one / threads, one / threads, 2 * one / threads) for threads in product.threads)
        return ProductReport(weight_bytes=size, layout="simulated", seconds=seconds)

    def quantize(self, conversion: Conversion) -> None:
        """A file that says what was asked for, and holds some zeros; misbehaves where the source's path says so."""
        behaviour = _behaviour(conversion.source)
        if behaviour == "refuse":
            raise EngineRefused("the fake engine refuses to quantize this model")
        with Path(conversion.target).open("wb") as file:
            file.write(b"GGUF")
            file.flush()
            _misbehave(behaviour)
        _write_gguf(conversion)

    def close(self) -> None:
        """Nothing to free."""

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


def _behaviour(path: str) -> str:
    return path.removeprefix("fake:").split("/")[0]


def _misbehave(behaviour: str) -> None:
    """Die or hang, if that is how it behaves."""
    if behaviour == "abort":
        os.abort()
    if behaviour == "slow":
        time.sleep(SLOW_S)
    while behaviour == "hang":
        time.sleep(60)


def _write_gguf(conversion: Conversion) -> None:
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(conversion.target, "fake")
    writer.add_file_type(conversion.file_type)
    for key, text in conversion.metadata.items():
        writer.add_string(key, text)
    writer.add_tensor("token_embd.weight", np.zeros((256, 32), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _phase(plain: Sequence[float], tokens: int, events: bool) -> PhaseProfile:
    passes = tuple(PROFILED * seconds for seconds in plain)
    nodes = [
        NodeCost(
            op=op,
            name=name,
            weight=weight,
            dtype="f32",
            calls=len(passes),
            flops=1e6 * tokens * len(passes) if op == "MUL_MAT" else 0.0,
            bytes=1e6 * len(passes) if share else 0.0,
            seconds=tuple(share * seconds for seconds in passes),
        )
        for op, name, weight, share in NODES
    ]
    return PhaseProfile(
        seconds=passes,
        nodes=tuple(nodes) if passes else (),
        events=tuple(_events(passes[-1])) if events and passes else (),
    )


def _events(total_s: float) -> Iterator[NodeEvent]:
    start = 0.0
    for op, name, weight, share in NODES:
        layer = 0 if "blk" in weight else None
        yield NodeEvent(op=op, name=name, weight=weight, layer=layer, start_s=start, elapsed_s=share * total_s)
        start += share * total_s


def _work(texts: Sequence[Sequence[int]]) -> Work:
    """Each branch of the tree of texts is read once, at a simulated pace."""
    branches = {tuple(text[:end]) for text in texts for end in range(1, len(text) + 1)}
    computed = len(branches)
    return Work(asked=sum(map(len, texts)), computed=computed, compute_s=PREFILL_S_PER_TOKEN * computed)


def _score(tokens: Sequence[int]) -> Score:
    hits = [next_token(before) == after for before, after in itertools.pairwise(tokens)]
    unlikely = math.log((1 - LIKELY) / 255)
    return Score(logprob=sum(math.log(LIKELY) if hit else unlikely for hit in hits), greedy=all(hits))
