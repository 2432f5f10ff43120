"""llama.cpp, through the C API that llama-cpp-python binds: loads a GGUF, times it, scores and generates.

Import this module only in a worker process: native code may abort. What llama.cpp logs goes to standard error, which
the worker's parent keeps; the sizes of its buffers are read from that log, since the C API does not give them.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import itertools
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import llama_cpp.llama_cpp as lib
import msgspec
import numpy as np
import numpy.typing as npt

from slm_atlas.engines import kernels, process, quantizer, usage
from slm_atlas.engines.base import (
    NOT_WRITTEN,
    Conversion,
    EngineInfo,
    FirstToken,
    Generation,
    LoadReport,
    LoadSettings,
    MemoryReport,
    Product,
    ProductReport,
    Profile,
    Score,
)
from slm_atlas.engines.ggml_nodes import Pass, Recorder, summarize
from slm_atlas.engines.partial import Partial
from slm_atlas.errors import EngineRefused
from slm_atlas.units import MIB, MOST_TOKENS

Logits = npt.NDArray[np.float32]
"""Of one token, shape (n_vocab,)."""

# Numbers of `ggml_type` (ggml.h): the bindings name only some of them.
_KV_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q8_0": 8, "q5_1": 7, "q5_0": 6, "q4_1": 3, "q4_0": 2}
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
        self._context = lib.llama_init_from_model(self._model, _context_params(settings))
        if not self._context:
            raise EngineRefused(f"llama.cpp made no context: {self._complaint()}")
        load_s = time.perf_counter() - start
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._n_vocab = lib.llama_vocab_n_tokens(self._vocab)
        return self._load_report(load_s)

    def _load_model(self, settings: LoadSettings) -> None:
        if self._model:
            lib.llama_model_free(self._model)
            self._clear_log()
        self._model = lib.llama_model_load_from_file(settings.path.encode(), _model_params(settings))
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
            n_vocab=self._n_vocab,
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
        """Token ids; raises `EngineRefused` where the model has no vocabulary (a forged one)."""
        if lib.llama_vocab_type(self._vocab) == lib.LLAMA_VOCAB_TYPE_NONE:
            raise EngineRefused("the model has no tokenizer (a forged model has random weights and no vocabulary)")
        raw = text.encode()
        room = (lib.llama_token * (len(raw) + 8))()
        count = lib.llama_tokenize(self._vocab, raw, len(raw), room, len(room), special, special)
        if count < 0:
            raise EngineRefused(f"llama.cpp could not tokenize {len(raw)} bytes")
        return list(room[:count])

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text; bytes that are not UTF-8 become the replacement character."""
        if not tokens:
            return ""
        given = (lib.llama_token * len(tokens))(*tokens)
        room = ctypes.create_string_buffer(64 * len(tokens) + 64)
        count = lib.llama_detokenize(self._vocab, given, len(tokens), room, len(room), False, True)
        if count < 0:
            raise EngineRefused(f"llama.cpp could not turn {len(tokens)} tokens into text")
        return room.raw[:count].decode("utf-8", errors="replace")

    def end_of_text(self) -> int:
        """End-of-sequence, or end-of-turn where there is none; raises `EngineRefused` where there is neither."""
        found = [int(ask(self._vocab)) for ask in (lib.llama_vocab_eos, lib.llama_vocab_eot)]
        known = [token for token in found if token >= 0]
        if not known:
            raise EngineRefused("the model has no end-of-text token")
        return known[0]

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
        self.detokenize([int(np.argmax(self._logits(-1)))])
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
            params = _context_params(self._settings)
            params.cb_eval = self._recorder.callback
            self._watched = lib.llama_init_from_model(self._model, params)
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

    def score(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
        """Log probabilities; the prefix is read once, and what it shares with the last call's is not read again."""
        if not prefix or not all(continuations):
            raise EngineRefused("scoring needs a prefix and continuations of at least one token each")
        if len(prefix) + max(map(len, continuations)) > lib.llama_n_ctx(self._context):
            raise EngineRefused(
                f"prefix and continuation exceed the context of {lib.llama_n_ctx(self._context)} tokens"
            )
        after_prefix = self._read(prefix)
        scores = []
        for continuation in continuations:
            rows = itertools.chain([after_prefix], self._append(continuation[:-1]))
            scores.append(_score(rows, continuation))
            self._forget(len(prefix))
            if len(self._cached) < len(prefix):
                self._read(prefix)
        return scores

    def _read(self, tokens: Sequence[int]) -> Logits:
        """Bring the cache to exactly these tokens; the logits after the last."""
        pairs = zip(self._cached, tokens, strict=False)
        shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        # At least one token is run again, for its logits.
        self._forget(min(shared, len(tokens) - 1))
        (last,) = self._append(tokens[len(self._cached) :], every=False)
        return last

    def _append(self, tokens: Sequence[int], *, every: bool = True) -> Iterator[Logits]:
        """Run tokens after the cached ones; yields the logits after each of them, or after the last alone.

        A micro-batch at a time: the logits of a whole batch of 2048 tokens would take 400 MB at a vocabulary of 49k.
        """
        size = int(lib.llama_n_ubatch(self._context))
        for first in range(0, len(tokens), size):
            chunk = tokens[first : first + size]
            last = first + len(chunk) == len(tokens)
            wanted = range(len(chunk)) if every else range(len(chunk) - 1, len(chunk)) if last else range(0)
            self._run_for_logits(chunk, wanted)
            for place in wanted:
                yield self._logits(place)

    def _run_for_logits(self, tokens: Sequence[int], wanted: range) -> None:
        batch = lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for place, token in enumerate(tokens):
                batch.token[place] = token
                batch.pos[place] = len(self._cached) + place
                batch.n_seq_id[place] = 1
                batch.seq_id[place][0] = 0
                batch.logits[place] = place in wanted
            self._run(batch)
        finally:
            lib.llama_batch_free(batch)
        self._cached += tokens

    def _logits(self, place: int) -> Logits:
        pointer = lib.llama_get_logits_ith(self._context, place)
        return np.ctypeslib.as_array(pointer, shape=(self._n_vocab,)).copy()

    def generate(self, prompt: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Generation:
        """The most likely token each time, until a stop string, an end token, the limit or the end of the context."""
        if not prompt:
            raise EngineRefused("generation needs a prompt of at least one token")
        logits = self._read(prompt)
        tokens: list[int] = []
        text = ""
        room = min(max_tokens, lib.llama_n_ctx(self._context) - len(prompt))
        while len(tokens) < room:
            token = int(np.argmax(logits))
            if lib.llama_vocab_is_eog(self._vocab, token):
                return Generation(text=text, tokens=len(tokens), stopped=True)
            tokens.append(token)
            text = self.detokenize(tokens)
            ends = [place for place in map(text.find, stop) if place >= 0]
            if ends:
                return Generation(text=text[: min(ends)], tokens=len(tokens), stopped=True)
            if len(tokens) < room:
                (logits,) = self._append([token])
        return Generation(text=text, tokens=len(tokens), stopped=False)

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
        """Free the context and the model."""
        for context in (self._context, self._watched):
            if context:
                lib.llama_free(context)
        if self._model:
            lib.llama_model_free(self._model)
        self._context = self._watched = self._model = None
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


def _model_params(settings: LoadSettings) -> lib.llama_model_params:
    params = lib.llama_model_default_params()
    params.load_mode = lib.LLAMA_LOAD_MODE_MMAP if settings.mmap and not settings.simulate else lib.LLAMA_LOAD_MODE_NONE
    params.use_extra_bufts = settings.repack
    params.no_alloc = settings.simulate
    params.n_gpu_layers = 0
    return params


def _context_params(settings: LoadSettings) -> lib.llama_context_params:
    if settings.kv_type not in _KV_TYPES:
        raise EngineRefused(f"unknown KV cache type '{settings.kv_type}' (one of {', '.join(_KV_TYPES)})")
    params = lib.llama_context_default_params()
    params.n_ctx = settings.context
    params.n_batch = min(settings.batch, settings.context)
    params.n_ubatch = min(settings.micro_batch, params.n_batch)
    params.n_threads = params.n_threads_batch = settings.threads or process.usable_cores()
    params.type_k = params.type_v = _KV_TYPES[settings.kv_type]
    choices = {None: lib.LLAMA_FLASH_ATTN_TYPE_AUTO, True: lib.LLAMA_FLASH_ATTN_TYPE_ENABLED}
    # As llama.cpp's own programs do: layers with a sliding window hold no more than it.
    params.swa_full = False
    params.flash_attn_type = choices.get(settings.flash_attention, lib.LLAMA_FLASH_ATTN_TYPE_DISABLED)
    # As llama.cpp's own programs do: a layer with a sliding window keeps the window, not the whole context.
    params.swa_full = False
    params.no_perf = True
    return params


def _score(rows: Iterable[Logits], tokens: Sequence[int]) -> Score:
    """Log-softmax of each row at its token; float64, since a vocabulary's worth of float32 loses digits."""
    logprob, greedy = 0.0, True
    for row, token in zip(rows, tokens, strict=True):
        wide = row.astype(np.float64)
        peak = wide.max()
        logprob += float(wide[token] - peak - np.log(np.exp(wide - peak).sum()))
        greedy = greedy and bool(wide[token] == peak)
    return Score(logprob=logprob, greedy=greedy)
