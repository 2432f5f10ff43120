"""Asks an engine one thing, where a test is about one thing; and the plain way to score, to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from slm_atlas.engines import Engine, Generation, Pair, Prompt, Score

# Of this module, not of an engine: llama.cpp calls it as long as the process lives.
_SILENT = lib.llama_log_callback(lambda level, text, data: None)


def score(engine: Engine, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
    """The scores of continuations of one prefix."""
    pairs = [Pair(prefix=list(prefix), continuation=list(tokens)) for tokens in continuations]
    return engine.score(pairs).scores


def generate(engine: Engine, prompt: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Generation:
    """What follows one prompt."""
    (found,) = engine.generate([Prompt(tokens=list(prompt), max_tokens=max_tokens, stop=list(stop))]).generations
    return found


class Plain:
    """Scores one text after another in a fresh context of one sequence, with a log-softmax in float64.

    Shares nothing with the engine but llama.cpp. `displaced` tokens of another text, which no token of this one may
    attend to, stand in the cache before it: what that changes is how sums are rounded.
    """

    def __init__(self, path: Path, *, context: int, threads: int = 1, repack: bool = False, displaced: int = 0) -> None:
        lib.llama_backend_init()
        lib.llama_log_set(_SILENT, None)
        params = lib.llama_model_default_params()
        params.n_gpu_layers = 0
        params.use_extra_bufts = repack
        self._model = lib.llama_model_load_from_file(str(path).encode(), params)
        settings = lib.llama_context_default_params()
        settings.n_ctx = settings.n_batch = context
        settings.n_ubatch = context
        settings.n_seq_max = 2
        settings.kv_unified = True
        self._displaced = displaced
        settings.n_threads = settings.n_threads_batch = threads
        self._settings = settings
        self._n_vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(self._model))

    def score(self, pair: Pair) -> Score:
        """The score of one pair."""
        rows = self._rows(pair)
        peaks = rows.max(axis=1)
        chosen = rows[range(len(rows)), pair.continuation]
        logprobs = chosen - peaks - np.log(np.exp(rows - peaks[:, None]).sum(axis=1))
        return Score(logprob=float(logprobs.sum()), greedy=bool((chosen == peaks).all()))

    def behind(self, pair: Pair) -> float:
        """How far the logit of any token of the continuation lies behind the greatest one."""
        rows = self._rows(pair)
        return float((rows.max(axis=1) - rows[range(len(rows)), pair.continuation]).max())

    def _rows(self, pair: Pair) -> npt.NDArray[np.float64]:
        """The logits before each token of the continuation."""
        text = [*pair.prefix, *pair.continuation[:-1]]
        context = lib.llama_init_from_model(self._model, self._settings)
        if self._displaced:
            self._read(context, [0] * self._displaced, 1, range(0))
        self._read(context, text, 0, range(len(pair.prefix) - 1, len(text)))
        shape = (len(pair.continuation), self._n_vocab)
        rows = np.ctypeslib.as_array(lib.llama_get_logits(context), shape=shape).astype(np.float64)
        lib.llama_free(context)
        return rows

    @staticmethod
    def _read(context: int, tokens: Sequence[int], sequence: int, wanted: range) -> None:
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        batch.n_tokens = len(tokens)
        for place, token in enumerate(tokens):
            batch.token[place], batch.pos[place], batch.n_seq_id[place] = token, place, 1
            batch.seq_id[place][0] = sequence
            batch.logits[place] = place in wanted
        assert lib.llama_decode(context, batch) == 0
        lib.llama_batch_free(batch)

    def close(self) -> None:
        """Free the model."""
        lib.llama_model_free(self._model)
