"""The physical gate: impossible numbers are told, possible ones pass."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import (
    BenchSettings,
    Calibration,
    Ceilings,
    Work,
    calibrated,
    impossible,
    measure,
    measure_ceilings,
)
from slm_atlas.bench.calibrate import Extent, calibrate
from slm_atlas.bench.calibration import Figure, Use
from slm_atlas.bench.gate import BANDWIDTH_MARGIN, CALIBRATED_MARGIN, COMPUTE_MARGIN, Level
from slm_atlas.engines import Worker
from slm_atlas.models.header import read_header
from slm_atlas.models.work import decode_bytes, prompt_flops
from slm_atlas.store.records import Sample
from slm_atlas.units import KIB, MIB

RATES = st.floats(1e9, 1e12)
CEILINGS = st.builds(Ceilings, read_bytes_per_s=RATES, flops=RATES)
PROMPT = 50
WORK = st.builds(Work, decode_bytes=st.floats(1e6, 1e11), flops_per_token=st.floats(1e5, 1e12))
SHARES = st.floats(0.01, 0.99)


def samples(prefill_s: float, decode_s: float) -> list[Sample]:
    prefill = [Sample(metric="prefill_s", index=index, value=prefill_s) for index in range(3)]
    return prefill + [Sample(metric="decode_s", index=index, value=decode_s) for index in range(5)]


def least_s(work: Work, ceilings: Ceilings) -> tuple[float, float]:
    """The shortest prefill and decode that pass."""
    return (
        PROMPT * work.flops_per_token / (COMPUTE_MARGIN * ceilings.flops),
        work.decode_bytes / (BANDWIDTH_MARGIN * ceilings.read_bytes_per_s),
    )


@given(WORK, CEILINGS, SHARES, SHARES)
def test_what_the_machine_can_do_passes(work: Work, ceilings: Ceilings, one: float, other: float) -> None:
    prefill_s, decode_s = least_s(work, ceilings)
    assert impossible(samples(prefill_s / one, decode_s / other), work, ceilings, n_prompt=PROMPT) is None


@given(WORK, CEILINGS, SHARES)
def test_decode_faster_than_memory_is_told(work: Work, ceilings: Ceilings, share: float) -> None:
    prefill_s, decode_s = least_s(work, ceilings)
    found = impossible(samples(2 * prefill_s, share * decode_s), work, ceilings, n_prompt=PROMPT)
    assert found is not None
    assert found.startswith("decode would read")


@given(WORK, CEILINGS, SHARES)
def test_prefill_faster_than_arithmetic_is_told(work: Work, ceilings: Ceilings, share: float) -> None:
    prefill_s, decode_s = least_s(work, ceilings)
    found = impossible(samples(share * prefill_s, 2 * decode_s), work, ceilings, n_prompt=PROMPT)
    assert found is not None
    assert found.startswith("prefill would do")


@given(WORK, CEILINGS, st.floats(-1e9, 0), st.booleans())
def test_a_time_that_is_not_positive_is_told(work: Work, ceilings: Ceilings, value: float, prefill: bool) -> None:
    good = least_s(work, ceilings)
    bad = Sample(metric="prefill_s" if prefill else "decode_s", index=9, value=value)
    assert (
        impossible([*samples(2 * good[0], 2 * good[1]), bad], work, ceilings, n_prompt=PROMPT)
        == "a time is not positive"
    )


def test_one_wrong_clock_reading_among_many_passes() -> None:
    work, ceilings = Work(decode_bytes=1e8, flops_per_token=2e7), Ceilings(read_bytes_per_s=1e10, flops=1e11)
    glitch = Sample(metric="decode_s", index=9, value=1e-9)
    assert impossible([*samples(0.1, 0.1), glitch], work, ceilings, n_prompt=PROMPT) is None


def test_nothing_timed_is_nothing_impossible() -> None:
    work, ceilings = Work(decode_bytes=1e8, flops_per_token=2e7), Ceilings(read_bytes_per_s=1e10, flops=1e11)
    assert impossible([Sample(metric="load_s", index=0, value=0.0)], work, ceilings, n_prompt=PROMPT) is None


@pytest.mark.parametrize("threads", [1, 2])
def test_ceilings_are_of_this_machine(threads: int) -> None:
    found = measure_ceilings(threads)
    assert 1e8 < found.read_bytes_per_s < 1e13
    assert 1e8 < found.flops < 1e15


QUICK = Ceilings(read_bytes_per_s=10e9, flops=100e9)


def figure(use: Use, size: int, seconds: float, *, tokens: int = 1) -> Figure:
    return Figure(
        use=use, type="F32", rows=size // 4096, columns=1024, tokens=tokens, threads=2, weight_bytes=size, layout="CPU",
        level=None, best_s=seconds, median_s=seconds, n=3,
    )  # fmt: skip


def calibration(*figures: Figure, calm: bool = True) -> Calibration:
    return Calibration(
        host="h", engine="e", measured_at="2026-01-01T00:00:00+00:00", elapsed_s=1.0, quick=False, caches=(), calm=calm,
        noise=(), refused=(), figures=figures,
    )  # fmt: skip


KNOWN = calibration(
    figure(Use.READ, MIB, MIB / 200e9),
    figure(Use.DECODE, 64 * MIB, 64 * MIB / 20e9),
    figure(Use.PREFILL, MIB, 2 * MIB / 4 * 512 / 400e9, tokens=512),
)


class TestCalibrated:
    def test_without_a_calibration_the_quick_ceilings_hold(self) -> None:
        assert calibrated(QUICK, None) == calibrated(QUICK, calibration()) == QUICK

    def test_the_margins_are_small_and_follow_the_size(self) -> None:
        found = calibrated(QUICK, KNOWN)
        assert found.bandwidth_margin == found.compute_margin == CALIBRATED_MARGIN
        assert found.read_limit(2 * MIB) == pytest.approx(200e9)
        assert found.read_limit(100 * MIB) == pytest.approx(20e9)
        assert found.read_limit(60 * MIB) == pytest.approx(200e9)  # between two levels, the faster holds
        assert found.read_limit(1000 * MIB) == pytest.approx(20e9)
        assert found.flops == pytest.approx(400e9)
        assert found.calibrated_at == KNOWN.measured_at

    def test_a_disturbed_calibration_keeps_the_wide_margins(self) -> None:
        found = calibrated(QUICK, msgspec.structs.replace(KNOWN, calm=False))
        assert (found.bandwidth_margin, found.compute_margin) == (BANDWIDTH_MARGIN, COMPUTE_MARGIN)

    def test_what_is_seen_now_raises_it(self) -> None:
        found = calibrated(Ceilings(read_bytes_per_s=50e9, flops=900e9), KNOWN)
        assert found.read_limit(64 * MIB) == pytest.approx(50e9)
        assert found.read_limit(2 * MIB) == pytest.approx(200e9)
        assert found.flops == pytest.approx(900e9)

    def test_numpys_slower_reading_makes_no_level(self) -> None:
        known = calibration(figure(Use.READ, MIB, MIB / 200e9), figure(Use.READ, 128 * MIB, 128 * MIB / 40e9))
        assert calibrated(QUICK, known).read_limit(100 * MIB) == pytest.approx(200e9)

    def test_sizes_that_are_nearly_alike_are_one_level(self) -> None:
        known = calibration(figure(Use.DECODE, 127 * MIB, 127 * MIB / 90e9), figure(Use.READ, 128 * MIB, 1.0))
        assert calibrated(QUICK, known).read_limit(200 * MIB) == pytest.approx(90e9)

    def test_a_runs_notes_say_what_it_was_checked_against(self) -> None:
        found = calibrated(QUICK, KNOWN)
        noted = found.of(Work(decode_bytes=100 * MIB, flops_per_token=1.0))
        assert (noted.read_bytes_per_s, noted.levels) == (found.read_limit(100 * MIB), ())

    def test_what_only_the_rough_gate_lets_pass_is_refused(self) -> None:
        work = Work(decode_bytes=100 * MIB, flops_per_token=1e9 / PROMPT)
        fast = samples(prefill_s=1.0, decode_s=100 * MIB / 35e9)
        assert impossible(fast, work, QUICK, n_prompt=PROMPT) is None
        assert impossible(fast, work, calibrated(QUICK, KNOWN), n_prompt=PROMPT) == (
            "decode would read 35 GB/s, over 1.5 times the 20 GB/s measured here"
        )
        fast = samples(prefill_s=1e9 / 700e9, decode_s=1.0)
        assert impossible(fast, work, QUICK, n_prompt=PROMPT) is None
        assert impossible(fast, work, calibrated(QUICK, KNOWN), n_prompt=PROMPT) == (
            "prefill would do 700 GFLOP/s, over 1.5 times the 400 measured here"
        )

    @given(st.lists(st.builds(Level, size_bytes=st.integers(1, 2**40), bytes_per_s=RATES), min_size=1), RATES)
    def test_a_larger_working_set_never_has_a_higher_limit(self, levels: list[Level], rate: float) -> None:
        ceilings = Ceilings(read_bytes_per_s=rate, flops=1e9, levels=tuple(levels))
        limits = [ceilings.read_limit(2**power) for power in range(42)]
        assert limits == sorted(limits, reverse=True)

    @pytest.mark.engine
    def test_a_real_run_passes_and_the_same_a_thousand_times_faster_does_not(self, tiny_model: Path) -> None:
        extent = Extent((256 * KIB, MIB), MIB, ((512, 256),), 0.02, (False,))
        settings = BenchSettings(n_prompt=64, n_gen=8, repetitions=2)
        with Worker(deadline_s=60) as worker:
            known = msgspec.structs.replace(calibrate(worker.describe(), extent=extent), calm=True)
            found = measure(worker, str(tiny_model), settings, seed=0)
        header = read_header(tiny_model)
        work = Work(decode_bytes=decode_bytes(header), flops_per_token=64 / PROMPT * prompt_flops(header))
        ceilings = calibrated(QUICK, known)
        assert impossible(found.samples, work, ceilings, n_prompt=PROMPT) is None
        faster = [msgspec.structs.replace(sample, value=sample.value / 1000) for sample in found.samples]
        assert impossible(faster, work, ceilings, n_prompt=PROMPT) is not None
