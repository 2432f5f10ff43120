"""Measures what this machine can do at best: reading by threads and size, products by type and shape.

All of it is done by the engine's own kernels (`engines/kernels.py`), in rounds, each a fresh process. Threads of the
first round wait for each other in a busy loop, as in a cost run; those of the second sleep, which loses less where
other programs run. Of the rounds, the better counts: a ceiling is what was reached once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import gguf

from slm_atlas.bench.caches import Cache, caches, level_of
from slm_atlas.bench.calibration import Calibration, Figure, Use, better
from slm_atlas.bench.disturbing import noise
from slm_atlas.bench.host import describe_host, host_state
from slm_atlas.engines import Engine, EngineInfo, Product, ProductReport, Worker
from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import EngineError, EngineRefused
from slm_atlas.units import GIB, MIB

TYPES = ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_0", "Q4_K", "Q4_0")
"""Types of weights in the files that people run."""
PREFILL_TOKENS = 512
"""A whole micro-batch, as llama.cpp computes at most at once."""
MAX_MEMORY_SET_BYTES = GIB
"""Filling a matrix takes longer than reading it: a working set beyond the caches is no larger than this."""
DEADLINE_S = 120.0
"""Longest single product, filling its matrix included."""
_READ_COLUMNS, _DECODE_COLUMNS, _ROWS_STEP = 4096, 2048, 64


class Extent(NamedTuple):
    """How much is measured."""

    read_bytes: tuple[int, ...]
    """Working sets that are read."""
    decode_bytes: int
    """The matrix of a token, of each type."""
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of a prompt's matrices."""
    budget_s: float
    """Seconds for each figure."""
    spins: tuple[bool, ...]
    """A round each: whether threads wait in a busy loop."""


FULL = Extent((MIB, 16 * MIB, 128 * MIB), 128 * MIB, ((1024, 1024), (2048, 2048), (8192, 2048)), 0.4, (True, False))
"""About a minute on two cores; a working set beyond the caches is added."""
QUICK = Extent((MIB, 16 * MIB, 64 * MIB), 32 * MIB, ((2048, 2048),), 0.1, (True,))
"""Some seconds."""


class Step(NamedTuple):
    """A product to measure."""

    use: Use
    """What it stands for."""
    product: Product
    """The product, at one or more numbers of threads."""


Start = Callable[[bool], Engine]
"""Starts an engine in a fresh process, told whether its threads spin."""
Listener = Callable[[int, int], None]
"""Is told how many products of how many are done."""


def calibrate(
    info: EngineInfo, *, extent: Extent = FULL, start: Start | None = None, listen: Listener = lambda _done, _of: None
) -> Calibration:
    """Measure this machine.

    Args:
        info: the engine, as it describes itself.
        extent: how much is measured.
        start: how an engine is started; a worker unless told.
        listen: is told how far it is; may draw, since no clock runs then.

    Raises:
        EngineError: the engine does not even start.
    """
    before, clock = host_state(), time.perf_counter()
    found = caches()
    todo = plan(extent, usable_cores(), found, before.available_bytes)
    rounds = _Rounds(start or _starter(info.name), found, lambda done: listen(done, len(extent.spins) * len(todo)))
    for spin in extent.spins:
        rounds.run(todo, spin)
    doubts = tuple(noise(before, host_state()))
    return Calibration(
        host=describe_host().id,
        engine=info.text,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
        elapsed_s=time.perf_counter() - clock,
        quick=extent.budget_s < FULL.budget_s,
        caches=found,
        calm=not doubts,
        noise=doubts,
        refused=tuple(dict.fromkeys(rounds.refused)),
        figures=better(rounds.figures),
    )


def plan(extent: Extent, cores: int, found: Sequence[Cache], available_bytes: int) -> list[Step]:
    """The products to measure; none needs more than an eighth of the memory that is available."""
    room = available_bytes // 8
    sets = [*extent.read_bytes, *([_beyond(found)] if found and extent is FULL else [])]
    budget = extent.budget_s
    steps = []
    for size in sorted({min(size, room) for size in sets}):
        rows = max(1, size // (4 * _READ_COLUMNS))
        steps.append(Step(Use.READ, _product("F32", rows, _READ_COLUMNS, 1, thread_counts(cores), budget)))
    for name in TYPES:
        rows = _rows(name, min(extent.decode_bytes, room))
        steps.append(Step(Use.DECODE, _product(name, rows, _DECODE_COLUMNS, 1, (cores,), budget)))
        for shape in extent.shapes:
            steps.append(Step(Use.PREFILL, _product(name, *shape, PREFILL_TOKENS, (cores,), budget)))
    return steps


def thread_counts(cores: int) -> tuple[int, ...]:
    """Numbers of threads to read with: powers of two, and all cores.

    >>> thread_counts(1), thread_counts(6)
    ((1,), (1, 2, 4, 6))
    """
    return tuple(sorted({2**power for power in range(cores.bit_length())} | {cores}))


def _beyond(found: Sequence[Cache]) -> int:
    """A working set of twice the last level, so that most of it must come from memory."""
    return min(2 * found[-1].size_bytes, MAX_MEMORY_SET_BYTES)


def _rows(name: str, size: int) -> int:
    """Rows of a matrix of about so many bytes; whole tiles of every kernel."""
    values, block = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    row_bytes = _DECODE_COLUMNS // int(values) * int(block)
    return max(1, size // row_bytes // _ROWS_STEP) * _ROWS_STEP


def _product(name: str, rows: int, columns: int, tokens: int, threads: tuple[int, ...], budget_s: float) -> Product:
    return Product(type=name, rows=rows, columns=columns, tokens=tokens, threads=threads, budget_s=budget_s)


def _starter(engine: str) -> Start:
    return lambda spin: Worker(engine, deadline_s=DEADLINE_S, spin=spin)


class _Rounds:
    """Runs products, and collects what they gave; an engine that dies of one is started again for the next."""

    def __init__(self, start: Start, found: Sequence[Cache], listen: Callable[[int], None]) -> None:
        self.figures: list[Figure] = []
        self.refused: list[str] = []
        self._start, self._caches, self._listen = start, found, listen
        self._done = 0

    def run(self, steps: Sequence[Step], spin: bool) -> None:
        """Measure all products once."""
        todo = list(steps)
        while todo:
            with self._start(spin) as engine:
                while todo and self._measured(engine, todo.pop(0)):
                    pass

    def _measured(self, engine: Engine, step: Step) -> bool:
        """Measure a product; whether the engine still lives."""
        self._listen(self._done)
        self._done += 1
        try:
            self.figures += _figures(step, engine.multiply(step.product), self._caches)
        except EngineError as error:
            product = step.product
            shape = f"{product.rows} x {product.columns}, {product.tokens} tokens"
            self.refused.append(f"{step.use} {product.type} ({shape}): {error.cause}")
            return isinstance(error, EngineRefused)
        return True


def _figures(step: Step, report: ProductReport, found: Sequence[Cache]) -> Iterator[Figure]:
    product = step.product
    for threads, seconds in zip(product.threads, report.seconds, strict=True):
        yield Figure(
            use=step.use,
            type=product.type,
            rows=product.rows,
            columns=product.columns,
            tokens=product.tokens,
            threads=threads,
            weight_bytes=report.weight_bytes,
            layout=report.layout,
            level=level_of(report.weight_bytes, threads, found),
            best_s=min(seconds),
            median_s=statistics.median(seconds),
            n=len(seconds),
        )
