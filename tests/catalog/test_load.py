"""The shipped catalogue is valid and complete; what is wrong in a file is named by file, model and key."""

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.catalog import Model, check, get, models, parse, select
from slm_atlas.catalog.architecture import AttentionKind, NormKind
from slm_atlas.catalog.checks import SECTIONS, repeated_ids
from slm_atlas.errors import UserError

SAMPLE = """
[[models]]
id = "tiny-1m"
name = "Tiny-1M"
family = "Tiny"
organization = "Nobody"
release = "2024-07"
license = "MIT"
variant = "base"
params = 1_000_000
in_paper = false

[models.architecture]
gguf = "llama"
layers = 2
hidden = 64
vocab = 256
context = 128
attention = { heads = 4, kv_heads = 2, head_dim = 16 }
ffn = { intermediate = 128, gated = true, activation = "silu" }
norm = { kind = "rmsnorm", eps = 1e-5 }
position = { kind = "rope" }
embedding = { tied = true }

[models.training]
tokens_billion = 1

[models.sources]
identity = { kind = "reported", where = "here" }
params = { kind = "derived", where = "here" }
architecture = { kind = "reported", where = "here" }
training = { kind = "recalled", where = "here" }
"""

SHIPPED = {
    "pythia-160m", "pythia-410m", "pythia-1b", "pythia-1.4b",
    "qwen2-0.5b", "qwen2-1.5b",
    "smollm-135m", "smollm-360m", "smollm-1.7b",
    "smollm2-135m", "smollm2-360m", "smollm2-1.7b",
    "tinyllama-1.1b",
}  # fmt: skip


def complaint(old: str, new: str) -> str:
    assert SAMPLE.count(old) == 1
    with pytest.raises(UserError) as caught:
        parse(SAMPLE.replace(old, new), "tiny.toml")
    return caught.value.message


def test_the_catalogue_ships_these_models() -> None:
    assert {model.id for model in models()} >= SHIPPED
    assert repeated_ids(models()) == []


@pytest.mark.parametrize("model", models(), ids=lambda model: model.id)
def test_a_shipped_model_is_valid_and_complete(model: Model) -> None:
    assert check(model) == []
    assert model.family.lower() in model.id.replace("-", "") or model.id.startswith(model.family.lower())
    assert all(source.where.strip() for source in model.sources.values())
    assert model.name.lower() == model.id
    assert model.hub_id is not None
    assert model.training.tokens_billion is not None
    assert model.training.tokens_billion > 0


def test_a_family_is_in_a_file_of_its_name_small_to_large() -> None:
    folder = resources.files("slm_atlas.catalog") / "data" / "models"
    for file in folder.iterdir():
        family = parse(file.read_text(encoding="utf-8"), file.name)
        assert {model.family.lower() + ".toml" for model in family} == {file.name}
        assert [model.params for model in family] == sorted(model.params for model in family)


def test_the_shipped_facts_do_not_point_into_somebodys_working_folder() -> None:
    for model in models():
        for source in model.sources.values():
            assert not re.search(r"(^|[\s(])/?(work|shared|home|tmp)/", source.where)


@pytest.mark.parametrize(
    ("model_id", "kind"),
    [
        ("smollm-1.7b", AttentionKind.MHA),
        ("smollm2-360m", AttentionKind.GQA),
        ("pythia-1b", AttentionKind.MHA),
        ("qwen2-1.5b", AttentionKind.GQA),
        ("tinyllama-1.1b", AttentionKind.GQA),
    ],
)
def test_the_attention_of_shipped_models(model_id: str, kind: AttentionKind) -> None:
    assert get(model_id).architecture.attention.kind is kind


def test_where_the_families_differ_from_llama() -> None:
    pythia, qwen = get("pythia-410m").architecture, get("qwen2-0.5b").architecture
    assert (pythia.gguf, pythia.parallel, pythia.ffn.gated, pythia.embedding.tied) == ("gptneox", True, False, False)
    assert (pythia.norm.kind, pythia.norm.bias, pythia.position.rotary_fraction) == (NormKind.LAYERNORM, True, 0.25)
    assert (pythia.attention.fused_qkv, pythia.attention.out_bias, pythia.ffn.bias) == (True, True, True)
    assert (qwen.attention.qkv_bias, qwen.attention.out_bias, qwen.ffn.bias) == (True, False, False)


def test_doubts_are_carried_along() -> None:
    assert "131072" in get("qwen2-0.5b").doubts[0]


def test_get_forgives_upper_case() -> None:
    assert get("SmolLM-135M") is get("smollm-135m")


def test_an_unknown_model_is_answered_with_those_spelled_nearly_the_same() -> None:
    with pytest.raises(UserError, match="smollm-135m") as caught:
        get("smolm-135m")
    assert caught.value.fix == "slm models list"


def test_nothing_near_nothing_suggested() -> None:
    with pytest.raises(UserError) as caught:
        get("zzz")
    assert "Did you mean" not in caught.value.message


def test_select_by_what_a_model_is() -> None:
    assert select() == models()
    assert {model.family for model in select(family="smollm")} == {"SmolLM"}
    assert all(model.organization == "EleutherAI" for model in select(organization="eleutherai"))
    assert {model.family for model in select(organization="Hugging Face", in_paper=False)} == {"SmolLM2"}
    small = select(max_params=200_000_000)
    assert {"smollm-135m", "pythia-160m"} <= {model.id for model in small}
    assert max(model.params for model in small) <= 200_000_000


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hidden = 64", 'hidden = "64"', "tiny.toml: tiny-1m: $.architecture.hidden: Expected `int`, got `str`"),
        ("hidden = 64", "", "tiny.toml: tiny-1m: $.architecture: Object missing required field `hidden`"),
        ("hidden = 64", "width = 64", "tiny.toml: tiny-1m: $.architecture: Object contains unknown field `width`"),
        ('license = "MIT"', "", "tiny.toml: tiny-1m: $: Object missing required field `license`"),
        ('license = "MIT"', "license = 'MIT'\nsize = 1", "tiny.toml: tiny-1m: $: Object contains unknown field `size`"),
        ('"silu"', '"swish"', "tiny.toml: tiny-1m: $.architecture.ffn.activation: Invalid enum value 'swish'"),
        ("in_paper = false", 'in_paper = "no"', "tiny.toml: tiny-1m: $.in_paper: Expected `bool`, got `str`"),
        ('id = "tiny-1m"', "", "tiny.toml: model 1: $: Object missing required field `id`"),
        ("[[models]]", "[[model]]", "tiny.toml: "),
        ("layers = 2", "layers = ", "tiny.toml: Invalid value (at line 15, column 10)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_file_model_and_key(old: str, new: str, says: str) -> None:
    assert complaint(old, new).startswith(says)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_has_a_source(section: str) -> None:
    line = next(line for line in SAMPLE.splitlines() if line.startswith(f"{section} = {{"))
    assert complaint(line, "") == f"tiny.toml: tiny-1m: $.sources: no source for `{section}`"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('id = "tiny-1m"', 'id = "Tiny 1M"', "$.id: 'Tiny 1M' is not"),
        ('"2024-07"', '"July 2024"', "$.release: 'July 2024' is not"),
        ('"2024-07"', '"2024-13"', "$.release: '2024-13' is not"),
        ("params = 1_000_000", "params = 0", "$.params: 0 is not positive"),
        ("vocab = 256", "vocab = 0", "$.architecture.vocab: 0 is not positive"),
        ("kv_heads = 2", "kv_heads = 3", "$.architecture.attention.kv_heads: 4 heads are not divisible by 3"),
        ("kv_heads = 2", "kv_heads = [2, 3]", "4 heads are not divisible by 3 in layer 1"),
        ("kv_heads = 2", "kv_heads = [2, 2, 2]", "$.architecture.attention.kv_heads: 3 values for 2 layers"),
        ("intermediate = 128", "intermediate = [128]", "$.architecture.ffn.intermediate: 1 values for 2 layers"),
        ("heads = 4,", "heads = [4, 0],", "$.architecture.attention.heads: (4, 0) is not positive"),
        ('kind = "rope"', 'kind = "rope", rotary_fraction = 25.0', "$.architecture.position.rotary_fraction: 25.0"),
        ("layers = 2", 'layers = 2\nblocks = ["attention"]', "$.architecture.blocks: 1 values for 2 layers"),
        ("layers = 2", 'layers = 2\nblocks = ["attention", "recurrent"]', "$.architecture.mixer: missing"),
        ("layers = 2", "layers = 2\nmixer = { width = 64 }", "$.architecture.blocks: missing"),
        ("training = {", '"training.tokens" = {', "$.sources: `training.tokens` is not a field"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_named_too(old: str, new: str, says: str) -> None:
    message = complaint(old, new)
    assert message.startswith("tiny.toml: ")
    assert says in message


def test_the_dimensions_of_a_latent_head_add_up() -> None:
    mla = "{ kv_lora_rank = 8, qk_nope_head_dim = 8, qk_rope_head_dim = 4, v_head_dim = 8 }"
    assert "$.architecture.attention.head_dim: 16" in complaint("head_dim = 16", f"head_dim = 16, mla = {mla}")


@given(st.text(max_size=200))
def test_any_text_gives_models_or_one_clear_error(text: str) -> None:
    try:
        answer = repr(parse(text, "any.toml"))
    except UserError as error:
        answer = error.message
    assert answer == "()" or answer.startswith("any.toml: ")


def test_the_example_in_the_contributing_guide_is_a_valid_model() -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    assert [model.id for model in parse(example, "CONTRIBUTING.md")] == ["tiny-100m"]


def test_reading_the_catalogue_imports_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "altair", "gguf", "llama_cpp", "lm_eval", "torch", "rich", "click")
    code = f"import sys, slm_atlas.catalog as c; c.models(); print(sorted(set(sys.modules) & set({heavy!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
