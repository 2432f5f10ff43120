"""A model of transformers, called with a row of tokens whose attention is ours or its own."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, TypeAlias

import torch
from transformers import AttentionInterface
from transformers.modeling_layers import GradientCheckpointingLayer

from slm_atlas.engines.sequences import Rows
from slm_atlas.errors import EngineRefused

ATTENTION = "slm_atlas_sequences"
"""The name under which transformers knows our attention."""
_UNKNOWN = ("softcap", "s_aux", "position_bias")
"""What some models add to their scores, and our attention does not."""
Tensor: TypeAlias = Any
Model: TypeAlias = Any
Cache: TypeAlias = Any
DType: TypeAlias = Any
"""Torch and transformers have no types here, as they are no dependencies."""


class Layer(NamedTuple):
    """What a layer asks of its attention."""

    number: int
    """Which layer, counted from 0."""
    query: Tensor
    """Of shape (1, heads, tokens, size); so are the others, where heads may be fewer."""
    key: Tensor
    value: Tensor
    scale: float | None
    """Of the scores; None: the usual one."""
    window: int | None
    """Tokens it looks back, its own included; None: all."""


Attend = Callable[[Layer], Tensor]
"""The attention of a layer, of shape (1, tokens, heads, size)."""


class Network:
    """A model, and how it is called.

    Args:
        model: a causal language model of transformers.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._own_attention = model.config._attn_implementation
        takes = inspect.signature(model.forward).parameters
        self._selects = "logits_to_keep" in takes
        self._cache_key = next((key for key in ("past_key_values", "cache", "cache_params") if key in takes), None)
        self._plain: list[tuple[Model, Callable[..., Any]]] = []
        self._compiled: list[tuple[Model, Callable[..., Any]]] = []
        self.computed = 0
        self.compute_s = 0.0
        self.cached_bytes = 1
        """Bytes that a token takes in a cache, as the last call with our attention had it."""

    def compile(self, *, on: bool = True) -> None:
        """Let PyTorch fuse what stands between the products of each layer, for `flat`; or no more.

        The first call then takes half a minute (a tenth where the same was compiled before), later ones less.
        """
        layers = [module for module in self.model.modules() if isinstance(module, GradientCheckpointingLayer)]
        self._plain = [(layer, layer.forward) for layer in layers] if on else self._plain
        self._use(self._plain)
        # Of any number of tokens: else each new one would be compiled anew.
        self._compiled = [(layer, torch.compile(layer.forward, dynamic=True)) for layer in layers] if on else []

    @staticmethod
    def _use(forwards: Sequence[tuple[Model, Callable[..., Any]]]) -> None:
        for layer, forward in forwards:
            layer.forward = forward

    def flat(self, tokens: Sequence[int], positions: Sequence[int], wanted: Sequence[int], attend: Attend) -> Rows:
        """The logits after the tokens at the places `wanted` of a row whose tokens see what `attend` lets them see."""
        self._switch(ATTENTION)
        self._use(self._compiled)
        with _attending(attend):
            rows = self._call(tokens, wanted, position_ids=torch.tensor([list(positions)]), use_cache=False)
            self.cached_bytes = max(1, _AT_WORK.cached_bytes)
            return rows

    def plain(self, tokens: Sequence[int], wanted: Sequence[int], cache: Cache) -> tuple[Rows, Cache]:
        """The same of a text that goes on from a cache of transformers' (None: begins), with the model's own attention.

        Returns:
            The logits and the cache.
        """
        self._switch(self._own_attention)
        self._use(self._plain)
        self._cache = cache
        kept = {} if self._cache_key is None or cache is None else {self._cache_key: cache}
        rows = self._call(tokens, wanted, use_cache=self._cache_key is not None, **kept)
        return rows, self._cache

    def _switch(self, attention: str) -> None:
        if self.model.config._attn_implementation != attention:
            self.model.set_attn_implementation(attention)

    def _call(self, tokens: Sequence[int], wanted: Sequence[int], **how: object) -> Rows:
        start = time.perf_counter()
        # Where nothing is wanted, the last token's logits are computed all the same: an empty selection is not for all.
        places = torch.tensor(list(wanted) or [len(tokens) - 1])
        selected = {"logits_to_keep": places} if self._selects else {}
        with torch.inference_mode():
            output = self.model(input_ids=torch.tensor([list(tokens)]), **selected, **how)
            logits = output.logits[0] if self._selects else output.logits[0, places]
            rows: Rows = logits[: len(wanted)].float().numpy()
        if self._cache_key is not None:
            self._cache = getattr(output, self._cache_key, None)
        self.compute_s += time.perf_counter() - start
        self.computed += len(tokens)
        return rows


class _Attending:
    """Whose attention is at work, and at which layer: transformers passes nothing through to it in every model."""

    def __init__(self) -> None:
        self.attend: Attend | None = None
        self.layer = 0
        self.cached_bytes = 0


_AT_WORK = _Attending()


class _attending(AbstractContextManager[None]):
    def __init__(self, attend: Attend) -> None:
        self._attend = attend

    def __enter__(self) -> None:
        _AT_WORK.attend, _AT_WORK.layer, _AT_WORK.cached_bytes = self._attend, 0, 0

    def __exit__(self, *error: object) -> None:
        _AT_WORK.attend = None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _attention(
    module: Model,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **how: object,
) -> tuple[Tensor, None]:
    """As transformers calls an attention; a mask never comes, since it makes none for what it does not know."""
    if any(how.get(name) is not None for name in _UNKNOWN) or attention_mask is not None or _AT_WORK.attend is None:
        raise EngineRefused("the model's attention has parts that ours has not")
    layer = Layer(_AT_WORK.layer, query, key, value, scaling, _window(how))
    _AT_WORK.layer += 1
    _AT_WORK.cached_bytes += sum(new.shape[1] * new.shape[3] * new.element_size() for new in (key, value))
    seen = _AT_WORK.attend(layer)
    return seen, None


def _window(how: dict[str, object]) -> int | None:
    window = how.get("sliding_window")
    return window if isinstance(window, int) else None


AttentionInterface.register(ATTENTION, _attention)
