"""The breakdown of memory: nothing is counted twice, and the remainder is said."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench.memory import absent, memory_samples, unaccounted_bytes
from slm_atlas.engines import MemoryReport, Reading, Usage

BYTES = st.integers(0, 2**40)
REPORTS = st.builds(
    MemoryReport,
    model_bytes=BYTES,
    repacked_bytes=BYTES,
    kv_bytes=BYTES,
    compute_bytes=BYTES,
    output_bytes=BYTES,
    process_baseline_bytes=BYTES,
    process_peak_bytes=BYTES,
)


@given(REPORTS)
def test_the_parts_and_the_remainder_are_the_peak(report: MemoryReport) -> None:
    found = {sample.metric: sample.value for sample in memory_samples(report)}
    parts = ("model_bytes", "kv_bytes", "compute_bytes", "output_bytes", "baseline_bytes", "unaccounted_bytes")
    assert sum(found[part] for part in parts) == found["peak_rss_bytes"] == report.process_peak_bytes
    assert found["repacked_bytes"] == report.repacked_bytes


def test_weights_never_touched_make_it_negative() -> None:
    report = MemoryReport(
        model_bytes=100, repacked_bytes=60, kv_bytes=0, compute_bytes=0, output_bytes=0,
        process_baseline_bytes=10, process_peak_bytes=70,
    )  # fmt: skip
    assert unaccounted_bytes(report) == -40


READINGS = st.one_of(
    st.builds(Reading, value=st.integers(0, 2**60), reason=st.none()),
    st.builds(Reading, value=st.none(), reason=st.text(min_size=1)),
)


@given(REPORTS, st.fixed_dictionaries(dict.fromkeys(Usage.__struct_fields__, READINGS)))
def test_what_the_system_counts_is_a_sample_or_a_reason(report: MemoryReport, readings: dict[str, Reading]) -> None:
    full = msgspec.structs.replace(report, usage=Usage(**readings))
    found = {sample.metric: sample.value for sample in memory_samples(full)}
    reasons = absent(full)
    for name, reading in readings.items():
        assert found.get(name) == reading.value
        assert reasons.get(name) == reading.reason
