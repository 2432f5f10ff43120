"""The nodes of llama.cpp's compute graph as they are computed: when, and what each is.

The scheduler asks a callback before each node whether it is wanted, and calls it again when the node is done
(`ggml_backend_sched_eval_callback`, ggml-backend.h). Answered yes for all, it computes node by node, and the time of a
node lies between the two calls. What a node is, is read from its `ggml_tensor` when the graph is done.

Apart from the plain run: nodes that the plain graph fuses (`RMS_NORM` with the `MUL` after it) are computed one by one,
and threads are gathered for every node rather than once. Views (`VIEW`, `RESHAPE`, `PERMUTE`, `TRANSPOSE`) compute
nothing; their time is what it takes to time a node.
"""

from __future__ import annotations

import ctypes
import math
import re
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import llama_cpp.llama_cpp as lib
from llama_cpp._ggml import libggml

from slm_atlas.engines.node_names import pattern
from slm_atlas.engines.values import EMPTY, NodeCost, NodeEvent, PhaseProfile
from slm_atlas.errors import EngineRefused

for _name, _result, _argument in (
    ("ggml_op_desc", ctypes.c_char_p, ctypes.c_void_p),
    ("ggml_get_name", ctypes.c_char_p, ctypes.c_void_p),
    ("ggml_type_name", ctypes.c_char_p, ctypes.c_int),
    ("ggml_type_size", ctypes.c_size_t, ctypes.c_int),
    ("ggml_blck_size", ctypes.c_int64, ctypes.c_int),
):
    _function = getattr(libggml, _name)
    _function.restype, _function.argtypes = _result, [_argument]

_LAYER = re.compile(r"(?:-|\bblk\.|_l)(\d+)(?![\w])")
"""A layer's number in a name: `ffn_gate-12`, `blk.12.ffn_gate.weight`, `cache_k_l12 (view)`."""
_WEIGHT = re.compile(r"blk\.|.*\.(weight|bias)$")
"""How tensors of the model's file are named, and no others."""
_UNNAMED = re.compile(r"node_\d+$")


class Tensor(ctypes.Structure):
    """The beginning of `ggml_tensor`, up to its name (ggml.h of llama.cpp as bound by llama-cpp-python 0.3.36)."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("buffer", ctypes.c_void_p),
        ("ne", ctypes.c_int64 * 4),
        ("nb", ctypes.c_size_t * 4),
        ("op", ctypes.c_int),
        ("op_params", ctypes.c_int32 * 16),
        ("flags", ctypes.c_int32),
        ("src", ctypes.c_void_p * 10),
        ("view_src", ctypes.c_void_p),
        ("view_offs", ctypes.c_size_t),
        ("data", ctypes.c_void_p),
        ("name", ctypes.c_char * 64),
    )


class Operand(NamedTuple):
    """What a node reads or writes."""

    name: str
    """Its name."""
    dtype: int
    """Its `ggml_type`."""
    shape: tuple[int, ...]
    """Elements along each axis, the fastest first (`ne`)."""

    @property
    def size(self) -> int:
        """How many elements."""
        return math.prod(self.shape)

    def bytes(self, elements: int | None = None) -> float:
        """Bytes of all its elements, or of so many."""
        number = self.size if elements is None else elements
        size: float = number * libggml.ggml_type_size(self.dtype) / libggml.ggml_blck_size(self.dtype)
        return size


class Node(NamedTuple):
    """A node that was computed."""

    op: str
    """The operation."""
    result: Operand
    """What it wrote."""
    sources: tuple[Operand, ...]
    """What it read."""
    start_ns: int
    """When it began."""
    elapsed_ns: int
    """How long it took."""

    @property
    def weight(self) -> str:
        """The tensor of the model's file among its sources; empty where there is none."""
        return next((source.name for source in self.sources if _WEIGHT.match(source.name)), "")


class Pass(NamedTuple):
    """One call of `llama_decode`."""

    start_ns: int
    """When it began."""
    end_ns: int
    """When its logits were ready."""
    nodes: list[Node]
    """What it computed."""


class Recorder:
    """Notes when each node began and ended: as little as can be done while the clock runs."""

    def __init__(self) -> None:
        self._tensors: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.callback = lib.ggml_backend_sched_eval_callback(self._on_node)
        """To be given to a context as `cb_eval`."""

    def _on_node(self, tensor: int, ask: bool, _: object) -> bool:
        if ask:
            self._starts.append(time.perf_counter_ns())
        else:
            self._ends.append(time.perf_counter_ns())
            self._tensors.append(tensor)
        return True

    def take(self) -> list[Node]:
        """The nodes since the last call; the graph must be as it was computed.

        Raises:
            EngineRefused: this llama.cpp keeps its tensors in another layout than the one known here.
        """
        if self._tensors and libggml.ggml_get_name(self._tensors[0]) != Tensor.from_address(self._tensors[0]).name:
            raise EngineRefused("this version of llama.cpp lays out its tensors in a way not known here")
        times = zip(self._tensors, self._starts, self._ends, strict=True)
        nodes = [_node(tensor, start, end - start) for tensor, start, end in times]
        for noted in (self._tensors, self._starts, self._ends):
            noted.clear()
        return nodes


def _node(address: int, start_ns: int, elapsed_ns: int) -> Node:
    sources = Tensor.from_address(address).src
    return Node(
        op=libggml.ggml_op_desc(address).decode(),
        result=_operand(address),
        sources=tuple(_operand(source) for source in sources if source),
        start_ns=start_ns,
        elapsed_ns=elapsed_ns,
    )


def _operand(address: int) -> Operand:
    tensor = Tensor.from_address(address)
    return Operand(tensor.name.decode(errors="replace"), tensor.type, tuple(tensor.ne))


# ---- what a node costs ------------------------------------------------------------------------------------------


def flops(node: Node) -> float:
    """FLOPs of the matrix products in a node, two for a multiplication and its addition.

    Attention counts every place of the cache that it is given, those masked out included.
    """
    match node.op, node.sources:
        case "MUL_MAT" | "MUL_MAT_ID", (left, *_):
            return 2.0 * left.shape[0] * node.result.size
        case "FLASH_ATTN_EXT", (queries, keys, values, *_):
            pairs = math.prod(queries.shape[1:]) * keys.shape[1]
            return 2.0 * pairs * (queries.shape[0] + values.shape[0])
    return 0.0


def moved_bytes(node: Node) -> float:
    """Bytes a node reads and writes, each once; of a table, only the rows it looks up or stores."""
    result, sources = node.result, node.sources
    match node.op, sources:
        case op, _ if op in EMPTY:
            return 0.0
        case "GET_ROWS", (table, places, *_):
            return table.bytes(result.size) + places.bytes() + result.bytes()
        case "SET_ROWS", (rows, places, *_):
            return rows.bytes() + places.bytes() + result.bytes(rows.size)
        case "CPY", (source, *_):
            return source.bytes() + result.bytes(source.size)
        case "MUL_MAT_ID", (experts, inputs, chosen, *_):
            used = min(experts.shape[2], chosen.size)
            return experts.bytes(math.prod(experts.shape[:2]) * used) + inputs.bytes() + result.bytes()
    return sum(source.bytes() for source in sources) + result.bytes()


# ---- many nodes together ----------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """What nodes have in common that are counted together."""

    op: str
    name: str
    weight: str
    dtype: str


def summarize(passes: Sequence[Sequence[Pass]], *, events: bool) -> PhaseProfile:
    """The costs of passes, each of which may be several calls.

    Args:
        passes: the calls of each pass.
        events: give the nodes of the last pass as well.
    """
    found: dict[_Kind, list[tuple[int, Node]]] = {}
    for number, calls in enumerate(passes):
        for node in (node for call in calls for node in call.nodes):
            found.setdefault(_kind(node), []).append((number, node))
    return PhaseProfile(
        seconds=tuple(sum(call.end_ns - call.start_ns for call in calls) / 1e9 for calls in passes),
        nodes=tuple(_cost(kind, nodes, len(passes)) for kind, nodes in found.items()),
        events=tuple(_events(passes[-1])) if events and passes else (),
    )


def _kind(node: Node) -> _Kind:
    dtype = node.sources[0].dtype if node.sources else node.result.dtype
    return _Kind(node.op, pattern(node.result.name), pattern(node.weight), _type_name(dtype))


def _cost(kind: _Kind, nodes: Sequence[tuple[int, Node]], passes: int) -> NodeCost:
    elapsed_ns = [0] * passes
    for number, node in nodes:
        elapsed_ns[number] += node.elapsed_ns
    return NodeCost(
        **kind._asdict(),
        calls=len(nodes),
        flops=sum(flops(node) for _, node in nodes),
        bytes=sum(moved_bytes(node) for _, node in nodes),
        seconds=tuple(spent / 1e9 for spent in elapsed_ns),
    )


def _events(calls: Sequence[Pass]) -> Iterator[NodeEvent]:
    layer: int | None = None
    for node in (node for call in calls for node in call.nodes):
        layer = _layer(node, layer)
        yield NodeEvent(
            op=node.op,
            name=node.result.name,
            weight=pattern(node.weight),
            layer=layer,
            start_s=(node.start_ns - calls[0].start_ns) / 1e9,
            elapsed_s=node.elapsed_ns / 1e9,
        )


def _layer(node: Node, before: int | None) -> int | None:
    """The layer its names tell; a node without a name is in the layer of the one before it."""
    told = _LAYER.search(node.result.name) or _LAYER.search(node.weight)
    if told:
        return int(told[1])
    return before if _UNNAMED.match(node.result.name) and not node.weight else None


@cache
def _type_name(number: int) -> str:
    return str(libggml.ggml_type_name(number).decode())
