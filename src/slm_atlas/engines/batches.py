"""Batches for llama.cpp, filled from NumPy arrays, and a context of its own to run them in."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
import numpy.typing as npt

from slm_atlas.engines.packing import Run
from slm_atlas.engines.sequences import Rows
from slm_atlas.errors import EngineRefused

_INT_BYTES = ctypes.sizeof(ctypes.c_int32)


class Batches:
    """A context with a model's weights, as `Sequences` of llama.cpp; rows of logits are its own memory.

    Args:
        model: the loaded model (`llama_model *`); must outlive this.
        params: of the context.
        complaint: gives the line of llama.cpp's log that names a failure.

    Raises:
        EngineRefused: llama.cpp made no such context.
    """

    def __init__(self, model: int, params: lib.llama_context_params, complaint: Callable[[], str]) -> None:
        self._complaint = complaint
        self.context: Any = lib.llama_init_from_model(model, params)
        if not self.context:
            raise EngineRefused(f"llama.cpp made no context for many sequences: {complaint()}")
        self.memory = lib.llama_get_memory(self.context)
        self._n_vocab = lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
        self.compute_s = 0.0
        self.computed = 0

    def run(self, tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]) -> Rows:
        """Read tokens; the logits after those at the places `wanted`, which ascend.

        Raises:
            EngineRefused: the cache is full, or llama.cpp failed; the cache is empty then.
        """
        arrays = _arrays(tokens, positions, runs, wanted)
        start = time.perf_counter()
        status = lib.llama_decode(self.context, _batch(len(tokens), arrays))
        if not status:
            lib.llama_synchronize(self.context)
        self.compute_s += time.perf_counter() - start
        self.computed += len(tokens)
        if status:
            self.clear()
            reason = "the KV cache is full" if status == 1 else f"llama_decode returned {status}: {self._complaint()}"
            raise EngineRefused(f"{reason} ({len(tokens)} tokens of many sequences)")
        if not wanted:
            return np.empty((0, self._n_vocab), np.float32)
        return np.ctypeslib.as_array(lib.llama_get_logits(self.context), shape=(len(wanted), self._n_vocab))

    def copy(self, source: int, target: int, length: int = -1) -> None:
        """Let a sequence begin as another does; -1: all of it."""
        lib.llama_memory_seq_cp(self.memory, source, target, -1, length)

    def cut(self, sequence: int, length: int = 0) -> None:
        """Forget a sequence from a length on."""
        lib.llama_memory_seq_rm(self.memory, sequence, length or -1, -1)

    def clear(self) -> None:
        """Forget everything."""
        lib.llama_memory_clear(self.memory, False)

    def close(self) -> None:
        """Free the context."""
        if self.context:
            lib.llama_free(self.context)
        self.context = None


def _arrays(
    tokens: Sequence[int], positions: Sequence[int], runs: Sequence[Run], wanted: Sequence[int]
) -> list[npt.NDArray[Any]]:
    """What `llama_batch` points to: tokens, positions, numbers of sequences, pointers to those, outputs; and those."""
    lengths = [run.length for run in runs]
    sizes = np.array([len(run.sequences) for run in runs])
    flat = np.array([sequence for run in runs for sequence in run.sequences], np.int32)
    offsets = (np.cumsum(sizes) - sizes) * _INT_BYTES
    outputs = np.zeros(len(tokens), np.int8)
    outputs[list(wanted)] = 1
    return [
        np.array(tokens, np.int32),
        np.array(positions, np.int32),
        np.repeat(sizes, lengths).astype(np.int32),
        np.repeat(flat.ctypes.data + offsets, lengths).astype(np.uintp),
        outputs,
        flat,
    ]


def _batch(n_tokens: int, arrays: Sequence[npt.NDArray[Any]]) -> lib.llama_batch:
    integers, bytes_ = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
    token, position, n_sequences, sequence, output, _ = arrays
    batch = lib.llama_batch()
    batch.n_tokens = n_tokens
    batch.token = token.ctypes.data_as(integers)
    batch.pos = position.ctypes.data_as(integers)
    batch.n_seq_id = n_sequences.ctypes.data_as(integers)
    batch.seq_id = sequence.ctypes.data_as(ctypes.POINTER(integers))
    batch.logits = output.ctypes.data_as(bytes_)
    return batch
