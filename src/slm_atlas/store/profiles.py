"""Where the time of a run went, as samples: what a profile is stored as, and read back from.

A phase gives its plain passes (`prefill_s`, `decode_s`, as in a run of costs), one `timed_s` and one `empty_node_s`,
and a `node_s` for each kind of node: its seconds, scaled to the plain total, with what was computed in `detail`. The
phase is the sample's `scope`, the kind its `item`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import msgspec

from slm_atlas.store.records import Sample

PHASES = ("prefill", "decode")
"""A pass of the first is the prompt, of the second a token."""
MOST_NODES = 100
"""Kinds of nodes of a phase that are stored one by one; a model has about sixty. What takes least is added up."""
REST = "others"
"""The name of what was added up."""


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is stored so."""


class Node(Struct, frozen=True):
    """Nodes alike in all but their layer, in one process; all of one pass (a prompt, or a token)."""

    part: str
    """Their part of the model."""
    op: str
    """Their operation."""
    name: str
    """Their name, without the layer's number."""
    dtype: str
    """Type of what they read first."""
    share: float
    """Share of the time of all nodes; all add up to 1."""
    calls: float
    """How many they are."""
    flops: float
    """FLOPs of the matrix products in them."""
    bytes: float
    """Bytes they read and write."""

    @property
    def label(self) -> str:
        """All that tells it from others."""
        return f"{self.part}: {self.op} {self.name}" + (f" ({self.dtype})" if self.dtype else "")


class Observed(Struct, frozen=True):
    """A phase as one process saw it."""

    plain: tuple[float, ...]
    """Seconds of each pass without timing nodes."""
    timed_s: float
    """Seconds of a pass with every node timed (median)."""
    empty_s: float
    """What it takes to time a node, which was taken off each (median)."""
    nodes: tuple[Node, ...]
    """What was computed."""

    @property
    def plain_s(self) -> float:
        """Seconds of a pass without timing nodes (median)."""
        return statistics.median(self.plain)


def to_samples(phase: str, observed: Observed) -> list[Sample]:
    """A phase as the samples of its run: a bounded number, beside the passes."""
    plain = [Sample(metric=f"{phase}_s", index=index, value=value) for index, value in enumerate(observed.plain)]
    alone = {"timed_s": observed.timed_s, "empty_node_s": observed.empty_s}
    whole = [Sample(metric=metric, index=0, value=value, scope=phase) for metric, value in alone.items()]
    nodes = [_sample(phase, index, node, observed.plain_s) for index, node in enumerate(bounded(observed.nodes))]
    return [*plain, *whole, *nodes]


def _sample(phase: str, index: int, node: Node, plain_s: float) -> Sample:
    detail = {name: getattr(node, name) for name in ("part", "op", "name", "dtype", "calls", "flops", "bytes")}
    seconds = node.share * plain_s
    return Sample(metric="node_s", index=index, value=seconds, scope=phase, item=node.label, detail=detail)


def bounded(nodes: Sequence[Node], most: int = MOST_NODES) -> list[Node]:
    """The nodes that take most, most first, and the others added up by part and operation: no sum changes."""
    ordered = sorted(nodes, key=lambda node: -node.share)
    rest: dict[tuple[str, str], Node] = {}
    for node in ordered[most:]:
        known = rest.get((node.part, node.op))
        rest[node.part, node.op] = _sum(node, known)
    return [*ordered[:most], *rest.values()]


def _sum(node: Node, others: Node | None) -> Node:
    numbers = ("share", "calls", "flops", "bytes")
    sums = {name: getattr(node, name) + (getattr(others, name) if others else 0.0) for name in numbers}
    return msgspec.structs.replace(node, name=REST, dtype="", **sums)


def from_samples(phase: str, samples: Iterable[Sample]) -> Observed | None:
    """What a process saw of a phase, from the samples of its run; None where they hold no profile."""
    found = list(samples)
    plain = tuple(sample.value for sample in found if sample.metric == f"{phase}_s")
    own = [sample for sample in found if sample.scope == phase]
    alone = {sample.metric: sample.value for sample in own if sample.metric in ("timed_s", "empty_node_s")}
    nodes = [sample for sample in own if sample.metric == "node_s"]
    total = sum(sample.value for sample in nodes)
    if not plain or len(alone) < 2 or total <= 0:
        return None
    return Observed(
        plain=plain,
        timed_s=alone["timed_s"],
        empty_s=alone["empty_node_s"],
        nodes=tuple(Node(**(sample.detail or {}), share=sample.value / total) for sample in nodes),
    )
