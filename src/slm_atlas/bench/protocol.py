"""How a cost is measured: the settings of a run, and the presets that have a name.

A run is a fresh process: it loads the file, repeats the very shape it will measure until that gets no faster, then
times `repetitions` prefills of fresh random tokens, each followed by the decode of `n_gen` tokens. The runs are the
sample from which intervals are made.

Three regimes are kept apart: first-ever (`evict`: the file is not in the page cache), cold (the first pass of a fresh
process) and warm (after the warm-up). What a user waits for, text to text, is a metric of its own (`ttft_s`).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from slm_atlas.units import MOST_TOKENS

_Tokens = Annotated[int, Meta(ge=1, le=MOST_TOKENS)]
_AnyTokens = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]
PAPER_TOKENS = 50
"""Tokens of the paper's prompts and answers (arXiv 2409.15790, section 4)."""


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a run."""

    n_prompt: _Tokens = PAPER_TOKENS
    """Tokens of a prefill."""
    n_gen: _AnyTokens = PAPER_TOKENS
    """Tokens decoded after it, each timed."""
    repetitions: Annotated[int, Meta(ge=1)] = 2
    """Prefill and decode pairs timed in a run, after the warm-up."""
    context: _Tokens = 512
    """Tokens the KV cache holds."""
    micro_batch: _Tokens = 512
    """Most tokens computed at once."""
    threads: Annotated[int, Meta(ge=0)] = 0
    """Threads; 0: as many as the process may use."""
    pin: bool = False
    """Each thread stays on a core of its own, where the system lets a process choose."""
    kv_type: str = "f16"
    """Type of the KV cache."""
    flash_attention: bool | None = None
    """Fused attention on, off, or as the engine chooses."""
    depth: _AnyTokens = 0
    """Tokens that are in the cache before prompt and answer."""
    evict: bool = False
    """Ask the system to forget the file before it is loaded, as if it had never been read (first-ever use)."""
    memory_limit_bytes: Annotated[int, Meta(ge=1)] | None = None
    """Most bytes the engine's process may map, to try a smaller device; None: no limit."""
    energy: bool = False
    """Measure energy too, in a pass of its own at the end; where that cannot be done, the run says why."""
    sustained_s: Annotated[float, Meta(ge=0)] = 0.0
    """Decode for so many seconds more, in a pass of its own after all others; 0: there is none."""

    @property
    def total(self) -> int:
        """Tokens that the cache must hold: depth, prompt and answer."""
        return self.depth + self.n_prompt + self.n_gen


EXTRA_PASSES = ("energy", "sustained_s")
"""Passes that come after all others: with them or without, the rest of a run is the same."""
_NO_FILE = ("depth", "evict", "kv_type", "micro_batch")
IGNORED = {
    "endpoint": (*_NO_FILE, "context", "threads", "pin", "flash_attention", "memory_limit_bytes", *EXTRA_PASSES),
    "transformers": _NO_FILE,
}
"""Settings that mean nothing to an engine: they are not stored with its runs."""
PROFILED = (
    "n_prompt", "n_gen", "repetitions", "context", "micro_batch", "threads", "pin", "kv_type", "flash_attention",
    "depth", "memory_limit_bytes",
)  # fmt: skip
"""Settings that mean something to a profile; the others are not stored with it."""
PROFILE_VERSION = 1
"""Raised when a profile is made otherwise."""
PROTOCOL_VERSION = 2
"""Raised when a run measures otherwise, so that older runs are not taken for replicates of newer ones."""
MAX_WARMUP_PASSES = 6
"""Warm-up ends here even if passes still get faster; the number of passes is recorded."""
WARMUP_TOKENS = 8
"""Most tokens decoded in a pass of the warm-up: all have the same shape, however many are measured."""
SETTLED_PASSES = 2
"""Warm-up is over when so many passes in a row have not improved on the best before them."""
IMPROVEMENT = 0.05
"""The least relative gain that counts as an improvement. What ends a warm-up is the end of getting faster, not a small
spread: on a shared machine the spread is noise, which more passes do not cure."""
SWEEP_CHUNKS = 4
"""Depths at which a sweep of the sustained pass is timed."""
SWEEP_TOKENS = 16
"""Fewest tokens of such a sweep."""
