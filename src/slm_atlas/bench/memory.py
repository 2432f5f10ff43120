"""The memory of a run: what the engine says it allocated beside what the operating system says the process held.

The system also counts page faults and context switches, which tell whether weights came from a disk and whether cores
were taken away. A number it does not give is absent from the samples, and the reason stands in the run's notes.
"""

from __future__ import annotations

from slm_atlas.engines import MemoryReport, Reading, Usage
from slm_atlas.store.records import Sample


def memory_samples(report: MemoryReport) -> list[Sample]:
    """The breakdown, in bytes; the remainder is a number of its own.

    `unaccounted_bytes` is the peak less the process before the model and all that the engine reports. It is negative
    where mapped weights were never touched: a repacked weight is read once from the file, whose page may be dropped.
    What an engine does not say (`MemoryReport.absent` has the reason) is no sample, and part of the remainder.
    """
    parts = {
        "model_bytes": report.model_bytes,
        "repacked_bytes": report.repacked_bytes,
        "kv_bytes": report.kv_bytes,
        "compute_bytes": report.compute_bytes,
        "output_bytes": report.output_bytes,
        "baseline_bytes": report.process_baseline_bytes,
        "peak_rss_bytes": report.process_peak_bytes,
        "unaccounted_bytes": unaccounted_bytes(report),
    }
    counted = {name: reading.value for name, reading in _readings(report) if reading.value is not None}
    return [Sample(metric=name, index=0, value=value) for name, value in (parts | counted).items() if value is not None]


def absent(report: MemoryReport) -> dict[str, str]:
    """The numbers the system did not give, each with the reason."""
    return {name: str(reading.reason) for name, reading in _readings(report) if reading.value is None}


def _readings(report: MemoryReport) -> list[tuple[str, Reading]]:
    return [(name, getattr(report.usage, name)) for name in Usage.__struct_fields__]


def unaccounted_bytes(report: MemoryReport) -> int:
    """Peak resident set less everything known."""
    return report.process_peak_bytes - report.process_baseline_bytes - report.known_bytes
