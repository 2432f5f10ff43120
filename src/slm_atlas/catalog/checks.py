"""What must hold of a model beyond the types of its fields: shapes that fit, and a source for every fact."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

from slm_atlas.catalog.architecture import Architecture, PerLayer
from slm_atlas.catalog.equivalents import runnable
from slm_atlas.catalog.schema import Model

SECTIONS = ("identity", "params", "architecture", "training")
"""The parts of a model that must each have a source."""

_ID = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_RELEASE = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")


def check(model: Model) -> list[str]:
    """What is wrong with a model; nothing, if the list is empty. Each problem starts with the key it is about."""
    return [*_identity(model), *_sources(model), *shape_problems(model.architecture), *_equivalent(model)]


def repeated_ids(models: Iterable[Model]) -> list[str]:
    """The ids that stand for more than one model."""
    return [model_id for model_id, count in Counter(model.id for model in models).items() if count > 1]


def _identity(model: Model) -> Iterator[str]:
    if not _ID.fullmatch(model.id):
        yield f"$.id: {model.id!r} is not lower-case words and numbers joined by dots or hyphens"
    if not _RELEASE.fullmatch(model.release):
        yield f"$.release: {model.release!r} is not a year and month such as 2024-07"
    if model.params <= 0:
        yield f"$.params: {model.params} is not positive"


def _sources(model: Model) -> Iterator[str]:
    for section in SECTIONS:
        if section not in model.sources:
            yield f"$.sources: no source for `{section}`"
    for key in model.sources:
        if not _names_a_fact(model, key):
            yield f"$.sources: `{key}` is not a field of a model"


def _names_a_fact(model: Model, key: str) -> bool:
    if key in SECTIONS:
        return True
    value: object = model
    for part in key.split("."):
        if part not in getattr(value, "__struct_fields__", ()):
            return False
        value = getattr(value, part)
    return True


def _equivalent(model: Model) -> Iterator[str]:
    ways = {
        "architecture.gguf": model.architecture.gguf,
        "equivalent": model.equivalent,
        "not_run": model.not_run,
    }
    given = [name for name, value in ways.items() if value is not None]
    if len(given) != 1:
        yield f"$: exactly one of {', '.join(ways)} says what llama.cpp runs, not {' and '.join(given) or 'none'}"
    if model.equivalent is None:
        return
    if model.architecture.gguf is not None:
        return
    try:
        arch = runnable(model)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        yield f"$.equivalent.changes: {error}"
        return
    if arch is None or arch.gguf is None:
        yield "$.equivalent.changes: `gguf` is missing"
    else:
        yield from shape_problems(arch)


def shape_problems(arch: Architecture) -> Iterator[str]:
    """What is wrong with a shape; each problem starts with the key it is about."""
    fields: dict[str, PerLayer] = {
        "layers": arch.layers,
        "hidden": arch.hidden,
        "vocab": arch.vocab,
        "context": arch.context,
        "repeat": arch.repeat,
        "attention.heads": arch.attention.heads,
        "attention.kv_heads": arch.attention.kv_heads,
        "attention.head_dim": arch.attention.head_dim,
        "ffn.intermediate": arch.ffn.intermediate,
    }
    unfit = [*_bad_values(arch, fields), *_bad_mixer(arch)]
    yield from unfit or _bad_heads(arch)


def _bad_values(arch: Architecture, fields: dict[str, PerLayer]) -> Iterator[str]:
    for name, value in fields.items():
        if isinstance(value, tuple) and len(value) != arch.layers:
            yield f"$.architecture.{name}: {len(value)} values for {arch.layers} layers"
        if min(value if isinstance(value, tuple) else (value,), default=1) <= 0:
            yield f"$.architecture.{name}: {value} is not positive"
    if not 0 < arch.position.rotary_fraction <= 1:
        yield f"$.architecture.position.rotary_fraction: {arch.position.rotary_fraction} is not in (0, 1]"


def _bad_mixer(arch: Architecture) -> Iterator[str]:
    mixer = arch.mixer
    if mixer is None:
        return
    beyond = [layer for layer in mixer.attention_layers if not 0 <= layer < arch.layers]
    if beyond:
        yield f"$.architecture.mixer.attention_layers: no layer {beyond[0]} among {arch.layers}"
    if mixer.width <= 0 or mixer.conv_kernel <= 0:
        yield f"$.architecture.mixer: width {mixer.width} and conv_kernel {mixer.conv_kernel} must be positive"
    parts = {"heads": mixer.heads, "groups": mixer.groups}
    for name, count in parts.items():
        if count and mixer.width % count:
            yield f"$.architecture.mixer.{name}: {mixer.width} channels are not divisible by {count}"


def _bad_heads(arch: Architecture) -> Iterator[str]:
    attention = arch.attention
    pairs = zip(arch.per_layer(attention.heads), arch.per_layer(attention.kv_heads), strict=True)
    for layer, (heads, kv_heads) in enumerate(pairs):
        if heads % kv_heads:
            yield f"$.architecture.attention.kv_heads: {heads} heads are not divisible by {kv_heads} in layer {layer}"
            return
    mla = attention.mla
    if mla and attention.head_dim != mla.qk_nope_head_dim + mla.qk_rope_head_dim:
        yield f"$.architecture.attention.head_dim: {attention.head_dim} is not the sum of the latent's two parts"
