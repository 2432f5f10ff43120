"""`slm report`: writes the report of what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas import home
from slm_atlas.cli.output import say
from slm_atlas.cli.rows import measured
from slm_atlas.errors import UserError


@click.command(epilog="Example: slm report --output my-report")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: in the home folder.")
@click.option("--site", type=click.Path(path_type=Path, file_okay=False), help="A folder for static hosting instead.")
@click.option("--title", default="SLM Atlas: everything measured here", show_default=True, help="Heading of the page.")
@click.option("--paper", is_flag=True, help="Write the tables in Markdown and LaTeX instead of the page.")
def command(output: Path | None, site: Path | None, title: str, paper: bool) -> None:
    """Write the report of what was measured.

    Of everything in the store: one HTML file that needs no network, and its figures as files. With --site, the folder
    can be put on a web server or GitHub Pages as it is; the models with their numbers are in it as JSON too, and the
    runs as JSONL. With --paper, costs and scores as tables for a paper, a line a model, each number with its interval.
    """
    if site and (output or paper):
        raise click.UsageError(f"Give {'--paper' if paper else '--output'} or --site, not both.")
    if paper:
        _write_tables(output or home.reports_dir() / "paper")
        return
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.site import write_report, write_site
    from slm_atlas.store import Store
    from slm_atlas.store.exchange import export_jsonl

    with Store(home.store_path(), reading=True) as store:
        dataset = measured(read_dataset(store))
    if site is None:
        path = write_report(dataset, output or home.reports_dir() / "all", title=title)
    else:
        path = write_site(dataset, site, title=title)
        with Store(home.store_path(), reading=True) as store:
            export_jsonl(store, site / "data" / "results.jsonl")
    say("The report:")
    click.echo(path)


def _write_tables(folder: Path) -> None:
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.citing import cite, sentence
    from slm_atlas.report.paper_tables import write_tables
    from slm_atlas.store import Store

    with Store(home.store_path(), reading=True) as store:
        dataset, attempts = measured(read_dataset(store)), store.attempts()
    if not attempts:
        raise UserError("There is no table to write: nothing was measured yet.", "slm study run quick")
    source = sentence(cite(attempts, dataset.artifacts, dataset.hosts))
    for path in write_tables(dataset, folder, source=source):
        click.echo(path)
