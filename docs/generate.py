"""Writes docs/README.md and docs/commands/*.md from the command line's own help; `--check` only says what is stale.

The pages are made from the commands' declarations, not from the help as a terminal shows it, so that they are the same
on every machine and with every release of click.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from slm_atlas.cli.main import COMMANDS, cli

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py; do not edit. -->"
EXAMPLE = "Example: "
HELP_NAMES = ("-h", "--help")


def pages() -> dict[str, str]:
    """The text of every generated page, by its path below docs/."""
    root = click.Context(cli, info_name="slm", **cli.context_settings)
    found = {f"commands/{name}.md": page(root, name) for name in COMMANDS}
    return {"README.md": index(), **found}


def index() -> str:
    """The list of all pages; those written by hand are named by their first heading."""
    commands = [f"- [`slm {name}`](commands/{name}.md): {lazy.help}" for name, lazy in COMMANDS.items()]
    by_hand = [path for path in sorted(DOCS.glob("*.md")) if path.name != "README.md"]
    others = [f"- [{path.read_text().splitlines()[0].lstrip('# ')}]({path.name})" for path in by_hand]
    environment = (
        "Every option can be given in the environment: `--json` of `slm models list` is `SLM_MODELS_LIST_JSON=1`. "
        "`SLM_ATLAS_HOME` names the folder that holds all that is downloaded, forged and measured."
    )
    chapters = ["# SLM Atlas: documentation", NOTE, "## Commands", "\n".join(commands), environment]
    return "\n\n".join([*chapters, *(["## More", "\n".join(others)] if others else [])]) + "\n"


def page(root: click.Context, name: str) -> str:
    """The page of a command, with all that is nested in it."""
    chapters = [f"# `slm {name}`", NOTE]
    for ctx in nested(root, name):
        if ctx.parent is not root:
            chapters.append(f"## `{ctx.command_path}`")
        chapters += chapter(ctx)
    return "\n\n".join(chapters) + "\n"


def nested(parent: click.Context, name: str) -> Iterator[click.Context]:
    """The context of a command, then those of all commands nested in it; hidden ones are left out."""
    assert isinstance(parent.command, click.Group)
    command = parent.command.get_command(parent, name)
    assert command is not None
    if command.hidden:
        return
    ctx = click.Context(command, parent=parent, info_name=name)
    yield ctx
    if isinstance(command, click.Group):
        for inner in command.list_commands(ctx):
            yield from nested(ctx, inner)


def chapter(ctx: click.Context) -> list[str]:
    """A command's help, usage, options and example."""
    command = ctx.command
    parts = [cleandoc(command.help or "").replace("\b\n", "").strip()]
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    parts.append(f"```text\n{usage}\n```")
    options = [param for param in command.get_params(ctx) if isinstance(param, click.Option)]
    records = [record for option in options if (record := option.get_help_record(ctx))]
    rows = [f"| `{cell(names)}` | {cell(text)} |" for names, text in records if HELP_NAMES[1] not in names]
    if rows:
        parts.append("\n".join(["| option | what it does |", "| --- | --- |", *rows]))
    if command.epilog:
        example = cleandoc(command.epilog).replace("\b\n", "").strip().removeprefix(EXAMPLE)
        parts.append(f"Example:\n\n```sh\n{example}\n```")
    return [part for part in parts if part]


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", r"\|")


def stale(wanted: dict[str, str]) -> list[str]:
    """Generated pages that are missing, differ, or belong to no command; paths below docs/."""
    there = {f"commands/{path.name}" for path in (DOCS / "commands").glob("*.md")}
    differ = {name for name, text in wanted.items() if not _is(DOCS / name, text)}
    return sorted(differ | (there - set(wanted)))


def write(wanted: dict[str, str]) -> None:
    """Write the pages that differ, and remove those of commands that are gone."""
    for name in stale(wanted):
        path = DOCS / name
        if name not in wanted:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[name], encoding="utf-8")


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when a page is stale.")
def main(check: bool) -> None:
    """Write the generated pages of docs/."""
    wanted = pages()
    names = stale(wanted)
    if not check:
        write(wanted)
    for name in names:
        click.echo(f"docs/{name} {'is stale: run `make docs`' if check else 'written'}", err=check)
    sys.exit(1 if check and names else 0)


if __name__ == "__main__":
    main()
