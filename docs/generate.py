"""Writes docs/README.md, commands/*.md, catalogue.md, figures.md, measured.md; `--check` only says what is stale.

The pages of commands are made from their declarations, not from the help as a terminal shows it, so that they are the
same on every machine and with every release of click.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from pathlib import Path

import click
from measured import measured

from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.catalog import Model, Runs, models, runnable, runs
from slm_atlas.cli.main import COMMANDS, cli
from slm_atlas.report.registry import CATALOGUE as CATALOGUE_FIGURES
from slm_atlas.report.registry import STORE, SURVEY, Entry
from slm_atlas.units import format_bytes, format_count

DOCS = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py; do not edit. -->"
EXAMPLE = "Example: "
GENERATED = ("README.md", "catalogue.md", "figures.md", "measured.md")
HELP_NAMES = ("-h", "--help")

CONTEXT = 4096
CATALOGUE = """# The catalogue, and what runs it

{note}

{total} models. A model that llama.cpp runs can be forged with random weights and measured with no download: {natively}
are forged in their own architecture, {equivalent} as an equivalent shape (what differs is said), {transformers} run
through transformers only, and {nowhere} only with the code published beside its weights.

Costs are those of `slm estimate MODEL --quant Q4_K_M --context {context}` for what llama.cpp runs (for the others, for
the model's own shape): the file's weights, keys and values, and all memory but the process itself. "Bits" is what the
label Q4_K_M comes to: rows that do not divide into blocks of 256 fall back to other types."""


def pages() -> dict[str, str]:
    """The text of every generated page, by its path below docs/."""
    root = click.Context(cli, info_name="slm", **cli.context_settings)
    found = {f"commands/{name}.md": page(root, name) for name in COMMANDS}
    found |= {"README.md": index(), "catalogue.md": catalogue(), "figures.md": figures()}
    return found | {"measured.md": measured(NOTE)}


def index() -> str:
    """The list of all pages; those written by hand are named by their first heading."""
    commands = [f"- [`slm {name}`](commands/{name}.md): {lazy.help}" for name, lazy in COMMANDS.items()]
    by_hand = [path for path in sorted(DOCS.glob("*.md")) if path.name not in GENERATED]
    others = ["- [The catalogue, and what runs it](catalogue.md)", "- [The figures](figures.md)"]
    others += ["- [What one machine measured](measured.md)"]
    others += [f"- [{path.read_text().splitlines()[0].lstrip('# ')}]({path.name})" for path in by_hand]
    environment = (
        "Every option can be given in the environment: `--json` of `slm models list` is `SLM_MODELS_LIST_JSON=1`. "
        "`SLM_ATLAS_HOME` names the folder that holds all that is downloaded, forged and measured."
    )
    chapters = ["# SLM Atlas: documentation", NOTE, "## Commands", "\n".join(commands), environment]
    return "\n\n".join([*chapters, "## More", "\n".join(others)]) + "\n"


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


def catalogue() -> str:
    """The page of the catalogue: every model, what runs it, and what it would cost."""
    found = models()
    counts = Counter(map(runs, found))
    names = {"natively": Runs.NATIVE, "equivalent": Runs.EQUIVALENT}
    names |= {"transformers": Runs.TRANSFORMERS, "nowhere": Runs.NOWHERE}
    numbers = {name: counts[kind] for name, kind in names.items()}
    head = CATALOGUE.format(note=NOTE, total=len(found), context=CONTEXT, **numbers)
    chapters = [head, table(found), "## Equivalent shapes", "\n".join(differences(found))]
    return "\n\n".join([*chapters, "## Not in llama.cpp", "\n".join(reasons(found))]) + "\n"


FIGURES = """# The figures

{note}

Every figure of the survey, from code: on the survey's data (`--data paper`), on yours (`--data mine`: the catalogue to
this day, or what the store holds), or both side by side.

```sh
slm figure list                                     # what each can show here
slm figure fig7 --data both -o fig7.svg -o fig7.csv # also .png, and .json (Vega-Lite)
slm figure fig7 --theme dark --width 360 -o phone.png
```

Colours are Paul Tol's scheme "bright" (Colour Schemes, SRON/EPS/TN/09-002, 2021), its grey a little darker; ordered
labels go from light to dark as matplotlib's viridis does. A test holds both to distances that people without red or
green cones still see. Intervals are drawn where there are several runs or items; those of stacked bars are in the
CSV."""


def figures() -> str:
    """The page of the figures: what each shows, and what gives one's own numbers."""
    parts = (("Of the survey", SURVEY), ("Of your measurements", STORE), ("Of the catalogue", CATALOGUE_FIGURES))
    chapters = [f"## {title}\n\n{_figures(found)}" for title, found in parts]
    return "\n\n".join([FIGURES.format(note=NOTE), *chapters]) + "\n"


def _figures(found: Sequence[Entry]) -> str:
    columns = ("figure", "title", "what one sees", "yours")
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    for each in found:
        yours = f"`{each.measure}`" if each.measure.startswith("slm") else each.measure or "the catalogue"
        lines.append(f"| `{each.id}` | {each.title} | {each.shows} | {yours} |")
    return "\n".join(lines)


def table(found: Sequence[Model]) -> str:
    """All models, a line each."""
    columns = ("model", "parameters", "runs in", "as", "attention", "weights", "bits", "KV cache", "memory")
    lines = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return "\n".join([*lines, *map(_line, found)])


def _line(model: Model) -> str:
    arch = runnable(model)
    costs = estimate(arch or model.architecture, Quantization.Q4_K_M, context=CONTEXT)
    kind = runs(model)
    cells = (
        model.id,
        format_count(model.params),
        "llama.cpp" if arch is not None else kind,
        "–" if arch is None else f"{arch.gguf}{'' if kind is Runs.NATIVE else ' (equivalent)'}",
        model.architecture.attention_kind,
        format_bytes(costs.weight_bytes),
        f"{costs.bits_per_weight:.2f}",
        format_bytes(costs.kv_bytes),
        format_bytes(costs.memory_bytes),
    )
    return f"| {' | '.join(map(str, cells))} |"


def differences(found: Sequence[Model]) -> Iterator[str]:
    """What differs in each equivalent."""
    for model in found:
        if model.equivalent is not None:
            yield f"- **{model.id}** as {model.equivalent.changes['gguf']}: {model.equivalent.differs}"


def reasons(found: Sequence[Model]) -> Iterator[str]:
    """Why llama.cpp runs the others in no way."""
    for model in found:
        if model.not_run is not None:
            yield f"- **{model.id}** ({runs(model)}): {model.not_run}"


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
