"""Times one matrix product in llama.cpp's own kernels: what the processor can do, apart from any model.

The graph is built through ggml's public C interface, and the weights are laid out as llama.cpp would lay them out: in
the first of the CPU's buffer types whose kernels take the product (AMX tiles, repacked rows, the file's own layout).
Call this in a worker process only: native code may abort. ggml's library is loaded at the first call.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from slm_atlas.engines.values import Product, ProductReport
from slm_atlas.errors import EngineRefused
from slm_atlas.units import KIB, MIB

# Numbers of `ggml_type` (ggml.h), and the values in a block.
_TYPES = {"F32": 0, "F16": 1, "BF16": 30, "Q8_0": 8, "Q5_0": 6, "Q4_0": 2, "Q4_K": 12, "Q6_K": 14}
TYPES = tuple(_TYPES)
"""Types of weights whose products can be timed."""
PASS_BYTES = 64 * MIB
"""A matrix read in microseconds is read again and again within one timing, until so many bytes have been read."""
MAX_LOOPS = 512
"""Most readings within one timing."""
MIN_REPETITIONS = 3
"""Timings of a product, whatever its time budget."""
MAX_REPETITIONS = 100
"""Enough for a best and a median."""
_PATTERN_VALUES = 1 << 20
"""Random values that are quantized; the matrix repeats them, since values do not change how long a product takes."""
_F32 = _CPU_DEVICE = _SUCCESS = 0
_CONTEXT_BYTES = 16 * KIB


class _Init(ctypes.Structure):
    _fields_ = [("mem_size", ctypes.c_size_t), ("mem_buffer", ctypes.c_void_p), ("no_alloc", ctypes.c_bool)]


class _Device(NamedTuple):
    """The processor, as ggml knows it."""

    ggml: Any
    handle: Any
    backend: Any
    buffer_types: list[Any]
    """Those with faster layouts first, as llama.cpp asks them."""
    set_threads: Any


class _Graph(NamedTuple):
    """A product that is ready to be computed."""

    handle: Any
    weights: Any
    values: Any
    layout: str
    loops: int


def multiply(product: Product) -> ProductReport:
    """Time a product at each of its numbers of threads.

    Raises:
        EngineRefused: the type is not known, a row does not divide into blocks, or there is not enough memory.
    """
    device = _device()
    with ExitStack() as stack:
        graph = _graph(device, product, stack)
        _fill(device.ggml, graph, product)
        seconds = tuple(tuple(_time(device, graph, threads, product.budget_s)) for threads in product.threads)
        return ProductReport(weight_bytes=device.ggml.ggml_nbytes(graph.weights), layout=graph.layout, seconds=seconds)


def _time(device: _Device, graph: _Graph, threads: int, budget_s: float) -> Iterator[float]:
    """Seconds of one product, again and again; the first time is not counted."""
    device.set_threads(device.backend, threads)
    begin, count = time.perf_counter(), -1
    while count < MIN_REPETITIONS or (time.perf_counter() - begin < budget_s and count < MAX_REPETITIONS):
        start = time.perf_counter()
        status = device.ggml.ggml_backend_graph_compute(device.backend, graph.handle)
        elapsed = time.perf_counter() - start
        if status != _SUCCESS:
            raise EngineRefused(f"ggml_backend_graph_compute returned {status}")
        if count >= 0:
            yield elapsed / graph.loops
        count += 1


def _graph(device: _Device, product: Product, stack: ExitStack) -> _Graph:
    """The graph of a product, allocated in the first layout that has kernels for it; the stack frees it."""
    number = _TYPES.get(product.type)
    if number is None:
        raise EngineRefused(f"no type '{product.type}' (one of {', '.join(TYPES)})")
    if product.columns % device.ggml.ggml_blck_size(number):
        raise EngineRefused(f"rows of {product.columns} do not divide into blocks of {product.type}")
    for buffer_type in device.buffer_types:
        with ExitStack() as attempt:
            graph = _laid_out(device, product, number, buffer_type, attempt)
            if graph is not None:
                stack.enter_context(attempt.pop_all())
                return graph
    raise EngineRefused(f"the engine has no product of {product.type}")


def _laid_out(device: _Device, product: Product, number: int, buffer_type: Any, stack: ExitStack) -> _Graph | None:  # noqa: ANN401
    """The graph with its weights in a buffer type; None where that has no kernel for it."""
    ggml = device.ggml
    holder = stack.enter_context(_context(ggml, _CONTEXT_BYTES))
    weights = ggml.ggml_new_tensor_2d(holder, number, product.columns, product.rows)
    loops = min(MAX_LOOPS, max(1, PASS_BYTES // ggml.ggml_nbytes(weights))) if product.tokens == 1 else 1
    nodes = 2 * loops + 8
    room = nodes * ggml.ggml_tensor_overhead() + ggml.ggml_graph_overhead_custom(nodes, False) + _CONTEXT_BYTES
    context = stack.enter_context(_context(ggml, room))
    stack.enter_context(_allocated(ggml, holder, buffer_type))
    values = ggml.ggml_new_tensor_2d(context, _F32, product.columns, product.tokens)
    results = [ggml.ggml_mul_mat(context, weights, values) for _ in range(loops)]
    if not ggml.ggml_backend_dev_supports_op(device.handle, results[0]):
        return None
    handle = ggml.ggml_new_graph_custom(context, nodes, False)
    for result in results:
        ggml.ggml_build_forward_expand(handle, result)
    stack.enter_context(_allocated(ggml, context, device.buffer_types[-1]))
    return _Graph(handle, weights, values, ggml.ggml_backend_buft_name(buffer_type).decode(), loops)


@contextmanager
def _context(ggml: Any, size: int) -> Iterator[Any]:  # noqa: ANN401
    handle = ggml.ggml_init(_Init(size, None, True))
    try:
        yield handle
    finally:
        ggml.ggml_free(handle)


@contextmanager
def _allocated(ggml: Any, context: Any, buffer_type: Any) -> Iterator[None]:  # noqa: ANN401
    buffer = ggml.ggml_backend_alloc_ctx_tensors_from_buft(context, buffer_type)
    if not buffer:
        raise EngineRefused("not enough memory for the matrices")
    try:
        yield
    finally:
        ggml.ggml_backend_buffer_free(buffer)


def _fill(ggml: Any, graph: _Graph, product: Product) -> None:  # noqa: ANN401
    """Random weights, quantized as the engine would, and random values."""
    rng = np.random.default_rng(0)
    rows = max(1, min(product.rows, _PATTERN_VALUES // product.columns))
    source = rng.standard_normal((rows, product.columns), dtype=np.float32)
    pattern = np.empty(source.nbytes, np.uint8)
    kind = _TYPES[product.type]
    size = ggml.ggml_quantize_chunk(kind, source.ctypes.data, pattern.ctypes.data, 0, rows, product.columns, None)
    total = ggml.ggml_nbytes(graph.weights)
    # Whole, since a layout may rearrange all of it.
    weights = np.resize(pattern[:size], total)
    ggml.ggml_backend_tensor_set(graph.weights, weights.ctypes.data, 0, total)
    values = rng.standard_normal((product.tokens, product.columns), dtype=np.float32)
    ggml.ggml_backend_tensor_set(graph.values, values.ctypes.data, 0, values.nbytes)


@cache
def _device() -> _Device:
    """The processor; asks ggml's registry, since the library of the processor's backend has no fixed name."""
    ggml = _library()
    handle = ggml.ggml_backend_dev_by_type(_CPU_DEVICE)
    backend = ggml.ggml_backend_dev_init(handle, None)
    if not backend:
        raise EngineRefused("ggml has no backend for the processor")
    registry = ggml.ggml_backend_dev_backend_reg(handle)
    pointer = ctypes.c_void_p
    ask_extra = ggml.ggml_backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
    set_threads = ggml.ggml_backend_reg_get_proc_address(registry, b"ggml_backend_set_n_threads")
    extra = ctypes.CFUNCTYPE(ctypes.POINTER(pointer), pointer)(ask_extra)(handle) if ask_extra else None
    buffer_types = list(_until_null(extra)) if extra else []
    return _Device(
        ggml=ggml,
        handle=handle,
        backend=backend,
        buffer_types=[*buffer_types, ggml.ggml_backend_dev_buffer_type(handle)],
        set_threads=ctypes.CFUNCTYPE(None, pointer, ctypes.c_int)(set_threads),
    )


def _until_null(array: Any) -> Iterator[Any]:  # noqa: ANN401
    index = 0
    while array[index]:
        yield array[index]
        index += 1


def _library() -> Any:  # noqa: ANN401
    """ggml, its functions declared: without their types, pointers would be cut to 32 bits."""
    import llama_cpp.llama_cpp as llama
    from llama_cpp._ggml import libggml

    llama.llama_backend_init()
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments
    return libggml


_POINTER, _SIZE, _INT, _INT64, _BOOL = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int64, ctypes.c_bool,
)  # fmt: skip
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "ggml_init": (_POINTER, _Init),
    "ggml_free": (None, _POINTER),
    "ggml_tensor_overhead": (_SIZE,),
    "ggml_graph_overhead_custom": (_SIZE, _SIZE, _BOOL),
    "ggml_blck_size": (_INT64, _INT),
    "ggml_nbytes": (_SIZE, _POINTER),
    "ggml_new_tensor_2d": (_POINTER, _POINTER, _INT, _INT64, _INT64),
    "ggml_mul_mat": (_POINTER, _POINTER, _POINTER, _POINTER),
    "ggml_new_graph_custom": (_POINTER, _POINTER, _SIZE, _BOOL),
    "ggml_build_forward_expand": (None, _POINTER, _POINTER),
    "ggml_quantize_chunk": (_SIZE, _INT, _POINTER, _POINTER, _INT64, _INT64, _INT64, _POINTER),
    "ggml_backend_tensor_set": (None, _POINTER, _POINTER, _SIZE, _SIZE),
    "ggml_backend_graph_compute": (_INT, _POINTER, _POINTER),
    "ggml_backend_alloc_ctx_tensors_from_buft": (_POINTER, _POINTER, _POINTER),
    "ggml_backend_buffer_free": (None, _POINTER),
    "ggml_backend_buft_name": (ctypes.c_char_p, _POINTER),
    "ggml_backend_dev_by_type": (_POINTER, _INT),
    "ggml_backend_dev_init": (_POINTER, _POINTER, ctypes.c_char_p),
    "ggml_backend_dev_backend_reg": (_POINTER, _POINTER),
    "ggml_backend_dev_buffer_type": (_POINTER, _POINTER),
    "ggml_backend_dev_supports_op": (_BOOL, _POINTER, _POINTER),
    "ggml_backend_reg_get_proc_address": (_POINTER, _POINTER, ctypes.c_char_p),
}
