"""`slm report`: writes the report of what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas import home
from slm_atlas.cli.output import say


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
        everything = read_dataset(store)
    dataset = everything.real
    if len(dataset.runs) < len(everything.runs):
        say(f"{len(everything.runs) - len(dataset.runs)} simulated runs (--engine fake) are left out.")
    path = write_report(dataset, output or home.reports_dir() / "all", title=title)
    say("The report:")
    click.echo(path)
