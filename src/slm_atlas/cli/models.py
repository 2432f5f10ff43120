"""`slm models`: what the catalogue knows."""

from __future__ import annotations

from pathlib import Path

import click

from slm_atlas.catalog import Model, Selection, load, runs
from slm_atlas.catalog.schema import CountsAs
from slm_atlas.catalog.words import architecture_fields
from slm_atlas.cli.compare import compare
from slm_atlas.cli.entities import algorithms_command, datasets_command
from slm_atlas.cli.models_add import add
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.cli.selection import Fit, chosen_models, fit_options, selection_options, sort_options
from slm_atlas.units import format_bytes, format_count

NUMBERS = ("Params", "Layers", "Hidden", "Vocabulary", "Context", "Tokens", "Memory")
COLUMNS = ("Model", "Params", "Layers", "Hidden", "Vocabulary", "Context", "Tokens", "Attention", "Release")


@click.group()
def command() -> None:
    """List, show and compare the models of the catalogue."""


@command.command("list", epilog="Example: slm models list --fits 2GiB --context 8192 --sort release --descending")
@selection_options
@fit_options
@sort_options
@json_option
def list_models(chosen: Selection, fit: Fit | None, sort: str | None, descending: bool, json: bool) -> None:
    """List the models of the catalogue, with how they are built."""
    found = chosen_models(chosen, fit=fit, sort=sort, descending=descending)
    if json:
        print_json(found)
    elif found:
        columns = COLUMNS if fit is None else (*COLUMNS, "Memory")
        print_table(columns, [_row(model, fit) for model in found], right=NUMBERS)
    else:
        say("No model of the catalogue is like that.")


@command.command("show", epilog="Example: slm models show smollm-135m")
@click.argument("model")
@json_option
def show_model(model: str, json: bool) -> None:
    """Show what the catalogue knows of MODEL, an id of `slm models list`, and how it knows it.

    Or give a file (a path to a GGUF, pypi:NAME or hf:OWNER/REPO/FILE.gguf): what it holds, by tensor type and by part,
    what it needs in memory, and which model of the catalogue it is. Of a file on the hub only the header is read.
    """
    if ":" in model or model.endswith(".gguf") or Path(model).is_file():
        from slm_atlas.cli.files import show_file

        show_file(model, json)
        return
    found = load.get(model)
    if json:
        print_json(found)
    else:
        _print(found)


command.add_command(compare)
command.add_command(datasets_command)
command.add_command(algorithms_command)
command.add_command(add)


def _row(model: Model, fit: Fit | None) -> tuple[object, ...]:
    shape, tokens = model.architecture, model.training.tokens_billion
    row = (
        model.id,
        format_count(model.params),
        shape.layers,
        shape.hidden,
        f"{shape.vocab:,}",
        f"{shape.context:,}",
        None if tokens is None else format_count(tokens * 1e9),
        shape.attention_kind,
        model.release,
    )
    return row if fit is None else (*row, format_bytes(fit.memory_of(model)))


def _print(model: Model) -> None:
    print_fields(model.name, _identity(model))
    print_fields("Architecture", architecture_fields(model.architecture))
    print_fields("Training", _training(model))
    print_fields("In the survey", _survey(model))
    print_fields("Sources", {field: f"{source.kind}: {source.where}" for field, source in model.sources.items()})
    if model.doubts:
        print_fields("Doubts", {str(number): doubt for number, doubt in enumerate(model.doubts, 1)})


def _identity(model: Model) -> dict[str, object]:
    published = model.params_published
    fields: dict[str, object] = {
        "id": model.id,
        "family": f"{model.family}, by {model.organization}",
        "released": f"{model.release}, {model.license}{'' if model.open_weights else ', weights not open'}",
        "variant": f"{model.variant}{f', from {model.base_model}' if model.base_model else ''}",
        "on the hub": model.hub_id,
        "parameters": f"{format_count(model.params)} ({model.params:,}, {model.verified})",
    }
    if model.params_untied != model.params:
        fields["  with the head counted too"] = f"{format_count(model.params_untied)} (as the survey's Figure 7 counts)"
    fields["  published"] = None if published is None else f"{published:,}"
    fields["runs in"] = runs(model)
    if model.equivalent is not None:
        fields["  as"] = f"{model.equivalent.changes.get('gguf')}: {model.equivalent.differs}"
    return fields


def _training(model: Model) -> dict[str, object]:
    training = model.training
    tokens, tuned = training.tokens_billion, training.finetune_tokens_billion
    return {
        "tokens": None if tokens is None else format_count(tokens * 1e9),
        "  for a parameter": None if tokens is None else f"{tokens * 1e9 / model.params:,.0f}",
        "  note": training.tokens_note,
        "data sets": ", ".join(training.datasets) or None,
        "algorithms": ", ".join(training.algorithms) or None,
        "tuned on": ", ".join(training.finetune_datasets) or None,
        "  tokens": None if tuned is None else format_count(tuned * 1e9),
    }


def _survey(model: Model) -> dict[str, object]:
    paper = model.paper
    fields: dict[str, object] = {
        "first version": "counted" if paper.v1 else "not counted",
        "third version": "counted" if paper.v3 else "not counted",
        "note": paper.note,
    }
    if paper.counts_as is not None:
        fields["counted as"] = f"{_counted(paper.counts_as)} ({paper.counts_as.basis})"
    return fields


def _counted(counts: CountsAs) -> str:
    values = {name: getattr(counts, name) for name in counts.__struct_fields__ if name != "basis"}
    words = {name: " and ".join(value) if isinstance(value, tuple) else value for name, value in values.items()}
    told = {name.replace("_", " "): value or "none" for name, value in words.items() if value is not None}
    return ", ".join(f"{name} {value}" for name, value in told.items())
