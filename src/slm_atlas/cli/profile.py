"""`slm profile`: measures which parts of a model, and which operators, take the time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.cli.estimate import kv_type_option, quantization_option
from slm_atlas.cli.measure import engine_option, exit_if_all_failed, retry_option, run
from slm_atlas.cli.output import json_option, print_json, say
from slm_atlas.cli.params import count, tokens
from slm_atlas.cli.profile_rows import as_csv, print_found, write_folder, write_plot
from slm_atlas.errors import UserError

if TYPE_CHECKING:
    from slm_atlas.insights.frame import Dataset
    from slm_atlas.insights.profiles import Profile

REPETITIONS = 3
"""Plain and timed passes each, in a process."""
_FILE = click.Path(dir_okay=False, path_type=Path)


class Ways(NamedTuple):
    """Where the results go."""

    json: bool
    csv: bool
    plot: Path | None
    output: Path | None
    paper: bool


@click.command(epilog="Example: slm profile qwen1.5-0.5b qwen2-0.5b --paper --plot figure10.svg")
@click.argument("models", nargs=-1, required=True)
@quantization_option
@click.option("--prompt", type=tokens, default="50", show_default=True, help="Tokens of a prefill.")
@click.option("--generate", type=tokens, default="50", show_default=True, help="Tokens decoded.")
@click.option("--depth", type=count, default="0", show_default=True, help="Tokens in the cache before the prompt.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Fresh processes a model.")
@click.option("--context", type=tokens, default="512", show_default=True, help="Tokens the KV cache holds.")
@click.option("--micro-batch", type=tokens, default="512", show_default=True, help="Most tokens computed at once.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default="all cores", help="Threads.")
@kv_type_option
@click.option(
    "--flash-attention/--no-flash-attention", default=None, help="Fused attention; default: the engine's choice."
)
@engine_option
@retry_option
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
    depth: int,
    runs: int,
    engine: str | None,
    retry_failed: bool,
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
    bytes moved. Of one model or several; a MODEL is named as in `slm bench`: a catalogue id (forged with random
    weights), a file, or transformers:ID (in PyTorch). Every node of the compute graph is timed in passes of their own:
    they give the shares, plain passes in the same process give the total. Profiles are kept: what was measured before
    is not measured again.
    """
    from slm_atlas.bench import BenchSettings
    from slm_atlas.bench.profiling import check
    from slm_atlas.insights.profiles import profiles
    from slm_atlas.studies import Study, StudyModel

    if plot is not None:
        from slm_atlas.report.files import Form

        Form.of(plot)
    settings = BenchSettings(
        n_prompt=prompt,
        n_gen=generate,
        repetitions=REPETITIONS,
        context=context,
        micro_batch=micro_batch,
        threads=threads,
        kv_type=kv_type,
        flash_attention=flash_attention,
        depth=depth,
    )
    check(settings)
    named = tuple(StudyModel(model=name, quantization=quantization) for name in models)
    study = Study(
        name="profile",
        title="Profile",
        description="Where the time of models named on the command line goes.",
        models=named,
        runs=0,
        profile_runs=runs,
        bench=settings,
    )
    dataset = run(study, engine=engine, retry_failed=retry_failed)
    if trace is not None:
        _write_trace(trace, dataset)
    _show(profiles(dataset), Ways(json, as_csv, plot, output, paper))
    exit_if_all_failed(dataset)


def _show(found: Sequence[Profile], ways: Ways) -> None:
    if ways.json:
        print_json(found)
    elif ways.csv:
        click.echo(as_csv(found), nl=False)
    else:
        print_found(found)
    measured = [each for each in found if each.phases]
    if ways.plot is not None and measured:
        write_plot(measured, ways.plot, paper=ways.paper)
        say(f"Written: {ways.plot}")
    if ways.output is not None and measured:
        say(f"{len(write_folder(measured, ways.output, paper=ways.paper))} files written to {ways.output}")


def _write_trace(path: Path, dataset: Dataset) -> None:
    """The traces of all models in one file: each is kept with the first run of its profile."""
    import msgspec

    from slm_atlas.bench.trace import merged, read_trace
    from slm_atlas.errors import Outcome
    from slm_atlas.report.files import write

    first = [run for run in dataset.runs if run.replicate == 0 and run.outcome is Outcome.OK]
    traces = {run.artifact: read_trace(run.key) for run in first}
    for artifact in (artifact for artifact, trace in traces.items() if trace is None):
        say(f"{dataset.artifacts[artifact].name}: its trace is not kept on this machine.")
    try:
        write(path, msgspec.json.encode(merged([trace for trace in traces.values() if trace is not None])))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}.", "another folder") from error
    say(f"Trace written to {path}: open it in https://ui.perfetto.dev or chrome://tracing.")
