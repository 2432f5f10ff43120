"""PyTorch's operators as they are computed: how long each takes, in which module, and what it does.

`torch.profiler` times the operators (`aten::addmm`); hooks on all modules tell it where each belongs. FLOPs and bytes
come from passes of their own, in which every operator that is dispatched is seen with its tensors
(`TorchDispatchMode`). What such an operator calls in turn is a part of it, in time as in work. Import this module only
in a worker process.

An operator is named by its module: the class that holds it and its own name there (`OPTAttention.q_proj`), or the class
alone for what is computed in the class's own code. A sum in a layer's own code belongs to the block before it, and says
so: `OPTDecoderLayer after OPTAttention`.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from slm_atlas.engines.values import NodeCost, NodeEvent, PhaseProfile

_MARK = "slm module "
"""What the name of a module's mark in a profile begins with."""
_PASSED_OVER = re.compile(r"norm|dropout|\.ln", re.IGNORECASE)
"""Modules that are no block: a sum after one belongs to the block before it."""
_LOOKED_UP = ("aten::embedding", "aten::index_select", "aten::gather", "aten::index")
"""Operators that read only some rows of what they are given."""
_SHORT = {"float": "f", "bfloat": "bf", "int": "i", "uint": "u"}


class Place(NamedTuple):
    """Where operators are computed."""

    name: str
    """The module's name."""
    layer: int | None
    """Its layer."""


class Operator(NamedTuple):
    """One operator, computed once."""

    op: str
    """Its name: `aten::addmm`."""
    name: str
    """Where it belongs."""
    layer: int | None
    """Its layer."""
    start_us: float
    """When it began, by the profiler's clock."""
    elapsed_us: float
    """How long it took, operators inside it included."""
    own_us: float
    """How long it took without those that are told by themselves."""


class Pass(NamedTuple):
    """One run through the model."""

    seconds: float
    """How long it took, with every operator timed."""
    operators: list[Operator]
    """What was computed."""


class Work(NamedTuple):
    """What the operators of a name do in a pass."""

    dtype: str
    """Type of the first tensor they read."""
    flops: float
    """FLOPs of the matrix products."""
    bytes: float
    """Bytes they read and write."""


Works = dict[tuple[str, str], Work]
"""Work by operator and name."""


class _Frame:
    """A module that runs: its place, and the block in it that ran last."""

    def __init__(self, place: Place) -> None:
        self.place, self.last = place, ""

    def ended(self, child: str) -> None:
        if not _PASSED_OVER.search(child):
            self.last = child

    @property
    def name(self) -> str:
        """The name of what is computed here now."""
        after = self.last and "Layer" in self.place.name
        return f"{self.place.name} after {self.last}" if after else self.place.name


class Watch:
    """A model under observation; see `watching`."""

    def __init__(self) -> None:
        self.frames = [_Frame(Place("outside modules", None))]

    def time(self, run: Callable[[], object], works: Works) -> Pass:
        """Run once, every operator timed.

        Args:
            run: what to run.
            works: what `count` gave for it.
        """
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            start = time.perf_counter()
            run()
            seconds = time.perf_counter() - start
        roots = [event for event in profiler.events() if event.cpu_parent is None]
        main = next((event.thread for event in roots if event.name.startswith(_MARK)), None)
        here = [event for event in roots if event.thread == main]
        return Pass(seconds, list(_operators(here, _Frame(Place("outside modules", None)), works)))

    def count(self, run: Callable[[], object]) -> Works:
        """Run once, and count what every operator does."""
        counter = _Counter(self)
        with counter:
            run()
        return counter.works


@contextmanager
def watching(model: torch.nn.Module) -> Iterator[Watch]:
    """Mark where each module begins and ends, while this lasts."""
    watch, places = Watch(), _places(model)
    marks: list[Any] = []

    def before(module: torch.nn.Module, _: object) -> None:
        place = places[module]
        mark = record_function(f"{_MARK}{'' if place.layer is None else place.layer} {place.name}")
        mark.__enter__()
        marks.append(mark)
        watch.frames.append(_Frame(place))

    def after(module: torch.nn.Module, *_: object) -> None:
        marks.pop().__exit__(None, None, None)
        watch.frames.pop()
        watch.frames[-1].ended(places[module].name)

    handles = [module.register_forward_pre_hook(before) for module in places]
    handles += [module.register_forward_hook(after, always_call=True) for module in places]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()


def _places(model: torch.nn.Module) -> dict[torch.nn.Module, Place]:
    """What each module is called: its class, or for one without modules in it the class around it and its own name."""
    places, around = {}, {"": type(model).__name__}
    for path, module in model.named_modules():
        above, _, own = path.rpartition(".")
        plain = type(module).__module__.startswith("torch.nn")
        leaf = next(module.children(), None) is None
        around[path] = around.get(above, "") if plain and path else type(module).__name__
        layer = next((int(part) for part in path.split(".") if part.isdigit()), None)
        places[module] = Place(f"{around[above]}.{own}" if leaf and path else around[path], layer)
    return places


def _operators(events: Iterable[Any], frame: _Frame, works: Works) -> Iterator[Operator]:
    """The operators among events and in them, each with the place in which it was computed."""
    for event in sorted(events, key=lambda event: event.time_range.start):
        if event.name.startswith(_MARK):
            layer, _, name = event.name.removeprefix(_MARK).partition(" ")
            yield from _operators(event.cpu_children, _Frame(Place(name, int(layer) if layer else None)), works)
            frame.ended(name)
            continue
        whole = (event.name, frame.name) in works
        if event.name.startswith("aten::"):
            start, took = event.time_range.start, event.cpu_time_total
            own = took if whole else event.self_cpu_time_total
            yield Operator(event.name, frame.name, frame.place.layer, start, took, own)
        if not whole:
            yield from _operators(event.cpu_children, frame, works)


# ---- what an operator does ------------------------------------------------------------------------------------------


class _Counter(TorchDispatchMode):  # type: ignore[misc]  # torch is not checked
    """Sees every operator that is dispatched."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.works: Works = {}
        self._watch = watch

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        given = kwargs or {}
        if func._overloadpacket not in flop_registry and func is not torch.ops.prim.device.default:
            with self:
                whole = func.decompose(*args, **given)  # under `inference_mode` operators arrive uncut
            if whole is not NotImplemented:
                return whole
        result = func(*args, **given)
        key = (func._schema.name, self._watch.frames[-1].name)
        found = _work(func, args, given, result)
        known = self.works.get(key)
        added = (found.flops + known.flops, found.bytes + known.bytes) if known else (found.flops, found.bytes)
        self.works[key] = Work((known or found).dtype, *added)
        return result


def _work(func: Any, args: Any, kwargs: Any, result: Any) -> Work:  # noqa: ANN401  (an operator, and what it takes)
    read = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    written = [value for value in tree_leaves(result) if isinstance(value, torch.Tensor)]
    return Work(_dtype(read or written), _flops(func, args, kwargs, result), _moved(func, read, written))


def _flops(func: Any, args: Any, kwargs: Any, result: Any) -> float:  # noqa: ANN401
    if func._schema.name == "aten::_scaled_dot_product_flash_attention_for_cpu":
        return float(sdpa_flop_count(*(value.shape for value in args[:3])))
    formula = flop_registry.get(func._overloadpacket)
    return float(formula(*args, **kwargs, out_val=result)) if formula else 0.0


def _moved(func: Any, read: Sequence[torch.Tensor], written: Sequence[torch.Tensor]) -> float:  # noqa: ANN401
    if func.is_view or (func._schema.name == "aten::_unsafe_view"):
        return 0.0
    if func._schema.name in _LOOKED_UP:
        return float(sum(map(_size, read[1:])) + 2 * sum(map(_size, written)))
    return float(sum(map(_size, read)) + sum(map(_size, written)))


def _size(tensor: torch.Tensor) -> int:
    """Bytes of its elements, a repeated one (stride 0) once."""
    kept = [extent for extent, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    size: int = math.prod(kept) * tensor.element_size()
    return size


def _dtype(tensors: Sequence[torch.Tensor]) -> str:
    """The type of the first tensor, in short: `f32`."""
    if not tensors:
        return ""
    word, _, bits = re.sub(r"(\d+)", r" \1", str(tensors[0].dtype).removeprefix("torch.")).partition(" ")
    return f"{_SHORT.get(word, word)}{bits}"


# ---- many operators together ----------------------------------------------------------------------------------------


def summarize(passes: Sequence[Pass], work: Works, *, events: bool) -> PhaseProfile:
    """The costs of passes.

    Args:
        passes: each with its operators.
        work: what the operators do in one pass.
        events: give the operators of the last pass as well.
    """
    found: dict[tuple[str, str], list[tuple[int, Operator]]] = {}
    for number, one in enumerate(passes):
        for operator in one.operators:
            found.setdefault((operator.op, operator.name), []).append((number, operator))
    return PhaseProfile(
        seconds=tuple(one.seconds for one in passes),
        nodes=tuple(_cost(nodes, work.get(kind, Work("", 0.0, 0.0)), len(passes)) for kind, nodes in found.items()),
        events=tuple(_events(passes[-1])) if events and passes else (),
    )


def _cost(nodes: Sequence[tuple[int, Operator]], work: Work, passes: int) -> NodeCost:
    spent_us = [0.0] * passes
    for number, operator in nodes:
        spent_us[number] += operator.own_us
    return NodeCost(
        op=nodes[0][1].op,
        name=nodes[0][1].name,
        weight="",
        dtype=work.dtype,
        calls=len(nodes),
        flops=work.flops * passes,
        bytes=work.bytes * passes,
        seconds=tuple(spent / 1e6 for spent in spent_us),
    )


def _events(last: Pass) -> Iterator[NodeEvent]:
    first = min((operator.start_us for operator in last.operators), default=0.0)
    for operator in last.operators:
        yield NodeEvent(
            op=operator.op,
            name=operator.name,
            weight="",
            layer=operator.layer,
            start_s=(operator.start_us - first) / 1e6,
            elapsed_s=operator.elapsed_us / 1e6,
        )
