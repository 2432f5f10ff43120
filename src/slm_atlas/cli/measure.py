"""What `bench`, `eval` and `study run` share: prepare the files, plan, run what is missing, and read the results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import click

from slm_atlas import home
from slm_atlas.bench import describe_host
from slm_atlas.cli.output import print_table, say
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.engines import Worker
from slm_atlas.insights.frame import Dataset, Row, read_dataset
from slm_atlas.stats import Estimate
from slm_atlas.store import RunKind, Store
from slm_atlas.studies import Cell, Session, Study, Subject, measuring, pending, plan, prepare, run_cells
from slm_atlas.units import format_bytes, format_count, format_seconds

engine_option = click.option(
    "--engine", default="llamacpp", show_default=True, help="Engine to run; `fake` simulates one, for a try-out."
)
retry_option = click.option("--retry-failed", is_flag=True, help="Run again what ended badly before.")


class Planned(NamedTuple):
    """A study, ready to run."""

    cells: list[Cell]
    """All its cells."""
    session: Session
    """Where they run."""


def planned(study: Study, store: Store, engine: str, progress: StudyProgress) -> Planned:
    """Make or fetch the files of a study, and list its cells."""
    with Worker(engine) as worker:
        info = worker.describe()
    host = describe_host()
    cells = plan(study, _subjects(study, progress), host, info)
    return Planned(cells, Session(store, host, info, progress))


def _subjects(study: Study, progress: StudyProgress) -> list[Subject]:
    subjects = []
    for model in study.models:

        def show(done: int, total: int, name: str = model.model) -> None:
            progress.preparing(name, done, total)

        progress.preparing(model.model)
        subjects.append(prepare(model, study.bench.n_prompt, on_progress=show))
    return subjects


def run(study: Study, *, engine: str, retry_failed: bool = False) -> Dataset:
    """Run what is missing of a study; all its results.

    Raises:
        UserError: another measurement is running, or a model cannot be had.
    """
    with Store(home.store_path()) as store, StudyProgress() as progress:
        cells, session = planned(study, store, engine, progress)
        todo = pending(cells, store, retry_failed=retry_failed)
        number = f"{len(todo)} of {len(cells)} runs to do" if todo else "all was measured before"
        progress.say(f"{study.title}: {number}.")
        if todo:
            with measuring():
                run_cells(cells, session, retry_failed=retry_failed)
        dataset = restrict(read_dataset(store), cells)
    _say_doubts(dataset)
    return dataset


def _say_doubts(dataset: Dataset) -> None:
    """Say what disturbed the measurements of costs, if anything did."""
    costs = [run for run in dataset.runs if run.kind is RunKind.BENCH]
    doubts = [run.notes["noise"] for run in costs if run.notes.get("noise")]
    if doubts:
        say(f"{len(doubts)} of {len(costs)} runs of costs were disturbed: {doubts[-1][0]}")


def restrict(dataset: Dataset, cells: Sequence[Cell]) -> Dataset:
    """Only what belongs to these cells."""
    keys = {cell.key for cell in cells}
    runs = [run for run in dataset.runs if run.key in keys]
    return Dataset(
        artifacts={sha: found for sha, found in dataset.artifacts.items() if any(run.artifact == sha for run in runs)},
        hosts={name: found for name, found in dataset.hosts.items() if any(run.host == name for run in runs)},
        runs=runs,
        samples={key: found for key, found in dataset.samples.items() if key in keys},
    )


def print_rows(found: Sequence[Row]) -> None:
    """The results, a model a line: estimates with their intervals; then why runs failed, to stderr."""
    tasks = sorted({task for row in found for task in row.scores})
    words = ("Model", "Quant", "Settings")
    lines = [
        _cells(row, tasks) | {"Settings": settings} for row, settings in zip(found, differences(found), strict=True)
    ]
    columns = [name for name in lines[0] if any(line[name] is not None for line in lines)] if lines else []
    print_table(columns, [[line[name] for name in columns] for line in lines], right=set(columns) - set(words))
    if any(estimate.low is not None for row in found for estimate in _estimates(row)):
        say("[low, high] are 95 % intervals: of the median over runs for costs, over items for scores.")
    for line in dict.fromkeys(f"{row.name}: {cause}" for row in found for cause in _causes(row)):
        say(line)


def differences(found: Sequence[Row]) -> list[str | None]:
    """What tells each row from the others, beside its model: engine, machine and settings that are not all alike."""
    facts = [_facts(row) for row in found]
    values: dict[str, set[object]] = {}
    for fact in facts:
        for name, value in fact.items():
            values.setdefault(name, set()).add(value)
    varying = [{name: value for name, value in fact.items() if len(values[name]) > 1} for fact in facts]
    return [
        ", ".join(f"{name} {value}" for name, value in fact.items() if value is not None) or None for fact in varying
    ]


def _facts(row: Row) -> dict[str, object]:
    engine, _, build = row.engine.partition(" | ")
    return {"engine": engine, engine: build, "machine": row.host, **row.settings}


def _estimates(row: Row) -> list[Estimate]:
    return [*row.metrics.values(), *(score.estimate for score in row.scores.values())]


def _causes(row: Row) -> list[str]:
    """Why its runs failed, each cause once, with how often."""
    causes = Counter(f"{failure.outcome}: {failure.cause}" for failure in row.failures)
    return [f"{number} x {cause}" if number > 1 else cause for cause, number in causes.items()]


def _cells(row: Row, tasks: Sequence[str]) -> dict[str, str | None]:
    failed = f" (+{len(row.failures)} failed)" if row.failures else ""
    return {
        "Model": row.name + (" (random weights)" if row.forged else ""),
        "Quant": row.quantization,
        "Params": format_count(row.params),
        "Prefill tok/s": _shown(row.metrics.get("prefill_tokens_per_s")),
        "Decode tok/s": _shown(row.metrics.get("decode_tokens_per_s")),
        "Engine memory": _bytes(row.metrics.get("engine_bytes")),
        "Peak RSS": _bytes(row.metrics.get("peak_rss_bytes")),
        **{task: _percent(row.scores[task].estimate) if task in row.scores else None for task in tasks},
        "Runs": f"{row.n_runs}{failed}" if row.n_runs or failed else None,
    }


def _shown(estimate: Estimate | None) -> str | None:
    if estimate is None:
        return None
    interval = (
        "" if estimate.low is None or estimate.high is None else f" [{_rate(estimate.low)}, {_rate(estimate.high)}]"
    )
    return f"{_rate(estimate.value)}{interval}"


def _rate(value: float) -> str:
    """Three digits, and never an exponent.

    >>> _rate(5.6789), _rate(123.4), _rate(20_612.3)
    ('5.68', '123', '20,612')
    """
    return f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _percent(estimate: Estimate) -> str:
    interval = "" if estimate.low is None or estimate.high is None else f" [{estimate.low:.0%}, {estimate.high:.0%}]"
    return f"{estimate.value:.0%}{interval}"


def _bytes(estimate: Estimate | None) -> str | None:
    return None if estimate is None else format_bytes(estimate.value)


def summary(found: Sequence[Cell], store: Store) -> str:
    """How far a study is, in a line."""
    outcomes = [store.outcome(cell.key) for cell in found]
    spent = sum(run.elapsed_s for run in store.runs(keys=[cell.key for cell in found]))
    good = sum(outcome == "ok" for outcome in outcomes)
    bad = sum(outcome is not None and outcome != "ok" for outcome in outcomes)
    return f"{good} of {len(found)} runs done, {bad} ended badly, {format_seconds(spent)} spent"
