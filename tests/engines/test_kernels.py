"""Matrix products in the engine's own kernels: positive times, and a refusal for what has no kernel."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from slm_atlas.engines import Product, Worker
from slm_atlas.engines.fake import FLOPS, Fake
from slm_atlas.errors import EngineRefused

# The module itself is not imported here: the native library is loaded in workers only.
TYPES = ("F32", "F16", "BF16", "Q8_0", "Q5_0", "Q4_0", "Q4_K", "Q6_K")


def product(name: str, rows: int = 64, columns: int = 256, tokens: int = 1, threads: tuple[int, ...] = (1,)) -> Product:
    return Product(type=name, rows=rows, columns=columns, tokens=tokens, threads=threads, budget_s=0.001)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(deadline_s=60) as worker:
        yield worker


@pytest.mark.engine
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("tokens", [1, 33])
def test_every_type_has_times_in_decode_and_prefill(worker: Worker, name: str, tokens: int) -> None:
    found = worker.multiply(product(name, tokens=tokens, threads=(1, 2)))
    assert len(found.seconds) == 2
    assert all(len(times) >= 3 for times in found.seconds)
    assert all(time > 0 and math.isfinite(time) for times in found.seconds for time in times)
    assert found.layout


@pytest.mark.engine
def test_bytes_are_those_of_the_file(worker: Worker) -> None:
    assert worker.multiply(product("F32")).weight_bytes == 64 * 256 * 4
    assert worker.multiply(product("Q4_K")).weight_bytes == 64 * 144


@pytest.mark.engine
@pytest.mark.parametrize("rows", [1, 3, 31])
def test_odd_shapes_are_computed(worker: Worker, rows: int) -> None:
    assert worker.multiply(product("Q4_0", rows=rows, columns=32, tokens=3)).seconds[0]


@pytest.mark.engine
@pytest.mark.parametrize(("name", "columns", "cause"), [("Q4_K", 100, "do not divide"), ("X9", 256, "no type 'X9'")])
def test_what_has_no_kernel_is_refused_and_the_engine_lives(
    worker: Worker, name: str, columns: int, cause: str
) -> None:
    with pytest.raises(EngineRefused, match=cause):
        worker.multiply(product(name, columns=columns))
    assert worker.multiply(product("F16")).seconds


def test_the_fake_engine_computes_at_a_fixed_rate() -> None:
    found = Fake().multiply(product("Q4_0", tokens=100, threads=(1, 2)))
    one, two = (min(times) for times in found.seconds)
    assert one == pytest.approx(2 * 64 * 256 * 100 / FLOPS)
    assert two == pytest.approx(one / 2)
