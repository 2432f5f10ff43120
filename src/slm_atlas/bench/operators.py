"""Where the time of a phase went in one process: the costs of single nodes, as shares of the plain total.

Nodes can only be timed one at a time, which costs time itself. So what they give is shares, and seconds are shares of
the plain total, measured in the same process without timing nodes. From each node the time of an empty one (a view)
is taken off, since that is what it takes to time a node; views themselves then cost nothing and are left out. Not taken
off is the gathering of several threads for every node: small nodes look larger by that, and the overhead that is stated
tells how much there is of it. What passes between nodes (building the graph, handing over logits; in PyTorch, Python)
is in the plain total and has no share of its own. All processes together: `slm_atlas.insights.profiles`.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from slm_atlas.bench.parts import part_of
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import EMPTY, NodeCost, PhaseProfile
from slm_atlas.store.profiles import Node, Observed


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
        plain=tuple(plain),
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
