"""Profiles as Chrome traces (chrome://tracing, ui.perfetto.dev): a process a phase, a thread a layer.

The last passes of a profile are kept as one, a file beside the store: thousands of nodes are no samples. The format is
the JSON of the Trace Event Format (complete events, `ph` X; times in microseconds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from slm_atlas import home
from slm_atlas.bench.parts import part_of
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import EMPTY, NodeEvent
from slm_atlas.errors import UserError

_OUTSIDE = 0
"""The thread of nodes that belong to no layer."""


def chrome_trace(phases: Mapping[str, Sequence[NodeEvent]], parts: Mapping[str, Part]) -> dict[str, Any]:
    """The nodes of some passes as a trace; views, which compute nothing, are left out.

    Args:
        phases: the nodes of a pass, by the name shown for it.
        parts: the part of each tensor of the file.
    """
    events = [
        event
        for process, (name, nodes) in enumerate(phases.items(), 1)
        for event in _process(process, name, [node for node in nodes if node.op not in EMPTY], parts)
    ]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def merged(traces: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several traces as one: each process has a number of its own."""
    events: list[dict[str, Any]] = []
    for trace in traces:
        last = max((event["pid"] for event in events), default=0)
        events += [{**event, "pid": event["pid"] + last} for event in trace["traceEvents"]]
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def trace_path(key: str) -> Path:
    """The file of the trace of a run."""
    return home.traces_dir() / f"{key}.json"


def keep_trace(key: str, trace: dict[str, Any]) -> None:
    """Write the trace of a run.

    Raises:
        UserError: it cannot be written.
    """
    path = trace_path(key)
    try:
        home.replace_file(path, msgspec.json.encode(trace))
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", "free some disk, or set SLM_ATLAS_HOME") from error


def read_trace(key: str) -> dict[str, Any] | None:
    """The trace of a run; None where none was kept here."""
    try:
        found: dict[str, Any] = msgspec.json.decode(trace_path(key).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found


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
