"""Profiles as Chrome traces (chrome://tracing, ui.perfetto.dev): a process a phase, a thread a layer.

The format is the JSON of the Trace Event Format (complete events, `ph` X; times in microseconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slm_atlas.bench.parts import part_of
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import EMPTY, NodeEvent

_OUTSIDE = 0
"""The thread of nodes that belong to no layer."""


def chrome_trace(
    phases: Mapping[str, Sequence[NodeEvent]], parts: Mapping[str, Part], *, first: int = 1
) -> dict[str, Any]:
    """The nodes of some passes as a trace; views, which compute nothing, are left out.

    Args:
        phases: the nodes of a pass, by the name shown for it.
        parts: the part of each tensor of the file.
        first: number of the first process.
    """
    events = [
        event
        for process, (name, nodes) in enumerate(phases.items(), first)
        for event in _process(process, name, [node for node in nodes if node.op not in EMPTY], parts)
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _process(
    process: int, name: str, nodes: Sequence[NodeEvent], parts: Mapping[str, Part]
) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": process, "args": {"name": name}}
    for thread in sorted({_thread(node) for node in nodes}):
        label = "outside layers" if thread == _OUTSIDE else f"layer {thread - 1}"
        yield {"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": {"name": label}}
    for node in nodes:
        yield {
            "ph": "X",
            "name": f"{node.op} {node.name}",
            "cat": part_of(node.op, node.name, node.weight, parts),
            "ts": 1e6 * node.start_s,
            "dur": 1e6 * node.elapsed_s,
            "pid": process,
            "tid": _thread(node),
            "args": {"op": node.op, "node": node.name, "weight": node.weight},
        }


def _thread(node: NodeEvent) -> int:
    return _OUTSIDE if node.layer is None else node.layer + 1
