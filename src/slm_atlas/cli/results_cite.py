"""`slm results cite`: names what was measured by the hash of its content."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas import home
from slm_atlas.cli.output import json_option, print_json
from slm_atlas.errors import UserError


@click.command(epilog="Example: slm results cite --bibtex")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--bibtex", is_flag=True, help="Print BibTeX instead.")
@json_option
def command(path: Path | None, bibtex: bool, json: bool) -> None:
    """Print a citation of what was measured: its hash, when, where, with what, and what to cite beside it.

    Of this store, or of PATH: another store or an export (.jsonl). The hash is of runs, samples, files and machines
    in any order, so that an export and the store it came from have the same.
    """
    from slm_atlas.report.citing import as_bibtex, as_text, cite
    from slm_atlas.store import Store, opened

    with Store(home.store_path(), reading=True) if path is None else opened(path) as store:
        attempts, artifacts, hosts = store.attempts(), store.artifacts(), store.hosts()
    if not attempts:
        raise UserError("There is nothing to cite: no run was recorded.", "slm study run quick")
    found = cite(attempts, artifacts, hosts)
    if json:
        print_json(found)
    else:
        click.echo(as_bibtex(found) if bibtex else as_text(found))
