"""PyTorch, through transformers: builds a model of random weights from its configuration and times it.

Import this module only in a worker process. Its "file" is an order (JSON: configuration, number type, seed, number of
parameters); nothing is downloaded. Values do not matter for time and memory, as long as the logits are finite.
"""

from __future__ import annotations

import inspect
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

# Before transformers is imported: it must not ask the hub for kernels, or for anything else.
os.environ["HF_HUB_OFFLINE"] = "1"

import msgspec
import psutil
import torch
import transformers
from transformers.initialization import no_init_weights

from slm_atlas.engines import process
from slm_atlas.engines.partial import Partial
from slm_atlas.engines.torch_nodes import summarize, watching
from slm_atlas.engines.values import EngineInfo, LoadReport, LoadSettings, MemoryReport, Profile
from slm_atlas.engines.weights import fill, held_bytes, kept_bytes
from slm_atlas.errors import EngineRefused
from slm_atlas.units import GIB, format_bytes

REST_BYTES = GIB
"""Held beside the weights, at most, for the cache and activations of a short text; what is refused allows for it."""
NOT_SAID = "PyTorch allocates activations as it goes and does not say how much; they are in the unaccounted rest"
_UNBUILDABLE = (ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError)
"""What transformers raises for a configuration that it, or this version of it, cannot build."""


class Order(msgspec.Struct, frozen=True):
    """What to build."""

    config: dict[str, Any]
    """The configuration, with its `model_type`."""
    dtype: str
    """`float32` or `bfloat16`."""
    seed: int
    """Of the weights."""
    params: int
    """Parameters, from which the memory is predicted."""


class Transformers(Partial):
    """The engine; see `slm_atlas.engines.base.Engine` for what each method does."""

    name = "transformers"

    def __init__(self) -> None:
        self._model: Any = None
        self._cache: Any = None
        self._cache_key = "past_key_values"
        self._last_only: dict[str, int] = {}
        self._held_before = 0
        self._baseline_bytes = process.resident_bytes()

    def describe(self) -> EngineInfo:
        """Versions, and the instruction sets that PyTorch's kernels use here."""
        capability = torch.backends.cpu.get_cpu_capability()
        return EngineInfo(
            name=self.name,
            version=f"transformers {transformers.__version__}, torch {torch.__version__}",
            build=f"{capability}, oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}",
        )

    def load(self, settings: LoadSettings) -> LoadReport:
        """Build the model of an order, and try it once.

        Raises:
            EngineRefused: its weights do not fit, transformers cannot build it, or its logits are not finite.
        """
        self.close()
        order = msgspec.json.decode(Path(settings.path).read_bytes(), type=Order)
        torch.set_num_threads(settings.threads or process.usable_cores())
        _check_room(order)
        self._baseline_bytes = process.resident_bytes()
        with _listening() as remarks:
            start = time.perf_counter()
            self._model = _build(order, settings.flash_attention)
            load_s = time.perf_counter() - start
            self._prepare()
            self._try()
        return self._report(settings, order, load_s, remarks)

    def _report(self, settings: LoadSettings, order: Order, load_s: float, remarks: list[str]) -> LoadReport:
        weights = list(self._model.parameters())
        attention = getattr(self._model.config, "_attn_implementation", None) or "its own"
        return LoadReport(
            load_s=load_s,
            n_vocab=self._model.get_input_embeddings().weight.shape[0],
            context=settings.context,
            micro_batch=settings.context,
            threads=torch.get_num_threads(),
            model_desc=f"{type(self._model).__name__}, {order.dtype}, attention: {attention}, a cache that grows",
            model_params=sum(weight.numel() for weight in weights),
            model_size_bytes=sum(held_bytes(weight) for weight in weights),
            remarks=remarks,
        )

    def _prepare(self) -> None:
        """Learn how this class, in this version of transformers, takes a cache, and whether it can skip logits."""
        takes = inspect.signature(self._model.forward).parameters
        self._cache_key = "cache" if "cache" in takes else "past_key_values"
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in takes else {}
        self._held_before = kept_bytes(self._model)

    def _try(self) -> None:
        """Two tokens and one more: what cannot run is refused now, and slow stand-ins for kernels are told."""
        try:
            logits = self._forward([0, 1], transformers.DynamicCache(config=self._model.config))
            finite = bool(logits.isfinite().all()) and bool(self._forward([2], self._cache).isfinite().all())
        except _UNBUILDABLE as error:
            raise EngineRefused(f"transformers built the model and cannot run it: {_line(error)}") from error
        if not finite:
            raise EngineRefused("the logits of these random weights are not finite")

    # ---- running ------------------------------------------------------------------------------------------------

    def prefill(self, tokens: Sequence[int], *, depth: int = 0) -> float:
        """Read the tokens with an empty cache, until the logits of the last are there.

        Raises:
            EngineRefused: something is to stay in the cache; what recurrent layers keep cannot be cut back.
        """
        if depth:
            raise EngineRefused("the engine 'transformers' does not prefill after a depth")
        return self._timed(list(tokens), self._empty_cache())

    def decode(self, tokens: Sequence[int]) -> list[float]:
        """Append the tokens one at a time."""
        if self._cache is None:
            raise EngineRefused("there is nothing to append to: prefill first")
        return [self._timed([token], self._cache) for token in tokens]

    def _timed(self, tokens: list[int], cache: Any) -> float:  # noqa: ANN401  (a class of transformers)
        ids = torch.tensor([tokens])
        start = time.perf_counter()
        self._forward(ids, cache)
        return time.perf_counter() - start

    def _forward(self, tokens: Any, cache: Any) -> Any:  # noqa: ANN401  (tensors)
        ids = tokens if isinstance(tokens, torch.Tensor) else torch.tensor([tokens])
        with torch.inference_mode():
            output = self._model(input_ids=ids, use_cache=True, **{self._cache_key: cache}, **self._last_only)
        # Some classes fill the cache they are given, others give back another.
        self._cache = getattr(output, self._cache_key, None) or cache
        return output.logits

    def profile(
        self, prompt: Sequence[int], answer: Sequence[int], *, before: Sequence[int] = (), events: bool = False
    ) -> Profile:
        """By `torch.profiler`, a pass at a time; what operators do is counted in two passes before, not timed.

        The work of a token is that of the first after the prompt.

        Raises:
            EngineRefused: something is to stay in the cache.
        """
        if before:
            raise EngineRefused("the engine 'transformers' does not prefill after a depth")
        model = self._loaded()
        read, tokens = torch.tensor([list(prompt)]), [torch.tensor([[token]]) for token in answer]
        with watching(model) as watch:
            whole = watch.count(partial(self._forward, read, self._empty_cache()))
            work = watch.count(partial(self._forward, tokens[0], self._cache)) if tokens else {}
            first = watch.time(partial(self._forward, read, self._empty_cache()), whole)
            others = [watch.time(partial(self._forward, token, self._cache), work) for token in tokens]
        prefill = summarize([first], whole, events=events)
        return Profile(prefill=prefill, decode=summarize(others, work, events=events))

    def _empty_cache(self) -> Any:  # noqa: ANN401  (a class of transformers)
        return transformers.DynamicCache(config=self._loaded().config)

    def memory(self) -> MemoryReport:
        """Weights and buffers, and what the cache holds, some of it in the layers themselves."""
        model = self._loaded()
        tensors = [*model.parameters(), *model.buffers()]
        return MemoryReport(
            model_bytes=sum(map(held_bytes, tensors)),
            repacked_bytes=0,
            kv_bytes=held_bytes(self._cache) + kept_bytes(model) - self._held_before,
            compute_bytes=None,
            output_bytes=None,
            process_baseline_bytes=self._baseline_bytes,
            process_peak_bytes=process.peak_resident_bytes(),
            absent={"compute_bytes": NOT_SAID, "output_bytes": NOT_SAID},
        )

    def close(self) -> None:
        """Let go of the model."""
        self._model = self._cache = None

    def _loaded(self) -> Any:  # noqa: ANN401  (a class of transformers)
        if self._model is None:
            raise EngineRefused("no model is loaded")
        return self._model


def _check_room(order: Order) -> None:
    """Refuse what does not fit, in words, before the system refuses it by killing.

    Raises:
        EngineRefused: there is not enough memory.
    """
    width = torch.finfo(getattr(torch, order.dtype)).bits // 8
    weights, available = order.params * width, psutil.virtual_memory().available
    if weights + REST_BYTES > available:
        half = "; --quant BF16 halves the weights" if order.dtype == "float32" else ""
        raise EngineRefused(
            f"the model needs about {format_bytes(weights + REST_BYTES)} ({format_bytes(weights)} of weights in "
            f"{order.dtype}, the rest for text), and {format_bytes(available)} are free{half}"
        )


def _build(order: Order, flash_attention: bool | None) -> Any:  # noqa: ANN401  (a class of transformers)
    """The model, its weights filled."""
    asked = {None: {}, True: {"attn_implementation": "sdpa"}, False: {"attn_implementation": "eager"}}[flash_attention]
    keys = dict(order.config)
    try:
        config = transformers.CONFIG_MAPPING[keys.pop("model_type")](**keys)
        with no_init_weights():
            model = transformers.AutoModelForCausalLM.from_config(config, dtype=getattr(torch, order.dtype), **asked)
        model.tie_weights()
    except _UNBUILDABLE as error:
        raise EngineRefused(f"transformers {transformers.__version__} does not build it: {_line(error)}") from error
    fill(model, order.seed)
    return model.eval()


def _line(error: Exception) -> str:
    """An exception's first line, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What transformers warns of meanwhile, each once: a reference implementation in place of a kernel, say."""
    remarks: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (text := record.getMessage()) not in remarks:
                remarks.append(text)

    logger, keep = logging.getLogger("transformers"), Keep(logging.WARNING)
    logger.addHandler(keep)
    try:
        yield remarks
    finally:
        logger.removeHandler(keep)
