"""Results as a table: a line a model, its numbers with their intervals, and why runs failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from slm_atlas.cli.output import print_table, say, with_interval
from slm_atlas.cli.sustained_rows import print_sustained
from slm_atlas.insights.differences import differences
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.stats import Estimate
from slm_atlas.units import format_bytes, format_count, format_rate


def print_rows(found: Sequence[Row]) -> None:
    """The results, a model a line: estimates with their intervals; then why runs failed, to stderr."""
    words = ("Model", "Quant", "Settings", "Ended")
    lines = [_cells(row) | {"Settings": settings} for row, settings in zip(found, differences(found), strict=True)]
    columns = [name for name in lines[0] if any(line[name] is not None for line in lines)] if lines else []
    print_table(columns, [[line[name] for name in columns] for line in lines], right=set(columns) - set(words))
    print_memory(found)
    print_sustained(found)
    if any(estimate.low is not None for row in found for estimate in _estimates(row)):
        say("[low, high] are 95 % intervals: of the median over runs for costs, over items for scores.")
    for line in dict.fromkeys(_losses(row) for row in found if row.losses):
        say(line)
    for line in dict.fromkeys(f"{row.name}: {cause}" for row in found for cause in _causes(row)):
        say(line)


def _losses(row: Row) -> str:
    return f"{row.name} {row.quantization} was requantized: its weights have the losses of {' and '.join(row.losses)}."


MEMORY = {
    "model_bytes": "Weights",
    "repacked_bytes": "of it repacked",
    "kv_bytes": "KV cache",
    "compute_bytes": "Compute buffer",
    "output_bytes": "Output buffer",
    "baseline_bytes": "Process before",
    "unaccounted_bytes": "Unaccounted",
    "peak_rss_bytes": "Peak RSS",
}
"""The parts of a process's memory, and what they are called."""


def print_memory(found: Sequence[Row]) -> None:
    """What the memory of each model consists of; nothing where it was not measured.

    Weights, KV cache, buffers, the process before the model and the unaccounted rest sum to the peak.
    """
    measured = [row for row in found if "peak_rss_bytes" in row.metrics]
    if not measured:
        return
    click.echo()
    lines = [[row.name, row.quantization, *(_bytes(row.metrics.get(metric)) for metric in MEMORY)] for row in measured]
    print_table(["Memory of", "Quant", *MEMORY.values()], lines, right=set(MEMORY.values()))


def _estimates(row: Row) -> list[Estimate]:
    return [*row.metrics.values(), *(score.estimate for score in row.scores.values())]


def _causes(row: Row) -> list[str]:
    """Why its runs failed, each cause once, with how often."""
    causes = Counter(f"{failure.outcome}: {failure.cause}" for failure in row.failures)
    return [f"{number} x {cause}" if number > 1 else cause for cause, number in causes.items()]


def _cells(row: Row) -> dict[str, str | None]:
    failed = f" (+{len(row.failures)} failed)" if row.failures else ""
    return {
        "Model": row.name + (" (random weights)" if row.forged else ""),
        "Quant": row.quantization if row.compute is None else f"{row.quantization} in {row.compute}",
        "Params": None if row.params is None else format_count(row.params),
        "Prefill tok/s": _rate(row.metrics.get("prefill_tokens_per_s")),
        "Decode tok/s": _rate(row.metrics.get("decode_tokens_per_s")),
        "Prefill J/tok": _rate(row.metrics.get("prefill_token_j")),
        "Decode J/tok": _rate(row.metrics.get("decode_token_j")),
        "First token": _seconds(row.metrics.get("ttft_s")),
        "Fragments/s": _rate(row.metrics.get("fragments_per_s")),
        "Peak RSS": _bytes(row.metrics.get("peak_rss_bytes")),
        "Runs": f"{row.n_runs}{failed}" if row.n_runs or failed else None,
        "Ended": row.stop.words if row.stop and (row.stop.asked or row.stop.budget_s) else None,
    }


def _rate(estimate: Estimate | None) -> str | None:
    return None if estimate is None else with_interval(estimate, format_rate)


def _seconds(estimate: Estimate | None) -> str | None:
    return None if estimate is None else with_interval(estimate, "{:.3g}".format) + " s"


def _bytes(estimate: Estimate | None) -> str | None:
    return None if estimate is None else format_bytes(estimate.value)


def measured(dataset: Dataset) -> Dataset:
    """Without the runs of the fake engine, whose times are made up, where there are others."""
    real = dataset.real
    if len(real.runs) < len(dataset.runs):
        say(f"{len(dataset.runs) - len(real.runs)} simulated runs (--engine fake) are left out.")
    return real
