"""Calibration: which products are measured, what becomes of an engine that dies, and what is kept."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import Calibration, keep_calibration, merged, read_calibration
from slm_atlas.bench.caches import Cache
from slm_atlas.bench.calibrate import FULL, QUICK, TYPES, Extent, calibrate, plan, thread_counts
from slm_atlas.bench.calibration import Figure, Use, better, calibration_path
from slm_atlas.engines import Engine, Product, ProductReport, Worker
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineCrashed, EngineRefused
from slm_atlas.units import GIB, KIB, MIB

TINY = Extent((16 * KIB, 64 * KIB), 16 * KIB, ((64, 256),), 0.001, (False,))
L3 = (Cache(level=3, size_bytes=32 * MIB, shared_by=2),)
SECONDS = st.floats(1e-9, 10.0)


def figure(best_s: float = 1.0, **changes: object) -> Figure:
    base = Figure(
        use=Use.DECODE, type="Q4_0", rows=64, columns=32, tokens=1, threads=2, weight_bytes=1152, layout="CPU",
        level="L2", best_s=best_s, median_s=2 * best_s, n=3,
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def calibration(*figures: Figure, quick: bool = False, calm: bool = True) -> Calibration:
    return Calibration(
        host="0f" * 6, engine="fake | 1 | x", measured_at="2026-01-01T00:00:00+00:00", elapsed_s=1.0, quick=quick,
        caches=L3, calm=calm, noise=(), refused=(), figures=figures,
    )  # fmt: skip


class Fragile(Fake):
    """Refuses one type, dies of another, and counts its lives."""

    lives = 0

    def __init__(self) -> None:
        super().__init__()
        Fragile.lives += 1

    def multiply(self, product: Product) -> ProductReport:
        if product.type == "Q5_0":
            raise EngineRefused("no kernel")
        if product.type == "Q6_K":
            raise EngineCrashed("the engine aborted (SIGABRT)")
        return super().multiply(product)


class TestPlan:
    def test_reading_is_measured_at_every_size_and_number_of_threads(self) -> None:
        reads = [step.product for step in plan(FULL, 6, L3, 32 * GIB) if step.use is Use.READ]
        assert [product.rows * product.columns * 4 for product in reads] == [MIB, 16 * MIB, 64 * MIB, 128 * MIB]
        assert {product.threads for product in reads} == {(1, 2, 4, 6)}

    def test_a_quick_one_reads_nothing_large(self) -> None:
        reads = [step.product for step in plan(QUICK, 2, L3, 32 * GIB) if step.use is Use.READ]
        assert max(4 * product.rows * product.columns for product in reads) == 64 * MIB

    def test_every_type_is_multiplied_in_every_shape(self) -> None:
        prefills = [step.product for step in plan(FULL, 2, L3, 32 * GIB) if step.use is Use.PREFILL]
        assert {(product.type, product.rows, product.columns) for product in prefills} == {
            (name, *shape) for name in TYPES for shape in FULL.shapes
        }

    @given(st.integers(GIB // 2, 2**38), st.integers(1, 256))
    def test_no_matrix_takes_more_than_an_eighth_of_the_memory(self, available: int, cores: int) -> None:
        large = (Cache(level=3, size_bytes=480 * MIB, shared_by=2),)
        for step in plan(FULL, cores, large, available):
            if step.use is Use.READ:
                assert step.product.rows * step.product.columns * 4 <= available / 8

    @given(st.integers(1, 512))
    def test_one_thread_and_all_cores_are_among_the_numbers_of_threads(self, cores: int) -> None:
        counts = thread_counts(cores)
        assert counts[0] == 1
        assert counts[-1] == cores
        assert list(counts) == sorted(set(counts))


class TestCalibrate:
    def test_figures_are_the_engines(self) -> None:
        told: list[tuple[int, int]] = []
        found = calibrate(
            Fake().describe(), extent=TINY, start=lambda _: Fake(), listen=lambda done, of: told.append((done, of))
        )
        assert not found.refused
        assert {item.type for item in found.figures if item.use is Use.PREFILL} == set(TYPES)
        assert all(item.stability == pytest.approx(0.5) for item in found.figures)
        assert told[0] == (0, len(told))

    def test_an_engine_that_dies_is_started_again_and_one_that_refuses_is_not(self) -> None:
        Fragile.lives = 0
        found = calibrate(Fake().describe(), extent=TINY, start=lambda _: Fragile())
        assert Fragile.lives == 1 + 2  # Q6_K in decode and in prefill
        assert {item.type for item in found.figures} == set(TYPES) - {"Q5_0", "Q6_K"}
        assert len(found.refused) == 4
        assert "decode Q6_K (64 x 2048, 1 tokens): the engine aborted (SIGABRT)" in found.refused

    def test_of_rounds_the_better_counts(self) -> None:
        class Slow(Fake):
            def multiply(self, product: Product) -> ProductReport:
                found = super().multiply(product)
                slower = tuple(tuple(9 * time for time in times) for times in found.seconds)
                return msgspec.structs.replace(found, seconds=slower)

        def start(spin: bool) -> Engine:
            return Slow() if spin else Fake()

        both = calibrate(Fake().describe(), extent=TINY._replace(spins=(True, False)), start=start)
        fast = calibrate(Fake().describe(), extent=TINY, start=start)
        assert both.figures == fast.figures

    @pytest.mark.engine
    def test_the_real_engine_gives_positive_finite_figures(self) -> None:
        with Worker() as worker:
            info = worker.describe()
        found = calibrate(info, extent=TINY)
        assert not found.refused
        assert {item.use for item in found.figures} == set(Use)
        for item in found.figures:
            for value in (item.best_s, item.bytes_per_s, item.flops, item.stability):
                assert value > 0
                assert math.isfinite(value)
            assert item.stability <= 1


class TestMerging:
    @given(st.lists(SECONDS, min_size=1, max_size=5))
    def test_of_the_same_product_the_shortest_time_is_kept(self, times: list[float]) -> None:
        (kept,) = better([figure(time) for time in times])
        assert kept.best_s == min(times)

    def test_other_products_are_kept_beside(self) -> None:
        old, new = calibration(figure(), figure(threads=1)), calibration(figure(0.5), figure(type="F16"))
        assert merged(old, new).figures == (figure(0.5), figure(type="F16"), figure(threads=1))
        assert merged(None, new) is new

    @pytest.mark.parametrize(
        ("old_quick", "old_calm", "new_quick", "new_calm", "quick", "calm"),
        [
            (False, True, False, False, False, True),  # a disturbed one on top takes nothing away
            (True, False, False, True, False, True),
            (True, True, False, False, False, False),  # the full figures were never measured undisturbed
            (False, True, True, False, False, True),
            (True, True, True, False, True, True),
        ],
    )
    def test_quick_and_calm(
        self, old_quick: bool, old_calm: bool, new_quick: bool, new_calm: bool, quick: bool, calm: bool
    ) -> None:
        found = merged(calibration(quick=old_quick, calm=old_calm), calibration(quick=new_quick, calm=new_calm))
        assert (found.quick, found.calm) == (quick, calm)


class TestKeeping:
    def test_what_is_kept_is_read_again(self) -> None:
        found = calibration(figure())
        path = keep_calibration(found)
        assert read_calibration(found.host, found.engine) == found
        assert [other.name for other in path.parent.iterdir()] == [path.name]

    def test_another_machine_or_build_has_its_own(self) -> None:
        keep_calibration(calibration())
        assert read_calibration("another", "fake | 1 | x") is None
        assert read_calibration("0f" * 6, "fake | 2 | x") is None

    @pytest.mark.parametrize("content", [b"", b"{", b'{"host": 3}', b"\xff"])
    def test_a_damaged_file_is_no_calibration(self, content: bytes) -> None:
        found = calibration()
        path: Path = calibration_path(found.host, found.engine)
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        assert read_calibration(found.host, found.engine) is None
        keep_calibration(found)
        assert read_calibration(found.host, found.engine) == found
