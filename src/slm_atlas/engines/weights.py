"""Random weights for a PyTorch model, at the speed of memory; and the bytes that tensors hold.

Import this module only in a worker process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

SPREAD = 0.02
"""Standard deviation of a weight, as most models begin their training with."""
_BLOCK = 2**20 - 3
"""Numbers drawn; they are repeated through a model. No power of two, so that rows of a matrix differ."""
_MOST = 10.0


def fill(model: torch.nn.Module, seed: int) -> None:
    """Give each weight a value that keeps the logits finite: normal matrices, norms of one, biases of zero.

    Vectors of a class of its own (decays, time steps) keep what their class gave them, within bounds.
    """
    block = torch.empty(_BLOCK).normal_(0.0, SPREAD, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for module in model.modules():
            plain = type(module).__module__.startswith("torch.nn")
            for name, weight in module.named_parameters(recurse=False):
                if weight.dim() > 1:
                    _repeat(block, weight.data)
                elif plain:
                    weight.fill_(0.0 if name == "bias" else 1.0)
                else:
                    weight.copy_(weight.nan_to_num(0.0, 0.0, 0.0).clamp(-_MOST, _MOST))


def _repeat(block: torch.Tensor, weight: torch.Tensor) -> None:
    flat = weight.view(-1)
    for start in range(0, flat.numel(), _BLOCK):
        part = flat[start : start + _BLOCK]
        part.copy_(block[: part.numel()])


def held_bytes(value: Any) -> int:  # noqa: ANN401  (caches are classes of transformers, each its own)
    """Bytes of all tensors in a value: a tensor, a container, or an object with such fields. Each is counted once."""
    return sum(_tensors([value], set()))


def kept_bytes(model: torch.nn.Module) -> int:
    """Bytes of tensors that layers keep beside weights and buffers: recurrent states, of classes without a cache."""
    return sum(
        value.numel() * value.element_size()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor)
    )


def _tensors(values: Iterable[Any], seen: set[int]) -> Iterable[int]:
    for value in values:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield value.numel() * value.element_size()
        elif isinstance(value, dict):
            yield from _tensors(value.values(), seen)
        elif isinstance(value, list | tuple):
            yield from _tensors(value, seen)
        elif hasattr(value, "__dict__") and not isinstance(value, type):
            yield from _tensors(vars(value).values(), seen)
