"""Where the time goes, node by node of the compute graph."""

from __future__ import annotations

from slm_atlas.engines.values.struct import Struct

EMPTY = frozenset({"NONE", "VIEW", "RESHAPE", "PERMUTE", "TRANSPOSE"})
"""Operations of a compute graph that compute nothing (`ggml_op_is_empty`)."""


class NodeCost(Struct, frozen=True):
    """What the nodes of the compute graph cost that are alike in all but their layer."""

    op: str
    """The operation, as the engine calls it: `MUL_MAT`, `ROPE`, ..."""
    name: str
    """The node's name without the layer's number: `ffn_gate`."""
    weight: str
    """The tensor of the model's file that it reads, without the layer's number: `blk.ffn_gate.weight`; empty: none."""
    dtype: str
    """Type of what it reads first: `q4_K`, `f32`, ..."""
    calls: int
    """How often it was computed, in all passes."""
    flops: float
    """FLOPs of the matrix products in it, in all passes; 0 for what only passes over its data."""
    bytes: float
    """Bytes it reads and writes, in all passes, were nothing kept in a cache."""
    seconds: tuple[float, ...]
    """Seconds of each pass, what it takes to time a node included."""


class NodeEvent(Struct, frozen=True):
    """One node, computed once."""

    op: str
    """The operation."""
    name: str
    """The node's name."""
    weight: str
    """The tensor of the model's file that it reads, without the layer's number; empty: none."""
    layer: int | None
    """Its layer; None: before the first, or after the last."""
    start_s: float
    """Seconds since the pass began."""
    elapsed_s: float
    """Seconds it took."""


class PhaseProfile(Struct, frozen=True):
    """Prefill or decode, node by node. A pass is a whole prompt, or one token."""

    seconds: tuple[float, ...]
    """Seconds of each pass, with every node timed."""
    nodes: tuple[NodeCost, ...]
    """What was computed, in the order in which it was first met."""
    events: tuple[NodeEvent, ...] = ()
    """Each node of the last pass, where that was asked for."""


class Profile(Struct, frozen=True):
    """Where the time goes."""

    prefill: PhaseProfile
    """One pass."""
    decode: PhaseProfile
    """A pass a token."""
