"""Where the time goes: the costs of single nodes, added up by part of the model and by operator.

Nodes can only be timed one at a time, which costs time itself. So what they give is shares, and seconds are shares of
the plain total, measured in the same processes without timing nodes. From each node the time of an empty one (a view)
is taken off, since that is what it takes to time a node; views themselves then cost nothing and are left out. Not taken
off is the gathering of several threads for every node: small nodes look larger by that, and the overhead that is stated
tells how much there is of it. What passes between nodes (building the graph, handing over logits) is in the plain total
and has no share of its own.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from slm_atlas.bench.parts import PARTS, part_of
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import EMPTY, NodeCost, PhaseProfile
from slm_atlas.stats import Estimate, median_estimate


class Ceilings(Protocol):
    """The fastest this machine was seen to work."""

    @property
    def read_bytes_per_s(self) -> float:
        """Bytes read from memory in a second."""
        ...

    @property
    def flops(self) -> float:
        """Floating-point operations in a second."""
        ...


class Struct(msgspec.Struct, frozen=True, kw_only=True):
    """The base of what is found."""


class Node(Struct, frozen=True):
    """Nodes alike in all but their layer, in one process; all of one pass (a prompt, or a token)."""

    part: str
    """Their part of the model, one of `PARTS`."""
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


class Observed(Struct, frozen=True):
    """A phase as one process saw it."""

    plain_s: float
    """Seconds of a pass without timing nodes (median)."""
    timed_s: float
    """Seconds of a pass with every node timed (median)."""
    empty_s: float
    """What it takes to time a node, which was taken off each (median)."""
    nodes: tuple[Node, ...]
    """What was computed."""


class Line(Struct, frozen=True):
    """One part, one operator, or one kind of node, in a pass."""

    label: str
    """Its name."""
    share: Estimate
    """Share of the time: the median over processes, all medians scaled to add up to 1."""
    seconds: float
    """That share of the plain total."""
    calls: float
    """Nodes computed."""
    flops: float
    """FLOPs of the matrix products."""
    bytes: float
    """Bytes read and written, each node's own; what a cache kept counts as well."""
    flops_per_s: float | None
    """FLOPs a second; None where there are none."""
    bytes_per_s: float | None
    """Bytes a second."""
    of_flops: float | None
    """FLOPs a second as a share of the ceiling measured here; None without one."""
    of_bandwidth: float | None
    """Bytes a second as a share of the ceiling measured here; None without one."""


class Breakdown(Struct, frozen=True):
    """Where the time of a phase goes, over all processes."""

    plain_s: Estimate
    """Seconds of a pass: a whole prompt, or a token."""
    overhead: Estimate
    """Time with every node timed, over plain time."""
    empty_s: float
    """What it takes to time a node."""
    parts: tuple[Line, ...]
    """By part, in the order of `PARTS`."""
    operators: tuple[Line, ...]
    """By operator, most time first."""
    nodes: tuple[Line, ...]
    """By part, operator, name and type, most time first."""


# ---- one process ------------------------------------------------------------------------------------------------


def observe(plain: Sequence[float], profiles: Sequence[PhaseProfile], parts: Mapping[str, Part]) -> Observed:
    """What one process gave of one phase.

    Args:
        plain: seconds of each pass without timing nodes.
        profiles: of passes alike, with every node timed.
        parts: the part of each tensor of the file.

    Raises:
        ValueError: no pass, or no node that took any time.
    """
    merged = _merge(profiles)
    empty_s = _empty_s(merged.values())
    spent = {key: _net_s(cost, empty_s) for key, cost in merged.items() if cost.op not in EMPTY}
    total = sum(spent.values())
    if not plain or total <= 0:
        raise ValueError("nothing was computed")
    return Observed(
        plain_s=statistics.median(plain),
        timed_s=statistics.median(seconds for profile in profiles for seconds in profile.seconds),
        empty_s=empty_s,
        nodes=tuple(_node(merged[key], seconds / total, parts) for key, seconds in spent.items()),
    )


def _merge(profiles: Sequence[PhaseProfile]) -> dict[tuple[str, ...], NodeCost]:
    """The same nodes of several profiles together; in passes that have none of them they took no time."""
    found: dict[tuple[str, ...], list[NodeCost]] = {}
    for profile in profiles:
        for cost in profile.nodes:
            found.setdefault((cost.op, cost.name, cost.weight, cost.dtype), []).append(cost)
    passes = sum(len(profile.seconds) for profile in profiles)
    return {key: _joined(costs, passes) for key, costs in found.items()}


def _joined(costs: Sequence[NodeCost], passes: int) -> NodeCost:
    seconds = [each for cost in costs for each in cost.seconds]
    return msgspec.structs.replace(
        costs[0],
        calls=sum(cost.calls for cost in costs),
        flops=sum(cost.flops for cost in costs),
        bytes=sum(cost.bytes for cost in costs),
        seconds=(*seconds, *[0.0] * (passes - len(seconds))),
    )


def _empty_s(costs: Iterable[NodeCost]) -> float:
    """What a node costs that computes nothing; 0 where there is none."""
    each = [cost for cost in costs if cost.op in EMPTY]
    calls = sum(cost.calls / len(cost.seconds) for cost in each)
    return sum(statistics.median(cost.seconds) for cost in each) / calls if calls else 0.0


def _net_s(cost: NodeCost, empty_s: float) -> float:
    """Seconds of the median pass, without what it takes to time the nodes."""
    return max(0.0, statistics.median(cost.seconds) - empty_s * cost.calls / len(cost.seconds))


def _node(cost: NodeCost, share: float, parts: Mapping[str, Part]) -> Node:
    passes = len(cost.seconds)
    named = cost.weight if cost.name in ("node", "") and cost.weight else cost.name
    return Node(
        part=part_of(cost.op, cost.name, cost.weight, parts),
        op=cost.op,
        name=named,
        dtype=cost.dtype,
        share=share,
        calls=cost.calls / passes,
        flops=cost.flops / passes,
        bytes=cost.bytes / passes,
    )


# ---- all processes ----------------------------------------------------------------------------------------------


def breakdown(observed: Sequence[Observed], ceilings: Ceilings | None = None) -> Breakdown:
    """What all processes gave of one phase.

    Args:
        observed: a process each.
        ceilings: of this machine, to compare with.

    Raises:
        ValueError: no process.
    """
    plain_s = median_estimate([each.plain_s for each in observed])

    def lines(label: Callable[[Node], str]) -> list[Line]:
        return _lines(observed, label, plain_s.value, ceilings)

    return Breakdown(
        plain_s=plain_s,
        overhead=median_estimate([each.timed_s / each.plain_s for each in observed]),
        empty_s=statistics.median(each.empty_s for each in observed),
        parts=tuple(sorted(lines(lambda node: node.part), key=lambda line: PARTS.index(line.label))),
        operators=tuple(sorted(lines(lambda node: node.op), key=_longest)),
        nodes=tuple(sorted(lines(_full_label), key=_longest)),
    )


def _full_label(node: Node) -> str:
    return f"{node.part}: {node.op} {node.name} ({node.dtype})"


def _longest(line: Line) -> float:
    return -line.share.value


def _lines(
    observed: Sequence[Observed], label: Callable[[Node], str], plain_s: float, ceilings: Ceilings | None
) -> list[Line]:
    labels = list(dict.fromkeys(label(node) for each in observed for node in each.nodes))
    grouped = {name: [[node for node in each.nodes if label(node) == name] for each in observed] for name in labels}
    shares = {name: median_estimate([sum(node.share for node in nodes) for nodes in grouped[name]]) for name in labels}
    total = sum(share.value for share in shares.values())
    return [_line(name, _scaled(shares[name], 1 / total), plain_s, grouped[name], ceilings) for name in labels]


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    ends = {end: None if value is None else value * factor for end, value in _ends(estimate).items()}
    return msgspec.structs.replace(estimate, value=estimate.value * factor, **ends)


def _ends(estimate: Estimate) -> dict[str, float | None]:
    return {"low": estimate.low, "high": estimate.high}


def _line(
    label: str, share: Estimate, plain_s: float, grouped: Sequence[Sequence[Node]], ceilings: Ceilings | None
) -> Line:
    seconds, nodes = share.value * plain_s, max(grouped, key=len)
    flops, moved = sum(node.flops for node in nodes), sum(node.bytes for node in nodes)
    flops_per_s = flops / seconds if flops and seconds else None
    bytes_per_s = moved / seconds if moved and seconds else None
    return Line(
        label=label,
        share=share,
        seconds=seconds,
        calls=sum(node.calls for node in nodes),
        flops=flops,
        bytes=moved,
        flops_per_s=flops_per_s,
        bytes_per_s=bytes_per_s,
        of_flops=flops_per_s / ceilings.flops if flops_per_s and ceilings else None,
        of_bandwidth=bytes_per_s / ceilings.read_bytes_per_s if bytes_per_s and ceilings else None,
    )
