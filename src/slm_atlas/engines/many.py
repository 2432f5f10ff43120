"""Many texts at once in llama.cpp: makes the contexts that scoring and generation need, when they are first needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor

import llama_cpp.llama_cpp as lib

from slm_atlas.engines.batches import Batches
from slm_atlas.engines.generating import Generator, Vocabulary
from slm_atlas.engines.packing import checked
from slm_atlas.engines.params import context_params
from slm_atlas.engines.scoring import Scorer
from slm_atlas.engines.softmax import LogSoftmax
from slm_atlas.engines.values import Generations, LoadSettings, Pair, Prompt, Scores
from slm_atlas.errors import EngineRefused

SCORED = 128
"""Sequences of a micro-batch in scoring: of single-token choices after short questions, more would fit."""
SCORED_STATES = 16
"""The same where each sequence has a state of its own: copies of the text at hand, at most."""
GENERATED = 48
"""Most sequences generated at once: from 64 on, llama.cpp's attention works on tiles of 64 queries (`GGML_FA_TILE_Q`),
which is slow where each query has another cache."""
_PAD = 256  # cells of a cache come in so many


class Many:
    """Scores and generates with a loaded model; what it makes is freed with `close`.

    Args:
        model: the model (`llama_model *`).
        settings: how it was loaded.
        vocabulary: its vocabulary.
        make: makes a context.
        pool: threads for what is done between the model's calls.
        cache_bytes: what the cache of `settings.context` tokens takes.
        amx: weights are held in the layout of AMX.
    """

    def __init__(
        self,
        model: int,
        settings: LoadSettings,
        vocabulary: Vocabulary,
        make: Callable[[lib.llama_context_params], Batches],
        pool: Executor,
        *,
        cache_bytes: int,
        amx: bool,
    ) -> None:
        self._settings = settings
        self._vocabulary = vocabulary
        self._make = make
        self._bytes_per_token = cache_bytes / settings.context
        self._stateful = bool(lib.llama_model_is_recurrent(model) or lib.llama_model_is_hybrid(model))
        # llama.cpp's AMX products take the weights of the second sequence from behind the first's (`mmq.cpp`, where
        # activations have three dimensions: LFM2, Qwen3.5): such models generate one text after another.
        self._alone = self._stateful and amx
        self._softmax = LogSoftmax(pool)
        self._batches: Batches | None = None
        self._scorer: Scorer | None = None
        self._generator: Generator | None = None
        self._granted = (0, 0)  # sequences and tokens of the generator

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """See `Engine.score`."""
        if self._scorer is None:
            self._scorer = self._new_scorer()
        return self._scorer.score(pairs)

    def _new_scorer(self) -> Scorer:
        params = context_params(self._settings)
        size = params.n_ubatch
        sequences = SCORED_STATES if self._stateful else SCORED
        # llama.cpp wants room for a row of logits of each sequence, and cuts the batch down to the context.
        params.n_batch = max(size, sequences)
        params.n_ctx = max(self._settings.context + size, params.n_batch)
        params.n_seq_max = sequences
        params.kv_unified = True
        return Scorer(
            self._replace(params),
            self._softmax,
            context=self._settings.context,
            size=size,
            sequences=sequences,
            divisible=not self._stateful,
        )

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """See `Engine.generate`."""
        longest = max((len(prompt.tokens) for prompt in checked(prompts)), default=1)
        if longest > self._settings.context:
            raise EngineRefused(f"a prompt of {longest} tokens exceeds the context of {self._settings.context}")
        wanted = max((len(prompt.tokens) + prompt.max_tokens for prompt in prompts), default=1)
        tokens = min(wanted, self._settings.context)
        sequences = self._sequences(tokens, len(prompts))
        if self._generator is None or self._granted[0] < sequences or self._granted[1] < tokens:
            self._generator = self._new_generator(sequences, tokens)
            self._granted = (sequences, tokens)
        return self._generator.generate(prompts)

    def _sequences(self, tokens: int, n_prompts: int) -> int:
        """How many at once: as many as are wanted and there is memory for; one more holds what prompts share."""
        if self._alone:
            return 2
        affordable = int(self._settings.sequences_bytes / max(1.0, tokens * self._bytes_per_token)) - 1
        return max(1, min(affordable, self._settings.sequences, GENERATED, n_prompts)) + 1

    def _new_generator(self, sequences: int, tokens: int) -> Generator:
        params = context_params(self._settings)
        per_sequence = -(-tokens // _PAD) * _PAD
        params.n_ctx = per_sequence * sequences
        params.n_batch = max(params.n_ubatch, sequences)
        params.n_seq_max = sequences
        params.kv_unified = False
        if self._settings.flash_attention is None and self._settings.kv_type in ("f32", "f16", "bf16"):
            # llama.cpp's fused attention takes a single query cell by cell, which is slower than its matrix products.
            params.flash_attn_type = lib.LLAMA_FLASH_ATTN_TYPE_DISABLED
        return Generator(
            self._replace(params),
            self._vocabulary,
            sequences=sequences,
            context=self._settings.context,
            size=params.n_batch,
        )

    def _replace(self, params: lib.llama_context_params) -> Batches:
        """A new context in place of the one before: a task scores or generates, and two caches may be large."""
        self._free()
        self._batches = self._make(params)
        return self._batches

    def _free(self) -> None:
        if self._batches is not None:
            self._batches.close()
        self._batches = self._scorer = self._generator = None

    def close(self) -> None:
        """Free the context."""
        self._free()
