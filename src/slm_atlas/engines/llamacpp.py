"""llama.cpp, through the C API that llama-cpp-python binds: loads a GGUF, times it, scores and generates.

Import this module only in a worker process: native code may abort. What llama.cpp logs goes to standard error, which
the worker's parent keeps; the sizes of its buffers are read from that log, since the C API does not give them.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import llama_cpp.llama_cpp as lib
import msgspec
import numpy as np
import numpy.typing as npt

from slm_atlas.engines import kernels, params, process, quantizer, usage
from slm_atlas.engines.batches import Batches
from slm_atlas.engines.cores import affinity, unpin
from slm_atlas.engines.generating import Vocabulary
from slm_atlas.engines.ggml_nodes import Pass, Recorder, summarize
from slm_atlas.engines.gguf_text import GgufText
from slm_atlas.engines.many import Many
from slm_atlas.engines.packing import checked
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.values import (
    NOT_WRITTEN,
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
    Scores,
)
from slm_atlas.errors import EngineRefused
from slm_atlas.units import MIB, MOST_TOKENS

# Latent attention multiplies with stacks of matrices; where AMX has repacked those, llama.cpp aborts (ggml-backend.cpp:
# no backend takes the product; seen with F16 and Q8_0).
_NOT_REPACKED = ("deepseek2",)
_BUFFER = re.compile(r"(\S+) +(model|compute|output) buffer size = +([0-9.]+) MiB")
_CACHE = re.compile(r"llama_(?:kv_cache|memory_recurrent): size = +([0-9.]+) MiB")
_NOT_QUANTIZED = re.compile(r"failed to quantize: (.+)")
_MAPPED = "_Mapped"
_DEBUG, _ERROR = 1, 4  # ggml_log_level: the first is a line a tensor, of use to nobody here


class LlamaCpp(Partial):
    """The engine; see `slm_atlas.engines.base.Engine` for what each method does."""

    name = "llamacpp"

    def __init__(self) -> None:
        self._log: list[str] = []
        self._errors: list[str] = []
        self._callback = lib.llama_log_callback(self._on_log)
        lib.llama_log_set(self._callback, ctypes.c_void_p(0))
        lib.llama_backend_init()
        self._model: Any = None
        self._context: Any = None
        self._watched: Any = None
        self._many: Many | None = None
        # Its threads start later, from one that the OpenMP runtime may have pinned by then.
        self._pool = ThreadPoolExecutor(process.usable_cores(), initializer=unpin, initargs=(affinity(),))
        self._recorder = Recorder()
        self._cached: list[int] = []
        self._path = ""
        self._baseline_bytes = process.resident_bytes()

    def _on_log(self, level: int, text: bytes, _: object) -> None:
        if level == _DEBUG:
            return
        line = text.decode("utf-8", errors="replace")
        self._log.append(line)
        if level == _ERROR:
            self._errors.append(line.strip())
        sys.stderr.write(line)

    # ---- what it is, what it holds ----------------------------------------------------------------------------

    def describe(self) -> EngineInfo:
        """Version of the bindings and of llama.cpp, and the instruction sets it was compiled for."""
        bindings = importlib.metadata.version("llama-cpp-python")
        return EngineInfo(
            name="llamacpp",
            version=f"llama-cpp-python {bindings}, llama.cpp {lib.llama_version().decode()}",
            build=lib.llama_print_system_info().decode().strip(),
        )

    def load(self, settings: LoadSettings) -> LoadReport:
        """Load a GGUF and make a context.

        Raises:
            EngineRefused: llama.cpp gave no model or no context; the reason is in its log.
        """
        self.close()
        self._clear_log()
        _check_sizes(settings)
        self._settings = settings
        self._path = settings.path
        self._baseline_bytes = process.resident_bytes()
        start = time.perf_counter()
        self._load_model(settings)
        if settings.repack and self._architecture() in _NOT_REPACKED:
            self._load_model(msgspec.structs.replace(settings, repack=False))
        self._context = lib.llama_init_from_model(self._model, params.context_params(settings))
        if not self._context:
            raise EngineRefused(f"llama.cpp made no context: {self._complaint()}")
        load_s = time.perf_counter() - start
        self._text = GgufText(self._model, self._pool)
        self._many = self._new_many(self._text.vocabulary())
        return self._load_report(load_s)

    def _load_model(self, settings: LoadSettings) -> None:
        if self._model:
            lib.llama_model_free(self._model)
            self._clear_log()
        self._model = lib.llama_model_load_from_file(settings.path.encode(), params.model_params(settings))
        if not self._model:
            raise EngineRefused(f"llama.cpp did not load the model: {self._complaint()}")

    def _architecture(self) -> str:
        text = ctypes.create_string_buffer(64)
        lib.llama_model_meta_val_str(self._model, b"general.architecture", text, len(text))
        return text.value.decode(errors="replace")

    def _load_report(self, load_s: float) -> LoadReport:
        text = ctypes.create_string_buffer(256)
        lib.llama_model_desc(self._model, text, 256)
        return LoadReport(
            load_s=load_s,
            n_vocab=self._text.n_vocab,
            context=lib.llama_n_ctx(self._context),
            micro_batch=lib.llama_n_ubatch(self._context),
            threads=lib.llama_n_threads(self._context),
            model_desc=text.value.decode(),
            model_params=lib.llama_model_n_params(self._model),
            model_size_bytes=lib.llama_model_size(self._model),
            remarks=self._remarks(),
        )

    def _remarks(self) -> list[str]:
        trained, asked = lib.llama_model_n_ctx_train(self._model), self._settings.context
        if asked <= trained or trained <= 0:
            return []
        return [
            f"a context of {asked:,} tokens is longer than the {trained:,} the model was trained for: costs are real, "
            "but what it says beyond them is not what it was trained to (its positions are extrapolated)"
        ]

    def _clear_log(self) -> None:
        self._log.clear()
        self._errors.clear()

    def _complaint(self) -> str:
        """The line of the log that names the failure, the first that is an error: later ones say that there was one."""
        found = next((line for line in self._errors if line), "it gave no reason")
        return "quantized keys and values need flash attention" if "requires flash_attn" in found else found

    def memory(self) -> MemoryReport:
        """Buffer sizes, from the log of the load (two decimals of a MiB)."""
        log = "".join(self._log)
        sizes = {"model": 0, "repacked": 0, "compute": 0, "output": 0}
        # Told apart from the buffers, since a simulated cache has none.
        sizes["kv"] = sum(round(float(mib) * MIB) for mib in _CACHE.findall(log))
        for buffer, kind, mib in _BUFFER.findall(log):
            size = round(float(mib) * MIB)
            sizes[kind] += size
            if kind == "model" and not buffer.endswith(_MAPPED) and buffer != "CPU":
                sizes["repacked"] += size
        return MemoryReport(
            model_bytes=sizes["model"],
            repacked_bytes=sizes["repacked"],
            kv_bytes=sizes["kv"],
            compute_bytes=sizes["compute"],
            output_bytes=sizes["output"],
            process_baseline_bytes=self._baseline_bytes,
            process_peak_bytes=process.peak_resident_bytes(),
            usage=usage.usage(self._path),
        )

    # ---- text -------------------------------------------------------------------------------------------------

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        """See `GgufText`."""
        return self._text.tokenize(text, special=special)

    def tokenize_all(self, texts: Sequence[str], *, special: bool = False) -> list[list[int]]:
        """See `GgufText`."""
        return self._text.tokenize_all(texts, special=special)

    def detokenize(self, tokens: Sequence[int]) -> str:
        """See `GgufText`."""
        return self._text.detokenize(tokens)

    def begin_of_text(self) -> int:
        """See `GgufText`."""
        return self._text.begin_of_text()

    # ---- time -------------------------------------------------------------------------------------------------

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Seconds until the logits of the last token are ready; the cache is cut to `depth` before the clock starts."""
        self._cut(depth)
        given = (lib.llama_token * len(tokens))(*tokens)
        batch_size = lib.llama_n_batch(self._context)
        start = time.perf_counter()
        for first in range(0, len(tokens), batch_size):
            chunk = (lib.llama_token * min(batch_size, len(tokens) - first)).from_buffer(given, first * 4)
            self._run(lib.llama_batch_get_one(chunk, len(chunk)))
        lib.llama_synchronize(self._context)
        elapsed = time.perf_counter() - start
        self._cached += tokens
        return elapsed

    def _cut(self, depth: int) -> None:
        """Bring the cache to its first `depth` tokens, which a recurrent model must read again."""
        if len(self._cached) < depth:
            raise EngineRefused(f"{len(self._cached)} tokens are in the cache, not {depth}")
        kept = self._cached[:depth]
        self._forget(depth)
        if len(self._cached) < depth:
            self.prefill(kept)

    def first_token(self, text: str) -> FirstToken:
        """Tokenize, prefill, take the most likely token, detokenize it."""
        start = time.perf_counter()
        tokens = self.tokenize(text, special=True)
        if len(tokens) >= lib.llama_n_ctx(self._context):
            raise EngineRefused(f"{len(tokens)} tokens do not fit a context of {lib.llama_n_ctx(self._context)}")
        self.prefill(tokens)
        self.detokenize([int(np.argmax(_logits(self._context, self._text.n_vocab)))])
        return FirstToken(seconds=time.perf_counter() - start, prompt_tokens=len(tokens))

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Seconds of each token, logits included."""
        times = []
        for token in tokens:
            given = (lib.llama_token * 1)(token)
            batch = lib.llama_batch_get_one(given, 1)
            start = time.perf_counter()
            self._run(batch)
            lib.llama_synchronize(self._context)
            times.append(time.perf_counter() - start)
        self._cached += tokens
        return times

    def _run(self, batch: lib.llama_batch) -> None:
        status = lib.llama_decode(self._context, batch)
        if status == 0:
            return
        self._forget(0)
        if status == 1:
            raise EngineRefused(f"the KV cache of {lib.llama_n_ctx(self._context)} tokens is full")
        raise EngineRefused(f"llama_decode returned {status}: {self._complaint()}")

    def _forget(self, keep: int) -> None:
        """Drop all but the first `keep` tokens from the cache (all of it where a part cannot be dropped)."""
        memory = lib.llama_get_memory(self._context)
        # Layers with a sliding window hold the last tokens alone: those before `keep` may be gone.
        seen_from = keep - int(lib.llama_model_n_swa(self._model)) + 1
        whole = lib.llama_memory_seq_pos_min(memory, 0) <= max(0, seen_from)
        if keep and whole and lib.llama_memory_seq_rm(memory, 0, keep, -1):
            del self._cached[keep:]
        else:
            lib.llama_memory_clear(memory, False)
            self._cached = []

    # ---- time, node by node -----------------------------------------------------------------------------------

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """In a second context of the same weights, whose scheduler stops after every node (`cb_eval`)."""
        with self._watching():
            self._forget(0)
            # A micro-batch a call: the next one would overwrite the nodes before they are read.
            size = lib.llama_n_ubatch(self._context)
            for first in range(0, len(before), size):
                self._watch(before[first : first + size])
            chunks = [self._watch(prompt[first : first + size]) for first in range(0, len(prompt), size)]
            tokens = [[self._watch([token])] for token in answer]
        return Profile(prefill=summarize([chunks], events=events), decode=summarize(tokens, events=events))

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """The context whose nodes are timed stands in for the plain one; it is made when first needed."""
        if not self._watched:
            logged = len(self._log)
            asked = params.context_params(self._settings)
            asked.cb_eval = self._recorder.callback
            self._watched = lib.llama_init_from_model(self._model, asked)
            if not self._watched:
                raise EngineRefused(f"llama.cpp made no second context, to time nodes in: {self._complaint()}")
            del self._log[logged:]  # `memory` speaks of the plain context
        plain, cached = self._context, self._cached
        self._context = self._watched
        try:
            yield
        finally:
            self._context, self._cached = plain, cached

    def _watch(self, tokens: Sequence[int]) -> Pass:
        given = (lib.llama_token * len(tokens))(*tokens)
        batch = lib.llama_batch_get_one(given, len(tokens))
        start = time.perf_counter_ns()
        self._run(batch)
        lib.llama_synchronize(self._context)
        return Pass(start, time.perf_counter_ns(), self._recorder.take())

    # ---- meaning ----------------------------------------------------------------------------------------------

    def score(self, pairs: Sequence[Pair]) -> Scores:
        """Log probabilities, in a context for many sequences."""
        return self._loaded_many().score(pairs)

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        """The most likely token each time, in a context of as many sequences as there is memory for."""
        many = self._loaded_many()
        if checked(prompts):
            self._text.need_words()
        return many.generate(prompts)

    def _loaded_many(self) -> Many:
        if self._many is None:
            raise EngineRefused("no model is loaded")
        return self._many

    def _new_many(self, vocabulary: Vocabulary) -> Many:
        amx = any(" AMX model buffer" in line for line in self._log)
        cache_bytes = self.memory().kv_bytes
        return Many(
            self._model, self._settings, vocabulary, self._batches, self._pool, cache_bytes=cache_bytes, amx=amx
        )

    def _batches(self, asked: lib.llama_context_params) -> Batches:
        """One more context of the same weights; `memory` goes on speaking of the plain one."""
        logged = len(self._log)
        made = Batches(self._model, asked, self._complaint)
        del self._log[logged:]
        return made

    # ---- arithmetic without a model ---------------------------------------------------------------------------

    def multiply(self, product: Product) -> ProductReport:
        """Seconds of a matrix product; raises `EngineRefused` for a type or a shape that ggml does not take."""
        return kernels.multiply(product)

    # ---- files ------------------------------------------------------------------------------------------------

    def quantize(self, conversion: Conversion) -> None:
        """With llama.cpp's quantizer; raises `EngineRefused` for what it does not take, or cannot write."""
        # The log of what is loaded stays: `memory` reads it.
        logged = len(self._log)
        done = quantizer.quantize(conversion)
        said = "".join(self._log[logged:])
        del self._log[logged:]
        if not done:
            reason = _NOT_QUANTIZED.search(said)
            cause = reason[1].strip() if reason else "llama.cpp gave no reason"
            raise EngineRefused(NOT_WRITTEN if "iostream" in cause else cause)

    # ---- life -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Free the contexts and the model."""
        if self._many:
            self._many.close()
        for context in (self._context, self._watched):
            if context:
                lib.llama_free(context)
        if self._model:
            lib.llama_model_free(self._model)
        self._context = self._watched = self._model = self._many = None
        self._cached = []

    def __enter__(self) -> Self:
        """Use as a context manager."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()


def _check_sizes(settings: LoadSettings) -> None:
    for name in ("context", "batch", "micro_batch"):
        tokens = getattr(settings, name)
        if not 0 < tokens <= MOST_TOKENS:
            raise EngineRefused(f"a {name} of {tokens:,} tokens is not between 1 and {MOST_TOKENS:,}")


def _logits(context: int, n_vocab: int) -> npt.NDArray[np.float32]:
    """The logits after the last token, shape (n_vocab,); llama.cpp's own memory."""
    return np.ctypeslib.as_array(lib.llama_get_logits_ith(context, -1), shape=(n_vocab,))
