"""What `bench`, `eval` and `study run` share: prepare the files, plan, run what is missing, and read the results."""

from __future__ import annotations

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
from slm_atlas.store import Store
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
        say(f"{study.title}: {len(todo)} of {len(cells)} runs to do." if todo else f"{study.title}: all done before.")
        if todo:
            with measuring():
                run_cells(cells, session, retry_failed=retry_failed)
        return restrict(read_dataset(store), cells)


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
    """The results, a model a line: estimates with their intervals."""
    tasks = sorted({task for row in found for task in row.scores})
    columns = ["Model", "Quant", "Params", "Prefill tok/s", "Decode tok/s", "Engine memory", "Peak RSS", *tasks, "Runs"]
    print_table(columns, [_cells(row, tasks) for row in found], right=columns[2:])


def _cells(row: Row, tasks: Sequence[str]) -> list[object]:
    failed = f" (+{len(row.failures)} failed)" if row.failures else ""
    return [
        row.name + (" (random weights)" if row.forged else ""),
        row.quantization,
        format_count(row.params),
        _shown(row.metrics.get("prefill_tokens_per_s")),
        _shown(row.metrics.get("decode_tokens_per_s")),
        _bytes(row.metrics.get("engine_bytes")),
        _bytes(row.metrics.get("peak_rss_bytes")),
        *(_percent(row.scores[task].estimate) if task in row.scores else None for task in tasks),
        f"{row.n_runs}{failed}",
    ]


def _shown(estimate: Estimate | None) -> str | None:
    if estimate is None:
        return None
    interval = "" if estimate.low is None else f" [{estimate.low:.3g}, {estimate.high:.3g}]"
    return f"{estimate.value:.3g}{interval}"


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
