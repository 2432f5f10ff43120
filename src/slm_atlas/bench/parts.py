"""Which part of the model a node of the compute graph, or an operator of PyTorch, belongs to.

A product with a weight belongs where the weight does, by the inventory of the model's tensors. The names of other
nodes are llama.cpp's (`cb(...)` in its src/models). A sum with what came in before a block counts as the block's; what
no rule knows is `other`. PyTorch's operators belong where their module does, by its class and its name there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slm_atlas.anatomy import inventory
from slm_atlas.catalog.architecture import Part
from slm_atlas.errors import UserError
from slm_atlas.models.header import read_header
from slm_atlas.models.reading import architecture

OTHER = "other"
"""What belongs to no part, or is not known to."""
PARTS = (*Part, OTHER)
"""Every part, from the input on."""

_HEADS = ("output.weight", "token_embd.weight", "project_out.weight")
"""Multiplied with, these make logits."""
_NORMS = ("RMS_NORM", "NORM", "GROUP_NORM")
_BY_NAME = (
    (Part.EMBEDDING, r"embd\b|inp_embd|inp_scaled|inpL|pos_embd|inp_per_layer|per_layer|model\.(embed|input)"),
    (Part.LM_HEAD, r"result_output|lmhead"),
    (Part.FFN, r"ffn_(moe|shexp)"),
    (Part.NORM, r".*norm(ed|_\w+)?\b|model\.layers.*norm"),
    (Part.ATTENTION, r"ffn_inp|sa_out"),
    (Part.MIXER, r"mamba|ssm|linear_attn|dnet|kda|[qkv]_conv|conv|state|z\b|alpha|beta|a_softplus|model.*\.conv"),
    (Part.MIXER, r"cache_[rs](_|\b)"),
    (Part.ATTENTION, r"[QKV]cur|q\b|k\b|v\b|[qk]_(pe|nope)|kv|kq|cache_[kv]|attn|fattn|wqkv|wo\b|qkv|QKV|model.*attn"),
    (Part.FFN, r"ffn|l_out|layer_out|mlp|model.*ffn"),
)
"""The beginning of a name, and its part; the first that fits decides."""
_BY_WEIGHT = (
    (Part.NORM, r".*norm"),
    (Part.EMBEDDING, r"(token|position|per_layer)\w*_embd|token_types"),
    (Part.MIXER, r"blk\.(ssm|shortconv)"),
    (Part.ATTENTION, r"blk\.attn"),
    (Part.FFN, r"(blk\.)?ffn"),
)
_BY_OP = {
    "FLASH_ATTN_EXT": Part.ATTENTION,
    "SOFT_MAX": Part.ATTENTION,
    "SSM_CONV": Part.MIXER,
    "SSM_SCAN": Part.MIXER,
    "GATED_DELTA_NET": Part.MIXER,
}


_BY_MODULE = (
    (Part.NORM, r"[Nn]orm|\.ln(_|\b)"),
    (Part.LM_HEAD, r"\.(lm_head|embed_out|output|project_out)\b"),
    (Part.ATTENTION, r"[Rr]otary"),
    (Part.EMBEDDING, r"\.(embed|wte\b|wpe\b|word_embed|position_embed|project_in\b)|Embedding"),
    (Part.MIXER, r"Mamba|Mixer|RecurrentBlock|Rglru|DeltaNet|ShortConv|LinearAttention"),
    (Part.ATTENTION, r"Attention|\.(self_)?attn"),
    (Part.FFN, r"M(LP|lp)\b|FeedForward|FFN|MoeBlock|[Ee]xperts|\.(fc\d|activation_fn|mlp|act)\b"),
)
"""Somewhere in the name of a module, and its part; the first that fits decides."""


def parts_of(path: Path) -> dict[str, Part]:
    """The part of each tensor of a file, by its name without the layer's number; empty where that is not known."""
    try:
        arch = architecture(read_header(path))
    except UserError:
        return {}
    return {re.sub(r"^blk\.\d+", "blk", tensor.name): tensor.part for tensor in inventory(arch)}


def part_of(op: str, name: str, weight: str, parts: Mapping[str, Part]) -> str:
    """The part of a node: one of `PARTS`.

    Args:
        op: its operation.
        name: its name; of an operator of PyTorch, its module.
        weight: the tensor it reads, without the layer's number; empty: none.
        parts: what `parts_of` gave.

    >>> part_of("MUL_MAT", "node_26", "blk.attn_output.weight", {})
    'attention'
    >>> part_of("ADD", "l_out-3", "", {}), part_of("RMS_NORM", "norm-3", "", {}), part_of("CONT", "node_7", "", {})
    ('ffn', 'norm', 'other')
    >>> part_of("aten::mm", "OPTAttention.q_proj", "", {}), part_of("aten::add", "OPTLayer after OPTLayer.fc2", "", {})
    ('attention', 'ffn')
    """
    if op.startswith("aten::"):
        return str(next((part for part, rule in _BY_MODULE if re.search(rule, _block(name))), OTHER))
    of_weight = parts.get(weight) or _first(_BY_WEIGHT, weight)
    if weight and op.startswith("MUL_MAT"):
        return str(Part.LM_HEAD if weight in _HEADS else of_weight or OTHER)
    if op in _NORMS or of_weight is Part.NORM:
        return str(Part.NORM)
    return str(_BY_OP.get(op) or _first(_BY_NAME, name) or of_weight or OTHER)


def _block(name: str) -> str:
    """The module an operator belongs to; in a layer's own code, the block before it."""
    return name.rpartition(" after ")[2]


def _first(rules: tuple[tuple[Part, str], ...], name: str) -> Part | None:
    return next((part for part, rule in rules if re.match(rule, name)), None)
