"""The numbers as a reader sees them: cells with intervals, the machine, the failures, where each file came from."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from slm_atlas import units
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, Row, failure
from slm_atlas.insights.profiles import Breakdown, Profile
from slm_atlas.report.figures import labels
from slm_atlas.report.settings import settings_text
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Artifact, Host, Run, RunKind
from slm_atlas.store.stops import shape

Format = Callable[[float], str]

NOT_MEASURED = "–"
"""What stands where there is no number; never a zero."""


class Cell(NamedTuple):
    """A field of the table of models."""

    text: str
    """What is read first."""
    more: tuple[str, ...] = ()
    """What stands below it, smaller."""
    sort: float | str | None = None
    """What the column is sorted by; None stands last."""


class Table(NamedTuple):
    """A table whose columns can be sorted."""

    title: str
    """What it says of the models."""
    columns: list[str]
    """Headings; the first column names the line."""
    lines: list[list[Cell]]
    """A cell a column."""


class Machine(NamedTuple):
    """A machine, and what was run on it."""

    host: Host
    """The machine."""
    memory: str
    """Its main memory."""
    engines: list[str]
    """Engines and their builds."""
    settings: list[str]
    """How costs were measured."""
    ran: str
    """How many runs, when, for how long."""
    noise: list[str]
    """What was noticed about the machine while it measured."""


class FailedRun(NamedTuple):
    """A run that gave no number."""

    model: str
    """The file's name."""
    what: str
    """What was being measured."""
    outcome: Outcome
    """How it ended."""
    cause: str
    """Why."""
    log_tail: str
    """The last lines of the engine's log."""
    started_at: str
    """When it began."""


class Origin(NamedTuple):
    """Where a measured file came from."""

    artifact: Artifact
    """The file."""
    size: str
    """Its size."""
    types: list[str]
    """The share of its bytes that each type of tensor takes."""
    engines: list[str]
    """The engines it was run by, without their builds."""


def cost_table(rows: Sequence[Row]) -> Table:
    """Latency and memory: a line for each row that cost runs were tried for; time to first token if any has it."""
    tried = [(row, label) for row, label in zip(rows, labels(rows), strict=True) if row.settings]
    costs = {metric: cost for metric, cost in _COSTS.items() if metric != "ttft_s" or _any(rows, metric)}
    columns = [
        "Model",
        "Quantization",
        "Prefill",
        "Decode",
        *(name for name, _ in costs.values()),
        "Runs",
    ]
    return Table("What it costs", columns, [_cost_line(row, label, costs) for row, label in tried])


_COSTS: dict[str, tuple[str, Format]] = {
    "ttft_s": ("First token", units.format_seconds),
    "load_s": ("Load", units.format_seconds),
    "engine_bytes": ("Engine memory", units.format_bytes),
    "peak_rss_bytes": ("Peak memory", units.format_bytes),
}
"""The costs that are shown as they were measured: heading and format of each metric."""


def _any(rows: Iterable[Row], metric: str) -> bool:
    return any(metric in row.metrics for row in rows)


def _cost_line(row: Row, label: str, costs: Mapping[str, tuple[str, Format]]) -> list[Cell]:
    of = row.n_runs + sum(failed.kind is RunKind.BENCH for failed in row.failures)
    return [
        *_identity(row, label),
        _speed(row, "prefill"),
        _speed(row, "decode"),
        *(_cost(row, metric, shown) for metric, (_, shown) in costs.items()),
        Cell(str(row.n_runs), ((f"of {of}",) if of != row.n_runs else ()) + _ended(row), row.n_runs),
    ]


def _ended(row: Row) -> tuple[str, ...]:
    """What ended its runs, and how many of them replace others."""
    found = [] if row.stop is None else [row.stop.words]
    found += [f"{row.disturbed} disturbed"] if row.disturbed else []
    found += [f"{row.set_aside} repeated, the disturbed ones set aside"] if row.set_aside else []
    return tuple(found)


def score_table(rows: Sequence[Row]) -> Table:
    """Accuracy: a line a task, a column a file and machine; random weights know nothing and have none."""
    tasks = sorted(
        {task for row in rows for task in row.scores} | {f.task for row in rows for f in row.failures if f.task}
    )
    real = [row for row in rows if not row.forged] if tasks else []
    files = list({(row.artifact, row.host, row.compute): row for row in real}.values())
    columns = ["Task", *(f"{label} ({_weights(row)})" for row, label in zip(files, labels(files), strict=True))]
    lines = [[Cell(task.replace("_", " "), (), task), *(_score(row, task) for row in files)] for task in tasks]
    return Table("What it can do", columns, lines if files else [])


def time_table(profiles: Sequence[Profile]) -> Table:
    """Where the time goes: a line a profile and phase, the share of each part of the model."""
    measured = [each for each in profiles if each.phases]
    parts = list(dict.fromkeys(line.label for each in measured for of in each.phases.values() for line in of.parts))
    columns = ["Model", "Phase", "Takes", *(part.replace("_", " ") for part in parts), "With nodes timed", "Runs"]
    lines = [
        [Cell(label, (found.quantization,), label.lower()), *_time_cells(phase, of, parts, found.n_runs)]
        for found, label in zip(measured, labels(measured), strict=True)
        for phase, of in found.phases.items()
    ]
    return Table("Where their time goes", columns, lines)


def _time_cells(phase: str, of: Breakdown, parts: Sequence[str], n_runs: int) -> list[Cell]:
    share = {line.label: line.share for line in of.parts}
    return [
        Cell(phase, (), phase),
        Cell(units.format_seconds(of.plain_s.value), (interval(of.plain_s, units.format_seconds),), of.plain_s.value),
        *(_percent(share.get(part)) for part in parts),
        Cell(f"{of.overhead.value:.2f} times", (), of.overhead.value),
        Cell(str(n_runs), (), n_runs),
    ]


def _percent(share: Estimate | None) -> Cell:
    if share is None:
        return Cell(NOT_MEASURED)
    return Cell(f"{share.value:.1%}", (interval(share, "{:.1%}".format),), share.value)


def _identity(row: Row, label: str) -> tuple[Cell, Cell]:
    return Cell(label, (_weights(row),), label.lower()), Cell(row.quantization, (), row.quantization)


def _weights(row: Row) -> str:
    if row.forged:
        return "random weights"
    losses = f", with the losses of {' and '.join(row.losses)}" if row.losses else ""
    return f"real weights{losses}" + (f", computed in {row.compute}" if row.compute else "")


def _speed(row: Row, phase: str) -> Cell:
    cell = _cost(row, f"{phase}_tokens_per_s", units.format_rate, unit=" tok/s")
    latency = row.metrics.get(f"{phase}_s")
    per = "a token" if phase == "decode" else f"for {row.settings.get('n_prompt', 50)}"
    return cell if latency is None else cell._replace(more=(*cell.more, f"{units.format_seconds(latency.value)} {per}"))


def _cost(row: Row, metric: str, shown: Format, unit: str = "") -> Cell:
    estimate = row.metrics.get(metric)
    if estimate is None:
        return _absent(row)
    return Cell(shown(estimate.value) + unit, (interval(estimate, shown),), estimate.value)


def _absent(row: Row) -> Cell:
    """Why there is no number: its runs failed, or it was not measured."""
    outcomes = {str(failed.outcome) for failed in row.failures if failed.kind is RunKind.BENCH}
    return Cell(NOT_MEASURED, (", ".join(sorted(outcomes)) if outcomes and not row.n_runs else "not measured",))


def _score(row: Row, task: str) -> Cell:
    score = row.scores.get(task)
    if score is None:
        failed = next((str(failed.outcome) for failed in row.failures if failed.task == task), "not measured")
        return Cell(NOT_MEASURED, (failed,))
    value, shown = score.estimate.value, "{:.0%}".format if score.is_share else "{:.3g}".format
    unit = () if score.is_share else (score.metric.replace("_", " "),)
    return Cell(shown(value), (*unit, interval(score.estimate, shown), f"{score.estimate.n:,} items"), value)


def interval(estimate: Estimate, shown: Format) -> str:
    """The interval of an estimate, or why it has none."""
    if estimate.low is None or estimate.high is None:
        return f"no interval, n = {estimate.n}"
    low, high = shown(estimate.low), shown(estimate.high)
    if low != high:
        return f"{low} to {high}"
    return f"{'no spread' if estimate.low == estimate.high else 'within rounding'}, n = {estimate.n}"


def machines(dataset: Dataset) -> list[Machine]:
    """The machines anything was run on."""
    by_host = {host: [run for run in dataset.runs if run.host == id_] for id_, host in dataset.hosts.items()}
    return [_machine(dataset, host, runs) for host, runs in by_host.items() if runs]


def _machine(dataset: Dataset, host: Host, runs: Sequence[Run]) -> Machine:
    costs = [run for run in runs if run.kind is not RunKind.EVAL]
    started = sorted(run.started_at for run in runs)
    took = units.format_seconds(sum(run.elapsed_s for run in runs))
    noise = _together([(f"{dataset.artifacts[run.artifact].name}, {_what(run)}", note) for run in runs
                       for note in _noise(run)])  # fmt: skip
    return Machine(
        host=host,
        memory=units.format_bytes(host.memory_bytes) if host.memory_bytes else "an unknown amount",
        engines=list(dict.fromkeys(run.engine.removesuffix(" |") for run in runs)),
        settings=sorted({settings_text(shape(run.settings)) for run in costs}, key=_naturally),
        ran=f"{len(runs)} runs in {took}, {_minute(started[0])} to {_minute(started[-1])} UTC",
        noise=noise,
    )


def _naturally(text: str) -> list[tuple[int, str]]:
    """The place of a text among others, its numbers in order of their size.

    >>> sorted(["prompt 16", "prompt 8"], key=_naturally)
    ['prompt 8', 'prompt 16']
    """
    parts = re.split(r"(\d+)", text.lower())
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _together(notes: Sequence[tuple[str, str]]) -> list[str]:
    """What runs noticed: what differs in its numbers alone is told once, of the run named, with how many more said so.

    >>> _together([("a, run 1", "The load is 3.1."), ("b, run 2", "The load is 2.9.")])
    ['a, run 1: The load is 3.1. (1 more alike)']
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for run, note in notes:
        alike[_NUMBER.sub("#", note)].append(f"{run}: {note}")
    return [found[0] + (f" ({len(found) - 1:,} more alike)" if found[1:] else "") for found in alike.values()]


_NUMBER = re.compile(r"\d+(\.\d+)?")


def _noise(run: Run) -> list[str]:
    """What a run noticed of its machine."""
    found = (run.notes.get(name) or [] for name in ("noise", "warnings"))
    return [str(note) for notes in found for note in ([notes] if isinstance(notes, str) else notes)]


def _what(run: Run) -> str:
    return str(run.settings.get("task") or f"run {run.replicate + 1}")


def _minute(time: str) -> str:
    """A time to the minute.

    >>> _minute("2025-11-22T10:00:07Z")
    '2025-11-22 10:00'
    """
    return time[:16].replace("T", " ")


def failed_runs(dataset: Dataset) -> list[FailedRun]:
    """The runs that gave no number, in the order they were recorded."""
    return [
        FailedRun(
            model=dataset.artifacts[run.artifact].name,
            what=f"{run.kind}, {_what(run)}",
            outcome=run.outcome,
            cause=failure(run).cause,
            log_tail=run.log_tail.strip(),
            started_at=_minute(run.started_at),
        )
        for run in dataset.runs
        if run.outcome is not Outcome.OK
    ]


def origins(dataset: Dataset) -> list[Origin]:
    """Where each file that was run came from, by name."""
    engines = {
        sha256: dict.fromkeys(_engine(r.engine) for r in dataset.runs if r.artifact == sha256)
        for sha256 in dataset.artifacts
    }
    return [
        Origin(artifact, _size(artifact), _types(artifact), list(engines[sha256]))
        for sha256, artifact in sorted(dataset.artifacts.items(), key=lambda item: item[1].name.lower())
        if engines[sha256]
    ]


def _engine(text: str) -> str:
    """Name and version; the build stands with the machine.

    >>> _engine("llamacpp | llama.cpp 0.5.0 | CPU : AVX2 = 1 | AVX512 = 1")
    'llamacpp, llama.cpp 0.5.0'
    """
    return ", ".join(text.split(" | ")[:2])


def _size(artifact: Artifact) -> str:
    return NOT_MEASURED if artifact.size_bytes is None else units.format_bytes(artifact.size_bytes)


def _types(artifact: Artifact) -> list[str]:
    total = sum(artifact.tensor_bytes.values())
    by_size = sorted(artifact.tensor_bytes.items(), key=lambda item: -item[1])
    return [f"{name} {size / total:.1%}" for name, size in by_size if total]
