"""The report in one screen: what was measured, where and when, what each real model did, and who leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slm_atlas import units
from slm_atlas.insights.domains import domains
from slm_atlas.insights.frame import Dataset, Row
from slm_atlas.report.figures import labels
from slm_atlas.report.tables import Format, failed_runs, interval
from slm_atlas.stats import Estimate

HEADLINES = 6
"""How many real models the overview tells of."""


class Fact(NamedTuple):
    """A line of the summary."""

    label: str
    """What it is about."""
    value: str
    """What was found."""


class Headline(NamedTuple):
    """A real model in a line."""

    name: str
    """Its file."""
    text: str
    """What it costs and can do."""


def summary(dataset: Dataset, rows: Sequence[Row]) -> list[Fact]:
    """The report in a few lines."""
    if not dataset.runs:
        return []
    files = {run.artifact: dataset.artifacts[run.artifact].forged for run in dataset.runs}
    failed = len(failed_runs(dataset))
    facts = [
        Fact("Measured on", "; ".join(_machines(dataset))),
        Fact("When (UTC)", _when(dataset)),
        Fact("Model files", f"{len(files)} ({sum(files.values())} forged, with random weights)"),
        Fact("Runs", f"{len(dataset.runs):,} ({failed or 'none'} failed)"),
        _best("Fastest prefill", rows, "prefill_tokens_per_s", units.format_rate, most=True),
        _best("Fastest decode", rows, "decode_tokens_per_s", units.format_rate, most=True),
        _best("Smallest peak memory", rows, "peak_rss_bytes", units.format_bytes, most=False),
    ]
    return [fact for fact in facts if fact is not None]


def headlines(rows: Sequence[Row]) -> list[Headline]:
    """The real models in a line each, the most measured first; there may be more of them."""
    real = [row for row in rows if not row.forged]
    real.sort(key=lambda row: (-_items(row), -row.n_runs))
    files = list({row.artifact: row for row in reversed(real)}.values())[::-1]
    return [Headline(label, "; ".join(_told(row))) for row, label in zip(files, labels(files), strict=True)][:HEADLINES]


def _items(row: Row) -> int:
    """How many items it answered."""
    return sum(score.estimate.n for score in row.scores.values())


def _told(row: Row) -> list[str]:
    metrics = row.metrics
    told = [
        f"{units.format_rate(metrics[f'{phase}_tokens_per_s'].value)} tok/s {phase}"
        for phase in ("decode", "prefill")
        if f"{phase}_tokens_per_s" in metrics
    ]
    told += [units.format_bytes(metrics["peak_rss_bytes"].value)] if "peak_rss_bytes" in metrics else []
    return told + _scored(row)


def _scored(row: Row) -> list[str]:
    """Scores by the survey's domains, and of tasks that are in none as they are; with no domain, all tasks."""
    found = domains(row.scores)
    inside = {task for domain in found for task in domain.tasks}
    whole = [f"{each.name} {each.estimate.value:.0%} ({units.counted(len(each.tasks), 'tasks')})" for each in found]
    others = [(task, score) for task, score in sorted(row.scores.items()) if task not in inside and score.is_share]
    few = [(task, score) for task, score in others if not found or not score.comparable]
    return whole + [f"{task.replace('_', ' ')} {score.estimate.value:.0%}" for task, score in few]


def _machines(dataset: Dataset) -> list[str]:
    used = dict.fromkeys(run.host for run in dataset.runs)
    hosts = [dataset.hosts[id_] for id_ in used]
    return [f"{host.cpu}, {host.cores} cores, {units.format_bytes(host.memory_bytes)}" for host in hosts]


def _when(dataset: Dataset) -> str:
    days = sorted(run.started_at[:10] for run in dataset.runs)
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"


def _best(label: str, rows: Sequence[Row], metric: str, shown: Format, *, most: bool) -> Fact | None:
    """The row that leads, and how many cannot be told apart from it: their intervals meet."""
    measured = [
        (row.metrics[metric], name) for row, name in zip(rows, labels(rows), strict=True) if metric in row.metrics
    ]
    if not measured:
        return None
    # A single run has no interval: it could lead by chance, and be told apart from nothing.
    measured = [pair for pair in measured if pair[0].low is not None] or measured
    estimate, name = (max if most else min)(measured, key=lambda pair: pair[0].value)
    others = [other for found, other in measured if other != name and _meet(found, estimate)]
    more = f" and {len(others) - 2} more" if len(others) > 2 else ""
    tied = f"; not told apart from {', '.join(others[:2])}{more}" if others else ""
    unit = " tok/s" if metric.endswith("_per_s") else ""
    return Fact(label, f"{name}, {shown(estimate.value)}{unit} ({interval(estimate, shown)}){tied}")


def _meet(one: Estimate, other: Estimate) -> bool:
    """Whether two estimates can be of one value; without intervals nobody knows."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return True
    return one.low <= other.high and other.low <= one.high
