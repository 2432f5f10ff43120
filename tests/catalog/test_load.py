"""The shipped catalogue is valid and complete; what is wrong in a file is named by file, model and key."""

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.anatomy import inventory
from slm_atlas.catalog import check, draft, get, models, parse
from slm_atlas.catalog.architecture import AttentionKind, NormKind
from slm_atlas.catalog.checks import SECTIONS, repeated_ids
from slm_atlas.catalog.schema import Verified
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
verified = "formula"

[models.paper]
v1 = true
fig2b = false

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
datasets = ["The Pile"]

[models.sources]
identity = { kind = "reported", where = "here" }
params = { kind = "derived", where = "here" }
architecture = { kind = "reported", where = "here" }
training = { kind = "recalled", where = "here" }
"""

EQUIVALENT = """
[models.equivalent]
changes = { gguf = "llama", "attention.qk_norm" = "none" }
differs = "The norm of queries and keys is left out."

[models.training]
"""


MIXER = 'mixer = {{ kind = "mamba", attention_layers = [{}], width = 64, conv_kernel = 4 }}'
LISTED = 'listed = [{{ name = "blk.{{{{layer}}}}.x", shape = [8], part = "ffn", layers = [{}] }}]'


def complaint(old: str, new: str) -> str:
    assert SAMPLE.count(old) == 1
    with pytest.raises(UserError) as caught:
        parse(SAMPLE.replace(old, new), "tiny.toml")
    return caught.value.message


# ---- what is shipped ------------------------------------------------------------------------------------------------


def test_the_catalogue_ships_145_models_each_once() -> None:
    assert len(models()) == 145
    assert repeated_ids(models()) == []
    assert len({model.name for model in models()}) == 145


def test_a_shipped_model_is_valid_and_complete() -> None:
    for model in models():
        assert check(model) == [], model.id
        assert all(source.where.strip() for source in model.sources.values()), model.id
        assert (model.hub_id is not None) is model.open_weights, model.id
        assert model.training.tokens_billion or model.training.tokens_note, f"{model.id}: no number without a reason"
        assert not any("Drafted" in doubt for doubt in model.doubts), model.id
        assert "?" not in (model.organization, model.license), model.id


def test_a_published_number_of_parameters_is_the_one_counted_or_close_to_it() -> None:
    for model in models():
        published = model.params_published or model.params
        close = published == pytest.approx(model.params, rel=0.05)
        assert close or published == pytest.approx(model.params_untied, rel=0.01), model.id


def test_a_model_that_was_tuned_names_one_it_was_tuned_from() -> None:
    assert {model.id for model in models() if model.training.finetune_datasets and not model.base_model} == set()


def test_a_family_is_in_a_file_of_its_name_small_to_large() -> None:
    folder = resources.files("slm_atlas.catalog") / "data" / "models"
    for file in folder.iterdir():
        family = parse(file.read_text(encoding="utf-8"), file.name)
        assert {draft.file_name(model.family) for model in family} == {file.name}
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
        ("gemma-3-1b", AttentionKind.MQA),
        ("minicpm3-4b", AttentionKind.MLA),
        ("lfm2-350m", AttentionKind.HYBRID),
        ("falcon-h1-0.5b", AttentionKind.HYBRID),
        ("zamba2-1.2b", AttentionKind.HYBRID),
        ("recurrentgemma-2b", AttentionKind.HYBRID),
    ],
)
def test_the_attention_of_shipped_models(model_id: str, kind: AttentionKind) -> None:
    assert get(model_id).architecture.attention_kind is kind


def test_where_the_families_differ_from_llama() -> None:
    pythia, qwen = get("pythia-410m").architecture, get("qwen2-0.5b").architecture
    assert (pythia.gguf, pythia.parallel, pythia.ffn.gated, pythia.embedding.tied) == ("gptneox", True, False, False)
    assert (pythia.norm.kind, pythia.norm.bias, pythia.position.rotary_fraction) == (NormKind.LAYERNORM, True, 0.25)
    assert (pythia.attention.fused_qkv, pythia.attention.out_bias, pythia.ffn.bias) == (True, True, True)
    assert (qwen.attention.qkv_bias, qwen.attention.out_bias, qwen.ffn.bias) == (True, False, False)


def test_what_runs_in_place_of_models_that_llama_cpp_does_not_run() -> None:
    assert get("bitnet-b1.58-2b-4t").equivalent is not None
    assert get("mobillama-0.5b").architecture.ffn.shared
    for model_id in ("hymba-1.5b", "opt-350m", "recurrentgemma-2b", "zamba2-1.2b", "zamba2-2.7b"):
        assert get(model_id).architecture.gguf is None
        assert get(model_id).equivalent is None


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


# ---- what is wrong with a file --------------------------------------------------------------------------------------


def test_a_file_says_what_it_says() -> None:
    (model,) = parse(SAMPLE, "tiny.toml")
    assert (model.id, model.params, model.verified) == ("tiny-1m", 1_000_000, Verified.FORMULA)
    assert (model.paper.v1, model.paper.v3) == (True, False)
    assert (model.equivalent, model.architecture.mixer, model.architecture.listed) == (None, None, ())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("hidden = 64", 'hidden = "64"', "tiny.toml: tiny-1m: $.architecture.hidden: Expected `int`, got `str`"),
        ("hidden = 64", "", "tiny.toml: tiny-1m: $.architecture: Object missing required field `hidden`"),
        ("hidden = 64", "width = 64", "tiny.toml: tiny-1m: $.architecture: Object contains unknown field `width`"),
        ('license = "MIT"', "", "tiny.toml: tiny-1m: $: Object missing required field `license`"),
        ('license = "MIT"', "license = 'MIT'\nsize = 1", "tiny.toml: tiny-1m: $: Object contains unknown field `size`"),
        ('"silu"', '"swish"', "tiny.toml: tiny-1m: $.architecture.ffn.activation: Invalid enum value 'swish'"),
        ("v1 = true", 'v1 = "no"', "tiny.toml: tiny-1m: $.paper.v1: Expected `bool`, got `str`"),
        ("v1 = true", "v2 = true", "tiny.toml: tiny-1m: $.paper: Object contains unknown field `v2`"),
        ("v1 = true", "in_paper = true", "tiny.toml: tiny-1m: $.paper: Object contains unknown field `in_paper`"),
        ("v1 = true", "counts_as = {}", "tiny.toml: tiny-1m: $.paper.counts_as: Object missing required field `basis`"),
        ('verified = "formula"', "", "tiny.toml: tiny-1m: $: Object missing required field `verified`"),
        ('verified = "formula"', 'verified = "hoped"', "tiny.toml: tiny-1m: $.verified: Invalid enum value 'hoped'"),
        ('variant = "base"', 'variant = "chat"', "tiny.toml: tiny-1m: $.variant: Invalid enum value 'chat'"),
        ('datasets = ["The Pile"]', "datasets = [1]", "tiny.toml: tiny-1m: $.training.datasets[0]: Expected `str`"),
        ("layers = 2", "layers = 2\nblocks = 1", "tiny.toml: tiny-1m: $.architecture: Object contains unknown field `"),
        ("layers = 2", "layers = 2\nmixer = {}", "tiny.toml: tiny-1m: $.architecture.mixer: Object missing required"),
        ("layers = 2", "layers = 2\nlisted = [{}]", "tiny.toml: tiny-1m: $.architecture.listed[0]: Object missing req"),
        ('kind = "derived"', 'kind = "known"', "tiny.toml: tiny-1m: $.sources[...].kind: Invalid enum value 'known'"),
        ('id = "tiny-1m"', "", "tiny.toml: model 1: $: Object missing required field `id`"),
        ("[[models]]", "[[model]]", "tiny.toml: "),
        ("layers = 2", "layers = ", "tiny.toml: Invalid value (at line 19, column 10)"),
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
        ("layers = 2", f"layers = 2\n{MIXER.format(2)}", "$.architecture.mixer.attention_layers: no layer 2 among 2"),
        ("layers = 2", f"layers = 2\n{MIXER.format(-1)}", "$.architecture.mixer.attention_layers: no layer -1 among 2"),
        ("layers = 2", f"layers = 2\n{LISTED.format(2)}", "$.architecture.listed: no layer 2 among 2"),
        ("layers = 2", "layers = 20_000", "$.architecture.layers: 20000 is more than 10,000"),
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


class TestEquivalents:
    def complaint(self, old: str, new: str) -> str:
        text = SAMPLE.replace('gguf = "llama"\n', "").replace("\n[models.training]\n", EQUIVALENT)
        assert parse(text, "tiny.toml")[0].equivalent is not None
        assert text.count(old) == 1
        with pytest.raises(UserError) as caught:
            parse(text.replace(old, new), "tiny.toml")
        return caught.value.message

    @pytest.mark.parametrize(
        ("old", "new", "says"),
        [
            ("attention.qk_norm", "attention.qk_norms", "changes: `attention.qk_norms` is not a field of"),
            ("attention.qk_norm", "qk_norm", "changes: `qk_norm` is not a field of"),
            ("attention.qk_norm", "mixer.width", "changes: `mixer.width` is not a field of"),
            ("attention.qk_norm", "hidden.width", "changes: `hidden.width` is not a field of"),
            ("attention.qk_norm", "attentions.qk_norm", "changes: `attentions.qk_norm` is not a field of"),
            ('"none"', '"never"', "changes: Invalid enum value 'never' - at `$.attention.qk_norm`"),
            ('"none"', "3", "changes: Expected `str`, got `int` - at `$.attention.qk_norm`"),
            ('gguf = "llama", ', "", "changes: `gguf` is missing"),
            ('"attention.qk_norm" = "none"', '"attention.kv_heads" = 3', "changes.attention.kv_heads: 4 heads are not"),
            ('"attention.qk_norm" = "none"', "hidden = 0", "changes.hidden: 0 is not positive"),
            ('"none"', "[]", "changes[...]: Expected `bool | int | float | str`, got `array`"),
            ("differs = ", "# differs = ", ": Object missing required field `differs`"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, old: str, new: str, says: str) -> None:
        message = self.complaint(old, new)
        assert message.startswith("tiny.toml: tiny-1m: $.equivalent")
        assert says in message

    def test_what_llama_cpp_runs_needs_none(self) -> None:
        message = complaint("\n[models.training]\n", EQUIVALENT)
        assert message.startswith("tiny.toml: tiny-1m: $: exactly one of architecture.gguf, equivalent, not_run says")
        assert message.endswith("not architecture.gguf and equivalent")


@given(st.text(max_size=200))
def test_any_text_gives_models_or_one_clear_error(text: str) -> None:
    try:
        answer = repr(parse(text, "any.toml"))
    except UserError as error:
        answer = error.message
    assert answer == "()" or answer.startswith("any.toml: ")


def test_nonsense_without_end_is_one_clear_error() -> None:
    with pytest.raises(UserError, match=r"^deep\.toml: "):
        parse("x = " + "[" * 100_000, "deep.toml")


def test_the_example_in_the_contributing_guide_is_a_valid_model() -> None:
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (model,) = parse(example, "CONTRIBUTING.md")
    assert model.id == "tiny-100m"
    assert model.params == sum(tensor.size for tensor in inventory(model.architecture))
    assert "slm models add --from" in guide


def test_reading_the_catalogue_imports_nothing_heavy() -> None:
    heavy = ("numpy", "scipy", "vl_convert", "gguf", "llama_cpp", "lm_eval", "torch", "rich", "click")
    code = f"import sys, slm_atlas.catalog as c; c.models(); print(sorted(set(sys.modules) & set({heavy!r})))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
