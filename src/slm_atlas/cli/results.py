"""`slm results`: lists, shows and exports what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import click

from slm_atlas import home, units
from slm_atlas.cli import results_cite, results_hub
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.errors import UserError
from slm_atlas.store import Conflict, Merged, Run, Sample, Store


@click.group()
def command() -> None:
    """List, show and export what was measured."""


@command.command("list", epilog="Example: slm results list")
@click.option("--runs", is_flag=True, help="A line a run, instead of a line a model.")
@json_option
def list_results(runs: bool, json: bool) -> None:
    """List what was measured, with intervals."""
    from slm_atlas.cli.measure import show
    from slm_atlas.insights.frame import read_dataset

    with Store(home.store_path(), reading=True) as store:
        dataset = read_dataset(store)
    if runs:
        _print_runs(dataset.runs, {sha: found.name for sha, found in dataset.artifacts.items()}, json)
    elif json or dataset.runs:
        show(dataset, json=json)
    else:
        say("Nothing was measured yet. Try: slm study run quick")


def _print_runs(runs: list[Run], names: dict[str, str], json: bool) -> None:
    if json:
        print_json(runs)
        return
    columns = ["Key", "Started", "Kind", "Model", "Task", "Outcome", "Cause"]
    lines = [
        (run.key[:12], run.started_at, run.kind, names[run.artifact], run.settings.get("task"), run.outcome, run.cause)
        for run in runs
    ]
    print_table(columns, lines)


@command.command("show", epilog="Example: slm results show 3f2a9c81d0e4")
@click.argument("key")
@json_option
def show_result(key: str, json: bool) -> None:
    """Show the run whose key begins with KEY: settings, host, samples, and the engine's log if it failed.

    Every single sample is in the JSON document.
    """
    with Store(home.store_path(), reading=True) as store:
        found = [run for run in store.runs() if run.key.startswith(key)]
        if len(found) != 1:
            what = "No run has" if not found else f"{len(found)} runs have"
            raise UserError(f"{what} a key that begins with '{key}'.", "slm results list --runs")
        run, samples = found[0], store.samples(found[0].key)
        model = store.artifacts()[run.artifact]
    if json:
        print_json({"run": run, "samples": samples})
        return
    fields = {name: getattr(run, name) for name in run.__struct_fields__ if name not in ("settings", "notes")}
    title = f"{model.name} {model.quantization}, {run.kind}"
    print_fields(title, {name: None if value == "" else value for name, value in fields.items()})
    print_fields("Settings", run.settings)
    print_fields("Notes", {name: _words(value) for name, value in run.notes.items()})
    _print_samples(samples)


def _words(value: object) -> object:
    """Data in words: the values of a group that are known, the entries of a list."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {found}" for name, found in value.items() if found is not None)
    return "; ".join(map(str, value)) or None if isinstance(value, list) else value


def _print_samples(samples: list[Sample]) -> None:
    """Scores and nodes item by item; times in short, since there are hundreds."""
    items = [
        (
            sample.metric,
            f"{sample.scope}: {sample.item}" if sample.metric == "node_s" else sample.item,
            f"{sample.value:g}",
        )
        for sample in samples
        if sample.item
    ]
    if items:
        print_table(["Metric", "Item", "Value"], items, right=["Value"])
    series: dict[str, list[float]] = {}
    for sample in (sample for sample in samples if not sample.item):
        series.setdefault(sample.metric, []).append(sample.value)
    columns = ["Metric", "Samples", "Median", "Least", "Most"]
    rows = [
        (name, len(values), *(f"{value:g}" for value in (statistics.median(values), min(values), max(values))))
        for name, values in series.items()
    ]
    if rows:
        print_table(columns, rows, right=columns[1:])


@command.command("export", epilog="Example: slm results export results.jsonl")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def export_results(path: Path) -> None:
    """Write everything to PATH: a .jsonl that another atlas merges, or a .parquet or .csv with a line a sample.

    JSONL (.jsonl.gz: packed) holds every attempt; the others the one of each run that counts, Parquet with every field.
    """
    from slm_atlas.store import export_csv, export_jsonl, export_parquet

    writers = {".jsonl": export_jsonl, ".jsonl.gz": export_jsonl, ".parquet": export_parquet, ".csv": export_csv}
    writer = next((each for ending, each in writers.items() if path.name.endswith(ending)), None)
    if writer is None:
        raise UserError(f"Cannot tell the format of {path}.", f"a name that ends with {', '.join(writers)}")
    with Store(home.store_path(), reading=True) as store:
        writer(store, path)
    say(f"Written: {path}")


@command.command("merge", epilog="Example: slm results merge from-my-phone.jsonl")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def merge_results(path: Path, json: bool) -> None:
    """Add results from PATH: another device's store (atlas.sqlite) or export (.jsonl), or llama-bench's -o json.

    builtin:NAME is a reference that comes with SLM Atlas, measured on a quiet machine; a wrong NAME lists them. What
    is known already is not added twice. What contradicts this store (the same run with other samples, other facts of
    the same file or machine) is listed and changes nothing; the command then ends with exit code 1. A model that
    llama-bench measured is known by its content where its file is on this disk, else by its name, type and size.
    """
    from slm_atlas.store import REFERENCE_PREFIX, reference_path

    source = reference_path(str(path)) if str(path).startswith(REFERENCE_PREFIX) else path
    with Store(home.store_path()) as store:
        added = _merge(store, source)
    if json:
        print_json(added._asdict())
    else:
        counts = {"artifacts": added.artifacts, "hosts": added.hosts, "runs": added.runs}
        say(f"{', '.join(units.counted(count, what) for what, count in counts.items())} added.")
        _print_conflicts(added.conflicts)
    if added.conflicts:
        raise click.exceptions.Exit(1)


def _print_conflicts(conflicts: Sequence[Conflict]) -> None:
    if not conflicts:
        return
    number = "1 contradiction" if len(conflicts) == 1 else f"{len(conflicts)} contradictions"
    say(f"{number}: what stands here stays, and the other keeps its own.")
    lines = [(found.kind, found.id[:12], found.name, found.what, found.here, found.there) for found in conflicts]
    print_table(["What", "Id", "Of", "Differs in", "Here", "There"], lines)


def _merge(store: Store, path: Path) -> Merged:
    from slm_atlas.store import (
        Here,
        import_jsonl,
        import_llama_bench,
        is_export,
        is_store,
        merge_store,
        read_llama_bench,
    )

    if is_store(path):
        return merge_store(store, path)
    if is_export(path):
        return import_jsonl(store, path)
    tests = read_llama_bench(path)
    if tests is None:
        message = f"{path} is no store, no export of ours and not llama-bench's JSON."
        raise UserError(message, "slm results export, or llama-bench -o json, on the machine it came from")
    from slm_atlas.bench import describe_host
    from slm_atlas.models.identify import identify

    return import_llama_bench(store, path, tests, Here(describe_host(), identify))


command.add_command(results_hub.command, "hub")
command.add_command(results_cite.command, "cite")
