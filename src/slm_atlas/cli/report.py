"""`slm report`: writes the report of what was measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from slm_atlas import home
from slm_atlas.cli.output import say

if TYPE_CHECKING:
    from slm_atlas.insights.frame import Dataset


@click.command(epilog="Example: slm report --output my-report")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: in the home folder.")
@click.option("--title", default="SLM Atlas: everything measured here", show_default=True, help="Heading of the page.")
def command(output: Path | None, title: str) -> None:
    """Write the report of what was measured.

    Of everything in the store: one HTML file that needs no network, and its figures as files.
    """
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.site import write_report
    from slm_atlas.store import Store

    with Store(home.store_path()) as store:
        dataset = _measured(read_dataset(store))
    path = write_report(dataset, output or home.reports_dir() / "all", title=title)
    say("The report:")
    click.echo(path)


def _measured(dataset: Dataset) -> Dataset:
    """Without the runs of the fake engine, whose times are made up, where there are others."""
    real = [run for run in dataset.runs if not run.engine.startswith("fake ")]
    if not real or len(real) == len(dataset.runs):
        return dataset
    say(f"{len(dataset.runs) - len(real)} simulated runs (--engine fake) are left out.")
    return dataset._replace(runs=real)
