"""The physical gate: impossible numbers are told, possible ones pass."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import Ceilings, Work, impossible, measure_ceilings
from slm_atlas.bench.gate import BANDWIDTH_MARGIN, COMPUTE_MARGIN
from slm_atlas.store.records import Sample

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
