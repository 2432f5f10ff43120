"""`slm models show FILE`: what a GGUF holds, by tensor type and by part, and what it needs in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from slm_atlas.anatomy import Estimate, Quantization, estimate
from slm_atlas.cli.output import print_fields, print_json, print_table, say
from slm_atlas.errors import UserError
from slm_atlas.models.header import Header, TensorInfo
from slm_atlas.units import format_bytes, format_count

COST_CONTEXT = 4096
"""Tokens of context for which a file's memory is shown, at most: the model's own where that is shorter."""


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


def show_file(model: str, json: bool) -> None:
    """Show a file: a path, `pypi:NAME` or `hf:OWNER/REPO/FILE`; of the last, only the header is read."""
    from slm_atlas.models.shape import file_header

    name, header = file_header(model)
    facts = _facts(model, name, header)
    shares, costs = type_shares(header.tensors), _costs(header)
    if json:
        types = [share._asdict() for share in shares]
        print_json({**facts, "types": types, "parts": costs and costs.params_by_part, "estimate": costs})
        return
    print_fields(str(facts["name"]), _said(facts))
    columns = ["Type", "Tensors", "Params", "Bytes", "Share", "Bits a parameter"]
    lines = [
        (kind, count, format_count(params), format_bytes(size), f"{share:.1%}", f"{bits:.2f}")
        for kind, count, params, size, share, bits in shares
    ]
    print_table(columns, lines, right=columns[1:])
    if costs is not None:
        _print_costs(costs)


def _facts(model: str, name: Path, header: Header) -> dict[str, object]:
    """What the file is; its hash only where it is on this disk."""
    from slm_atlas.models.forge import FORGED_KEY
    from slm_atlas.models.identify import file_name, identify, match_catalogue, quantization_label, requantized_from

    local = not model.startswith("hf:")
    found = identify(name, model) if local else None
    match = match_catalogue(header)
    sizes = sum(share.size_bytes for share in type_shares(header.tensors))
    return {
        "path": str(name) if local else model,
        "name": file_name(name, header),
        "architecture": header.architecture,
        "params": header.params,
        "model_id": match.id if match else None,
        "forged": bool(header.metadata.get(FORGED_KEY, False)),
        "requantized_from": requantized_from(header),
        "size_bytes": found.size_bytes if found else None,
        "tensor_bytes": sizes,
        "sha256": found.sha256 if found else None,
        "quantization": quantization_label(header),
        "bits_per_weight": 8 * sizes / header.params if header.params and sizes else None,
    }


def _said(facts: dict[str, object]) -> dict[str, object]:
    bits, size = facts["bits_per_weight"], facts["size_bytes"]
    file = f"{format_bytes(float(str(size)))}, sha256 {facts['sha256']}" if size else "not on this disk: header only"
    params = int(str(facts["params"]))
    return {
        "architecture": facts["architecture"],
        "parameters": f"{format_count(params)} ({params:,})",
        "in the catalogue": facts["model_id"] or "no model, or several, of this shape",
        "weights": _weights(facts),
        "file": file,
        "quantization": str(facts["quantization"]) + (f", {bits:.2f} bits a parameter" if bits else ""),
    }


def _weights(facts: dict[str, object]) -> str:
    before = facts["requantized_from"]
    return "random (forged)" if facts["forged"] else f"requantized, from {before}" if before else "as published"


def _costs(header: Header) -> Estimate | None:
    """What the file needs in memory; None where its architecture or a type of its tensors is not known here."""
    from slm_atlas.models.identify import quantization_label
    from slm_atlas.models.reading import architecture
    from slm_atlas.models.shape import tensor_types_of

    try:
        arch, types = architecture(header), tensor_types_of(header)
    except UserError as error:
        say(f"No costs: {error}")
        return None
    label = quantization_label(header)
    mix = Quantization(label) if label in list(Quantization) else Quantization.F16
    return estimate(arch, mix, context=min(arch.context, COST_CONTEXT), types=types)


def _print_costs(costs: Estimate) -> None:
    parts = {
        part.replace("_", " "): f"{format_count(size)} ({size / costs.params:.1%})"
        for part, size in costs.params_by_part.items()
    }
    print_fields("Parameters by part", parts)
    print_fields(
        f"In memory at a context of {costs.context}",
        {
            "weights": format_bytes(costs.weight_bytes),
            "KV cache": format_bytes(costs.kv_bytes),
            "compute and output buffers": format_bytes(costs.compute_bytes + costs.output_bytes),
            "together": f"{format_bytes(costs.memory_bytes)}, the process itself and repacked weights not counted",
        },
    )
