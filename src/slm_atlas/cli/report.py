"""`slm report`: writes the report of what was measured."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas import home
from slm_atlas.cli.output import say
from slm_atlas.cli.rows import measured


@click.command(epilog="Example: slm report --output my-report")
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), help="Folder; default: in the home folder.")
@click.option("--site", type=click.Path(path_type=Path, file_okay=False), help="A folder for static hosting instead.")
@click.option("--title", default="SLM Atlas: everything measured here", show_default=True, help="Heading of the page.")
def command(output: Path | None, site: Path | None, title: str) -> None:
    """Write the report of what was measured.

    Of everything in the store: one HTML file that needs no network, and its figures as files. With --site, the folder
    can be put on a web server or GitHub Pages as it is; the models with their numbers are in it as JSON too, and the
    runs as JSONL.
    """
    if output and site:
        raise click.UsageError("Give --output or --site, not both.")
    from slm_atlas.insights.frame import read_dataset
    from slm_atlas.report.site import write_report, write_site
    from slm_atlas.store import Store
    from slm_atlas.store.exchange import export_jsonl

    with Store(home.store_path()) as store:
        dataset = measured(read_dataset(store))
    if site is None:
        path = write_report(dataset, output or home.reports_dir() / "all", title=title)
    else:
        path = write_site(dataset, site, title=title)
        with Store(home.store_path()) as store:
            export_jsonl(store, site / "data" / "results.jsonl")
    say("The report:")
    click.echo(path)
