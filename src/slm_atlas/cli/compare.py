"""`slm models compare`: models of the catalogue side by side."""

from __future__ import annotations

import click

from slm_atlas.anatomy import Part, Quantization, estimate, inventory
from slm_atlas.catalog import Model, load, runnable
from slm_atlas.catalog.words import architecture_fields
from slm_atlas.cli.output import json_option, print_json, print_table
from slm_atlas.cli.params import label, tokens
from slm_atlas.cli.selection import DEFAULT_QUANTIZATION
from slm_atlas.units import format_bytes, format_count


@click.command(epilog="Example: slm models compare qwen1.5-0.5b qwen2-0.5b smollm2-360m")
@click.argument("models", nargs=-1, required=True)
@click.option(
    "--quant", "quantization", type=label, default=DEFAULT_QUANTIZATION.value, show_default=True, help="For the costs."
)
@click.option("--context", type=tokens, default="4096", show_default=True, help="Tokens of context, for the costs.")
@json_option
def compare(models: tuple[str, ...], quantization: Quantization, context: int, json: bool) -> None:
    """Set models side by side: how they are built and trained, and what they would cost.

    What is the same for all stands last. MODELS are catalogue ids.
    """
    found = [load.get(model) for model in models]
    fields = [{**_facts(model), **_costs(model, quantization, context)} for model in found]
    if json:
        print_json({model.id: values for model, values in zip(found, fields, strict=True)})
        return
    names = list(dict.fromkeys(name for values in fields for name in values))
    rows = [(name, *(values.get(name) for values in fields)) for name in names]
    differ = [row for row in rows if len(set(map(str, row[1:]))) > 1]
    same = [row for row in rows if row not in differ]
    print_table(("", *(model.id for model in found)), [*differ, *same])


def _facts(model: Model) -> dict[str, object]:
    tokens = model.training.tokens_billion
    return {
        "released": model.release,
        "organization": model.organization,
        "license": model.license,
        "parameters": format_count(model.params),
        "in the embedding": f"{_embedded(model) / model.params:.0%}",
        **architecture_fields(model.architecture),
        "training tokens": None if tokens is None else format_count(tokens * 1e9),
        "tokens for a parameter": None if tokens is None else f"{tokens * 1e9 / model.params:,.0f}",
        "data sets": ", ".join(model.training.datasets) or None,
        "algorithms": ", ".join(model.training.algorithms) or None,
    }


def _embedded(model: Model) -> int:
    return sum(tensor.size for tensor in inventory(model.architecture) if tensor.part is Part.EMBEDDING)


def _costs(model: Model, quantization: Quantization, context: int) -> dict[str, object]:
    costs = estimate(runnable(model) or model.architecture, quantization, context=context)
    return {
        f"weights at {quantization}": format_bytes(costs.weight_bytes),
        f"KV cache at {context}": format_bytes(costs.kv_bytes),
        "compute buffer": format_bytes(costs.compute_bytes),
        "memory": format_bytes(costs.memory_bytes),
        "FLOPs a generated token": format_count(costs.decode_flops_per_token),
        "bytes a generated token": format_bytes(costs.decode_bytes_per_token),
    }
