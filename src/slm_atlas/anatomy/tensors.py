"""The inventory: every tensor of an architecture, with its name in a GGUF file, its shape and the part it belongs to.

All else that can be known without running a model (parameters, bytes, FLOPs, KV cache, a forged file) is derived from
this list. Names are llama.cpp's (`gguf-py/gguf/constants.py`), our own where llama.cpp cannot run the model; shapes are
rows x columns, a weight's columns being its input width. What stands inside a layer is in `anatomy/layers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from slm_atlas.anatomy.layers import norm, one_layer, shared_ffn
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.catalog.architecture import Architecture, ListedTensor, Part, PositionKind

OUTPUT_NORM = {"lfm2": "token_embd_norm"}
"""Names of the last norm, where it is not `output_norm` (LFM2's is called so by mistake: `llama-arch.cpp`)."""


@lru_cache(maxsize=512)
def inventory(arch: Architecture) -> tuple[Tensor, ...]:
    """Every tensor of a model, in the order of a GGUF file."""
    return tuple(_all(arch))


def _all(arch: Architecture) -> Iterator[Tensor]:
    yield from _embeddings(arch)
    if arch.listed:
        for entry in arch.listed:
            yield from _listed(arch, entry)
    else:
        if arch.ffn.shared:
            yield from shared_ffn(arch)
        for layer in range(arch.layers):
            yield from one_layer(arch, layer)
    if arch.norm.final:
        yield from norm(arch, OUTPUT_NORM.get(arch.gguf or "", "output_norm"), arch.hidden, None)
    yield from _head(arch)


def _embeddings(arch: Architecture) -> Iterator[Tensor]:
    embedding, part = arch.embedding, Part.EMBEDDING
    width = embedding.dim or arch.hidden
    yield Tensor("token_embd.weight", (arch.vocab, width), part, None, uses=0)
    if width != arch.hidden:
        yield Tensor("project_in.weight", (arch.hidden, width), part, None)
    if embedding.norm:
        yield from norm(arch, "token_embd_norm", arch.hidden, None)
    if arch.position.kind is PositionKind.LEARNED:
        rows = arch.context + arch.position.offset
        yield Tensor("position_embd.weight", (rows, arch.hidden), part, None, uses=0)
    if embedding.per_layer:
        all_layers = embedding.per_layer * arch.layers
        yield Tensor("per_layer_token_embd.weight", (arch.vocab, all_layers), part, None, uses=0)
        yield Tensor("per_layer_model_proj.weight", (all_layers, arch.hidden), part, None)
        yield Tensor("per_layer_proj_norm.weight", (embedding.per_layer,), Part.NORM, None)


def _head(arch: Architecture) -> Iterator[Tensor]:
    width = arch.embedding.dim or arch.hidden
    if width != arch.hidden:
        yield Tensor("project_out.weight", (width, arch.hidden), Part.LM_HEAD, None)
    if not arch.embedding.tied:
        yield Tensor("output.weight", (arch.vocab, width), Part.LM_HEAD, None)
    if arch.embedding.head_bias:
        yield Tensor("output.bias", (arch.vocab,), Part.LM_HEAD, None)


def _listed(arch: Architecture, entry: ListedTensor) -> Iterator[Tensor]:
    if "{layer}" not in entry.name:
        yield Tensor(entry.name, entry.shape, entry.part, None, uses=entry.uses)
        return
    for layer in range(arch.layers) if entry.layers is None else entry.layers:
        yield Tensor(entry.name.format(layer=layer), entry.shape, entry.part, layer, uses=entry.uses)
