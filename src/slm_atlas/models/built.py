"""A model that transformers builds with random weights: `transformers:opt-125m`, from the catalogue's configuration.

There is no file of weights. What determines the model (configuration, number type, seed) is written to a small order,
whose hash is the model's identity, and which the engine is given.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from slm_atlas import catalog, home
from slm_atlas.anatomy import Quantization, TensorType, inventory
from slm_atlas.anatomy.costs import decode_bytes, flops_per_token
from slm_atlas.catalog.configs import config_of
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import UnusableModel, UserError
from slm_atlas.store.records import Artifact

PREFIX = "transformers:"
DTYPES = {Quantization.F32: "float32", Quantization.BF16: "bfloat16"}
"""Number types, by the label that asks for them. float32 is the default: it is what a processor computes in anyway."""
SEED = 0


class Built(NamedTuple):
    """A model to be built."""

    path: Path
    """Its order."""
    artifact: Artifact
    """What it is."""
    decode_bytes: float
    """Bytes of weights read for a token."""
    flops_per_token: float
    """FLOPs of a prompt token, without its logits."""


def is_built(model: str) -> bool:
    """Whether it is a model for transformers to build."""
    return model.startswith(PREFIX)


def build(model: str, quantization: Quantization | None = None) -> Built:
    """Write the order of a model, if it is not there.

    Args:
        model: a catalogue id, `transformers:` before it or not.
        quantization: `F32` (the default) or `BF16`.

    Raises:
        UserError: no such model, none that transformers builds, or a number type that it does not compute in here.
    """
    label = quantization or Quantization.F32
    if label not in DTYPES:
        raise UserError(f"transformers runs {' or '.join(DTYPES)} here, not {label}.", "--quant BF16")
    known = _known(model)
    order = {"config": _config(known), "dtype": DTYPES[label], "seed": SEED, "params": known.params}
    text = json.dumps(order, sort_keys=True, indent=1)
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    path = _write(text, f"{known.id}-{DTYPES[label]}-{sha256[:8]}.json")
    arch, kind = known.architecture, TensorType(label)
    tensors = inventory(arch)
    types = {tensor.name: kind for tensor in tensors}
    least = decode_bytes(arch, tensors, types, depth=0)
    return Built(path, _artifact(known, label, sha256), least, flops_per_token(arch, depth=0, head=0))


def _known(model: str) -> Model:
    name = model.removeprefix(PREFIX)
    if ":" in name or "/" in name or name.endswith(".gguf"):
        raise UserError(f"transformers builds models of the catalogue; '{name}' is a file.", "slm models list")
    return catalog.get(name)


def _config(known: Model) -> dict[str, Any]:
    """The configuration of a class that transformers has: the model's own, or the equivalent's."""
    found = config_of(known.id)
    config = None if found is None else found.config if found.native else found.equivalent
    if config is None:
        raise UserError(f"transformers does not build {known.name} without its authors' code.", f"slm bench {known.id}")
    return config


def _artifact(known: Model, label: Quantization, sha256: str) -> Artifact:
    size = known.params * (4 if label is Quantization.F32 else 2)
    return Artifact(
        sha256=sha256,
        name=known.name,
        model_id=known.id,
        origin=f"{PREFIX}{known.id}@{DTYPES[label]}",
        forged=True,
        architecture=str(_config(known)["model_type"]),
        quantization=label,
        params=known.params,
        size_bytes=size,
        tensor_bytes={label: size},
    )


def _write(text: str, name: str) -> Path:
    path = home.models_dir() / "transformers" / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as error:
        fix = "free some disk, or set SLM_ATLAS_HOME"
        raise UnusableModel(f"Cannot write {path}: {error.strerror}.", fix) from error
    return path
