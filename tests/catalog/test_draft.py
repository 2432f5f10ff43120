"""The catalogue's TOML as it is written: it reads back as what it was."""

from __future__ import annotations

import tomllib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import draft, load
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.configs import configs
from slm_atlas.catalog.draft import Identity
from slm_atlas.catalog.huggingface import architecture
from slm_atlas.catalog.schema import Equivalent, Variant, Verified

TINY = Identity("tiny-1m", 'Tiny "1M"', "Tiny", "tiny-lab/Tiny-1M", "tiny-lab/Tiny-1M:config.json")


def in_toml(text: str, name: str) -> Any:
    return tomllib.loads(text)["models"][name]


def test_an_architecture_is_read_as_it_was_written() -> None:
    for model_id, known in configs().items():
        arch = architecture(known.config)
        text = draft.architecture(arch)
        assert msgspec.convert(in_toml(text, "architecture"), Architecture) == arch, model_id
        assert all(len(line) <= draft.WIDTH for line in text.splitlines() if not line.startswith("    {")), model_id


def test_a_table_is_written_in_the_catalogues_style(tiny_arch: Architecture) -> None:
    assert draft.architecture(tiny_arch) == (
        "[models.architecture]\n"
        'gguf      = "llama"\n'
        "layers    = 2\n"
        "hidden    = 256\n"
        "vocab     = 512\n"
        "context   = 512\n"
        "attention = { heads = 4, kv_heads = 2, head_dim = 64 }\n"
        'ffn       = { intermediate = 512, gated = true, activation = "silu" }\n'
        'norm      = { kind = "rmsnorm", eps = 1e-5 }\n'
        'position  = { kind = "rope" }\n'
        "embedding = { tied = true }\n"
    )


def test_what_is_too_long_for_a_line_has_a_table_of_its_own() -> None:
    text = draft.architecture(architecture(configs()["openelm-1.1b"].config))
    assert "\n[models.architecture.attention]\nheads     = [\n    16, 16," in text
    assert "\nkv_heads  = [4, 4," in text


def test_an_equivalent_is_written_with_its_dotted_fields() -> None:
    given = Equivalent(changes={"gguf": "llama", "ffn.shared": False, "x.y": 0.5}, differs="Nothing.")
    text = draft.equivalent(given)
    assert text.startswith('[models.equivalent]\nchanges = { gguf = "llama", "ffn.shared" = false, "x.y" = 0.5 }\n')
    assert msgspec.convert(in_toml(text, "equivalent"), Equivalent) == given


@given(
    st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.booleans())
)
def test_a_value_is_read_as_it_was_written(value: object) -> None:
    read = tomllib.loads(f"x = {draft.value(value)}")["x"]
    assert read == value
    assert type(read) is type(value)


# ---- a whole model ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model_id", ["gpt2-124m", "openelm-270m", "qwen3.5-0.8b", "zamba2-1.2b", "opt-350m"])
def test_a_draft_is_a_model_of_the_catalogue(model_id: str) -> None:
    arch = architecture(configs()[model_id].config)
    (model,) = load.parse(draft.draft(arch, TINY, params=1_234_567), "tiny.toml")
    assert (model.id, model.name, model.family, model.hub_id) == TINY[:4]
    assert (model.architecture, model.params) == (arch, 1_234_567)
    assert (model.variant, model.verified) == (Variant.BASE, Verified.FORMULA)
    assert model.source("architecture").where == TINY.where


def test_a_draft_says_what_is_left_to_fill_in(tiny_arch: Architecture) -> None:
    (model,) = load.parse(draft.draft(tiny_arch, TINY._replace(hub_id=None), params=1), "tiny.toml")
    assert model.hub_id is None
    assert all(doubt.startswith("Drafted: ") for doubt in model.doubts)
    assert not any("equivalent" in doubt for doubt in model.doubts)
    (other,) = load.parse(draft.draft(msgspec.structs.replace(tiny_arch, gguf=None), TINY, params=1), "tiny.toml")
    assert "equivalent" in other.doubts[-1]
