"""What must hold of a model beyond the types of its fields."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import get
from slm_atlas.catalog.architecture import (
    Architecture,
    Embedding,
    ListedTensor,
    Mixer,
    MixerKind,
    Mla,
    Multipliers,
    Part,
    PerLayer,
    SlidingWindow,
)
from slm_atlas.catalog.checks import SECTIONS, check, repeated_ids
from slm_atlas.catalog.schema import Equivalent

MODEL = get("smollm-135m")


def with_heads(layers: int, heads: PerLayer, kv_heads: PerLayer) -> Architecture:
    attention = msgspec.structs.replace(MODEL.architecture.attention, heads=heads, kv_heads=kv_heads)
    return msgspec.structs.replace(MODEL.architecture, layers=layers, attention=attention)


def problems(arch: Architecture) -> list[str]:
    return check(msgspec.structs.replace(MODEL, architecture=arch))


def test_all_problems_of_a_model_are_told_at_once() -> None:
    broken = msgspec.structs.replace(MODEL, id="Bad Id", params=-1, sources={})
    assert len(check(broken)) == 2 + len(SECTIONS)


@pytest.mark.parametrize("key", ["training.tokens_billion", "architecture.attention.heads", "license", "paper.v3"])
def test_a_source_may_be_that_of_one_field(key: str) -> None:
    assert check(msgspec.structs.replace(MODEL, sources=MODEL.sources | {key: MODEL.sources["params"]})) == []


@pytest.mark.parametrize("key", ["training.tokens", "architecture.per_layer", "source", "training.", "params.x", ""])
def test_a_source_of_what_is_not_a_field_is_a_slip(key: str) -> None:
    found = check(msgspec.structs.replace(MODEL, sources=MODEL.sources | {key: MODEL.sources["params"]}))
    assert found == [f"$.sources: `{key}` is not a field of a model"]


@given(heads=st.lists(st.integers(1, 64), min_size=1, max_size=4).map(tuple), kv_heads=st.integers(1, 64))
def test_heads_are_accepted_exactly_when_divisible(heads: tuple[int, ...], kv_heads: int) -> None:
    fits = all(count % kv_heads == 0 for count in heads)
    assert (problems(with_heads(len(heads), heads, kv_heads)) == []) is fits


@given(layers=st.integers(1, 6), heads=st.lists(st.integers(-2, 4), max_size=6).map(tuple))
def test_lists_are_accepted_exactly_when_positive_and_of_fit_length(layers: int, heads: tuple[int, ...]) -> None:
    fits = len(heads) == layers and min(heads) > 0
    assert (problems(with_heads(layers, heads, 1)) == []) is fits


MLA = Mla(kv_lora_rank=32, qk_nope_head_dim=48, qk_rope_head_dim=16, v_head_dim=64)
WINDOW = SlidingWindow(size=512, full_every=4, theta=10_000.0, full_head_dim=128)
MIXER = Mixer(
    kind=MixerKind.MAMBA2, attention_layers=(0, 1), width=64, conv_kernel=4, state=16, heads=8, groups=2, norm=True
)
LISTED = ListedTensor(name="blk.{layer}.extra.weight", shape=(8, 8), part=Part.FFN, layers=(0,))
RICH = msgspec.structs.replace(
    MODEL.architecture,
    attention=msgspec.structs.replace(
        MODEL.architecture.attention, heads=4, kv_heads=4, head_dim=64, mla=MLA, window=WINDOW, softcap=50.0
    ),
    embedding=Embedding(tied=True, dim=32, per_layer=16, logit_softcap=30.0),
    position=msgspec.structs.replace(MODEL.architecture.position, none_every=4),
    multipliers=Multipliers(embedding=12.0, residual=0.2, attention=0.1, logits=8.0),
    mixer=MIXER,
    listed=(LISTED,),
)
"""A shape that has every part there is."""


def rich_with(field: str, value: object) -> Architecture:
    table: dict[str, Any] = msgspec.to_builtins(RICH)
    *path, last = field.split(".")
    part = table
    for key in path:
        part = part[key]
    assert last in part
    part[last] = value
    return msgspec.convert(table, Architecture)


def test_every_part_at_once_may_be_right() -> None:
    assert problems(RICH) == []


@pytest.mark.parametrize(
    "field",
    [
        *("layers", "hidden", "vocab", "context", "repeat", "attention.heads", "attention.kv_heads"),
        *("attention.head_dim", "attention.softcap", "attention.window.size", "attention.window.full_every"),
        *("attention.window.theta", "attention.window.full_head_dim", "attention.mla.kv_lora_rank"),
        *("attention.mla.q_lora_rank", "attention.mla.qk_nope_head_dim", "attention.mla.qk_rope_head_dim"),
        *("attention.mla.v_head_dim", "ffn.intermediate", "norm.eps", "position.theta", "position.rotary_fraction"),
        *("position.none_every", "embedding.dim", "embedding.logit_softcap", "mixer.width", "mixer.conv_kernel"),
        *("multipliers.embedding", "multipliers.residual", "multipliers.attention", "multipliers.logits"),
    ],
)
@pytest.mark.parametrize("value", [0, -1])
def test_what_must_be_positive_is(field: str, value: int) -> None:
    assert f"$.architecture.{field}: {value}" in " ".join(problems(rich_with(field, value)))


@pytest.mark.parametrize(
    "field",
    [
        *("mixer.state", "mixer.heads", "mixer.groups"),
        *("attention.reused_kv_layers", "embedding.per_layer", "position.offset"),
    ],
)
def test_what_may_be_zero_is_not_negative(field: str) -> None:
    assert problems(rich_with(field, 0)) == []
    assert problems(rich_with(field, -1)) == [f"$.architecture.{field}: -1 is negative"]


@pytest.mark.parametrize("eps", [math.inf, math.nan])
def test_a_number_is_one(eps: float) -> None:
    assert problems(rich_with("norm.eps", eps)) == [f"$.architecture.norm.eps: {eps} is not positive"]


def test_a_number_that_no_engine_keeps_is_refused() -> None:
    assert problems(rich_with("vocab", 2**31)) == [f"$.architecture.vocab: {2**31} is more than 2,147,483,647"]
    assert problems(rich_with("vocab", 2**31 - 1)) == []


@given(layers=st.lists(st.integers(-3, 40), max_size=5).map(tuple))
@pytest.mark.parametrize("field", ["mixer.attention_layers", "attention.window.full_layers"])
def test_layers_are_named_exactly_when_there_are_such(field: str, layers: tuple[int, ...]) -> None:
    found = problems(rich_with(field, layers))
    beyond = [layer for layer in layers if not 0 <= layer < 30]
    assert found == ([f"$.architecture.{field}: no layer {beyond[0]} among 30"] if beyond else [])


def test_some_layer_has_keys_and_values_of_its_own() -> None:
    assert problems(rich_with("attention.reused_kv_layers", 29)) == []
    (problem,) = problems(rich_with("attention.reused_kv_layers", 30))
    assert problem.startswith("$.architecture.attention.reused_kv_layers: 30 of 30 layers")


@given(width=st.integers(1, 64), heads=st.integers(0, 8), groups=st.integers(0, 8))
def test_a_mixer_is_accepted_exactly_when_its_channels_divide(width: int, heads: int, groups: int) -> None:
    mixer = msgspec.structs.replace(MIXER, width=width, heads=heads, groups=groups)
    fits = all(width % count == 0 for count in (heads, groups) if count)
    assert (problems(msgspec.structs.replace(RICH, mixer=mixer)) == []) is fits


def test_the_dimensions_of_a_latent_head_add_up() -> None:
    (problem,) = problems(rich_with("attention.head_dim", 63))
    assert problem.startswith("$.architecture.attention.head_dim: 63 is not the sum")


def test_an_equivalent_is_checked_too() -> None:
    other = msgspec.structs.replace(MODEL.architecture, gguf=None)
    changes: dict[str, str | int | float | bool] = {"gguf": "llama", "attention.kv_heads": 2}
    model = msgspec.structs.replace(
        MODEL, architecture=other, equivalent=Equivalent(changes=changes, differs="Fewer heads.")
    )
    (problem,) = check(model)
    assert problem.startswith("$.equivalent.changes.attention.kv_heads: 9 heads are not divisible by 2")


def test_repeated_ids_are_found() -> None:
    other = get("smollm-360m")
    assert repeated_ids([MODEL, other, MODEL]) == [MODEL.id]
    assert repeated_ids([MODEL, other]) == []
