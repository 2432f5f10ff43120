"""`slm models`: listing, choosing, comparing, showing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.catalog import Selection, load, runnable, select
from slm_atlas.catalog.architecture import (
    Attention,
    Embedding,
    Mixer,
    MixerKind,
    Mla,
    Multipliers,
    Norm,
    NormKind,
    NormPlacement,
    PositionKind,
    QkNorm,
    SlidingWindow,
)
from slm_atlas.catalog.schema import Model
from slm_atlas.catalog.words import architecture_fields, attention_words, embedding_words, mixer_words, norm_words
from slm_atlas.cli.main import cli
from slm_atlas.cli.models import COLUMNS
from slm_atlas.models import hub

GIB = 2**30


def slm(*args: str) -> Result:
    return CliRunner().invoke(cli, ["models", *args], catch_exceptions=False)


def listed(*args: str) -> list[str]:
    result = slm("list", "--json", *args)
    assert result.exit_code == 0, result.stderr
    return [model["id"] for model in json.loads(result.stdout)]


def shown(*args: str) -> str:
    result = slm("show", *args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def fields(text: str) -> dict[str, str]:
    """What stands behind each name, the last where there are several."""
    pairs = (line.strip().partition("  ") for line in text.splitlines() if "  " in line.strip())
    return {name: value.strip() for name, _, value in pairs}


# ---- list -----------------------------------------------------------------------------------------------------------


def test_the_list_has_a_line_for_every_model() -> None:
    heading, _, *lines = slm("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [model.id for model in load.models()]
    assert heading.split() == list(COLUMNS)


def test_a_line_says_how_a_model_is_built() -> None:
    lines = {line.split()[0]: line.split()[1:] for line in slm("list").stdout.splitlines()[2:]}
    assert lines["smollm-135m"] == ["134.5M", "30", "576", "49,152", "2,048", "600.0B", "GQA", "2024-07"]
    assert lines["gpt2-124m"][-3:] == ["–", "MHA", "2019-02"]
    assert lines["zamba2-1.2b"][-2:] == ["hybrid", "2024-08"]


def test_json_is_the_catalogue() -> None:
    found = msgspec.json.decode(slm("list", "--json").stdout, type=tuple[Model, ...])
    assert found == load.models()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--family", "smollm"], Selection(family="SmolLM")),
        (["--organization", "google"], Selection(organization="Google")),
        (["--license", "apache"], Selection(license="Apache")),
        (["--year", "2023"], Selection(year=2023)),
        (["--in", "paper"], Selection(in_paper=True)),
        (["--in", "others"], Selection(in_paper=False)),
        (["--min-params", "3B"], Selection(min_params=3_000_000_000)),
        (["--max-params", "200M"], Selection(max_params=200_000_000)),
        (["--attention", "mla"], Selection(attention="MLA")),
        (["--attention", "hybrid"], Selection(attention="hybrid")),
        (["--ffn", "standard"], Selection(ffn="standard")),
        (["--dataset", "the pile"], Selection(dataset="The Pile")),
        (["--algorithm", "muP"], Selection(algorithm="muP")),
        (["--runnable"], Selection(runnable=True)),
        (["--not-runnable"], Selection(runnable=False)),
        (["--family", "opt", "--year", "2022", "--runnable"], Selection(family="OPT", year=2022, runnable=True)),
    ],
)  # fmt: skip
def test_each_option_chooses(options: list[str], wanted: Selection) -> None:
    found = listed(*options)
    assert found == [model.id for model in select(wanted)]
    assert 0 < len(found) < len(load.models())


def test_the_survey_s_models_and_the_others_are_all() -> None:
    assert sorted(listed("--in", "paper") + listed("--in", "others")) == sorted(model.id for model in load.models())


def test_no_match_is_said_and_is_no_error() -> None:
    result = slm("list", "--family", "none")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No model" in result.stderr
    assert listed("--family", "none") == []


@pytest.mark.parametrize(
    "options", [["--in", "between"], ["--attention", "none"], ["--sort", "colour"], ["--year", "x"], ["--fits", "x"]]
)
def test_a_value_that_is_none_is_one_line_and_2(options: list[str]) -> None:
    result = slm("list", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert options[0] in line


# ---- what fits ------------------------------------------------------------------------------------------------------


def memory(model: Model, context: int, quantization: Quantization = Quantization.Q4_K_M) -> int:
    return estimate(runnable(model) or model.architecture, quantization, context=context).memory_bytes


def test_what_fits_fits_at_4096_tokens_or_as_many_as_the_model_knows() -> None:
    fitting = {model.id for model in load.models() if memory(model, min(4096, model.architecture.context)) <= GIB}
    assert set(listed("--fits", "1GiB")) == fitting
    assert "smollm-135m" in fitting
    assert "smollm3-3b" not in fitting


def test_a_context_asked_for_is_one_that_a_model_was_trained_for() -> None:
    fitting = {model.id for model in load.models() if model.architecture.context >= 8192 and memory(model, 8192) <= GIB}
    assert set(listed("--fits", "1GiB", "--context", "8192")) == fitting
    assert "smollm2-135m" in fitting
    assert "smollm-135m" not in fitting


def test_a_smaller_quantization_lets_more_fit() -> None:
    large, small = set(listed("--fits", "1GiB", "--quant", "F16")), set(listed("--fits", "1GiB", "--quant", "q2_k"))
    assert large < small


def test_what_fits_is_shown_with_its_memory() -> None:
    heading, _, *lines = slm("list", "--fits", "400MiB", "--family", "smollm").stdout.splitlines()
    assert heading.split()[-1] == "Memory"
    assert [line.split()[0] for line in lines] == ["smollm-135m"]
    assert lines[0].endswith("MiB")


def test_nothing_fits_in_nothing() -> None:
    assert listed("--fits", "1M") == []


# ---- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sort", "key"),
    [
        ("name", lambda model: model.id),
        ("params", lambda model: model.params),
        ("release", lambda model: model.release),
        ("tokens", lambda model: model.training.tokens_billion or 0),
        ("context", lambda model: model.architecture.context),
        ("vocabulary", lambda model: model.architecture.vocab),
        ("depth", lambda model: model.architecture.layers),
        ("width", lambda model: model.architecture.hidden),
    ],
)
def test_the_list_can_be_sorted(sort: str, key: Any) -> None:
    rising = [key(load.get(model)) for model in listed("--sort", sort)]
    falling = [key(load.get(model)) for model in listed("--sort", sort, "--descending")]
    assert rising == sorted(rising)
    assert falling == rising[::-1]
    assert len(rising) == len(load.models())


def test_descending_alone_turns_the_list_around() -> None:
    assert listed("--descending") == listed()[::-1]


# ---- compare --------------------------------------------------------------------------------------------------------


class TestCompare:
    def test_what_is_the_same_for_all_stands_last(self) -> None:
        lines = slm("compare", "smollm-135m", "smollm-360m").stdout.splitlines()
        assert lines[0].split() == ["smollm-135m", "smollm-360m"]
        names = [line.partition("  ")[0] for line in lines[2:]]
        differing = ("parameters", "layers", "hidden size", "attention", "memory")
        assert max(map(names.index, differing)) < min(map(names.index, ("released", "vocabulary", "context", "norm")))

    def test_json_has_every_fact_of_every_model(self) -> None:
        result = slm("compare", "smollm-135m", "zamba2-1.2b", "--quant", "Q8_0", "--context", "1K", "--json")
        assert result.exit_code == 0
        found = json.loads(result.stdout)
        assert list(found) == ["smollm-135m", "zamba2-1.2b"]
        assert found["smollm-135m"]["parameters"] == "134.5M"
        assert "other layers" in found["zamba2-1.2b"]
        assert "other layers" not in found["smollm-135m"]
        assert {"weights at Q8_0", "KV cache at 1000", "memory", "training tokens"} <= set(found["zamba2-1.2b"])

    def test_what_one_has_and_another_has_not_is_a_dash(self) -> None:
        lines = slm("compare", "smollm-135m", "lfm2-350m").stdout.splitlines()
        (mixing,) = (line for line in lines if line.startswith("other layers"))
        assert mixing.split()[2] == "–"

    def test_the_costs_are_those_of_what_runs(self) -> None:
        found = json.loads(slm("compare", "mobillama-0.5b", "--json").stdout)
        shape = runnable(load.get("mobillama-0.5b"))
        assert shape is not None
        weights = estimate(shape, Quantization.Q4_K_M, context=4096).weight_bytes
        assert found["mobillama-0.5b"]["weights at Q4_K_M"] == f"{weights / 2**20:.1f} MiB"

    @pytest.mark.parametrize(("model", "share"), [("smollm-135m", "21%"), ("gemma-4-e2b", "60%"), ("opt-350m", "9%")])
    def test_the_share_of_the_embedding_counts_all_of_it_in_its_own_width(self, model: str, share: str) -> None:
        assert json.loads(slm("compare", model, "--json").stdout)[model]["in the embedding"] == share

    @pytest.mark.parametrize(("arguments", "said"), [(["smollm-136m"], "No model"), ([], "Missing argument")])
    def test_wrong_input_is_one_line_and_2(self, arguments: list[str], said: str) -> None:
        result = slm("compare", *arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


# ---- show a model ---------------------------------------------------------------------------------------------------


def test_every_model_can_be_shown_with_its_sources() -> None:
    for found in load.models():
        text = shown(found.id)
        expected = [found.name, found.organization, f"{found.params:,}", found.verified]
        expected += [found.architecture.gguf or "cannot run"]
        assert [words for words in expected if words not in text] == [], found.id
        folded = "".join(text.split())  # a source that is longer than a line is folded
        told = [*(source.where for source in found.sources.values()), *found.doubts]
        assert [words for words in told if "".join(words.split()) not in folded] == [], found.id


def test_a_hybrid_is_shown_with_what_mixes_tokens() -> None:
    found = fields(shown("lfm2-350m"))
    assert found["other layers"].startswith("short_conv in 10 of 16 layers, 1024 wide")
    beside = fields(shown("falcon-h1-0.5b"))
    assert beside["other layers"].startswith("mamba2 beside attention in 36 of 36 layers")


def test_latent_attention_is_shown_with_its_latent() -> None:
    assert "MLA: 40 query heads, 40 key-value heads, 96 wide, latent 256 wide" in shown("minicpm3-4b")


def test_what_runs_as_an_equivalent_is_shown_with_what_differs() -> None:
    found = fields(shown("bitnet-b1.58-2b-4t"))
    assert found["as"] == "bitnet: SiLU in place of squared ReLU."
    assert found["in llama.cpp"] == "cannot run"
    assert "as" not in fields(shown("smollm-135m"))


def test_a_model_whose_tensors_are_listed_is_shown() -> None:
    found = fields(shown("zamba2-1.2b"))
    assert found["in llama.cpp"] == "cannot run"
    assert found["other layers"].startswith("mamba2 beside attention in 6 of 38 layers, alone in the others, 4096 wide")


def test_where_the_survey_has_a_model_is_shown() -> None:
    counted, other = shown("opt-125m"), shown("smollm3-3b")
    assert fields(counted)["first version"] == "counted"
    assert fields(counted)["counted as"].startswith("datasets The Pile and CCNewsV2 and PushShift.io Reddit (Figure 3")
    assert fields(shown("fox-1-1.6b"))["counted as"].startswith("datasets none (")
    assert fields(other)["first version"] == "not counted"
    assert "counted as" not in fields(other)


def test_weights_that_cannot_be_had_and_a_tuned_model_are_told() -> None:
    assert fields(shown("pangu-pi-1b"))["released"].endswith("weights not open")
    tuned = fields(shown("dolly-v2-3b"))
    assert tuned["variant"] == "instruct, from pythia-2.8b"
    assert tuned["tuned on"] == "databricks-dolly-15k"


def test_a_tied_head_is_counted_too_as_the_survey_does() -> None:
    assert "with the head counted too" in shown("smollm-135m")
    assert "with the head counted too" not in shown("pythia-160m")


def test_show_json_is_the_model() -> None:
    assert msgspec.json.decode(shown("smollm-135m", "--json"), type=Model) == load.get("smollm-135m")


def test_an_unknown_model_is_one_line_and_2() -> None:
    result = slm("show", "smollm-136m")
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert "slm models list" in result.stderr


# ---- an architecture in words ---------------------------------------------------------------------------------------


def test_attention_in_words() -> None:
    window = SlidingWindow(size=512, full_every=6, theta=10_000.0)
    gemma = Attention(heads=4, kv_heads=1, head_dim=256, qk_norm=QkNorm.HEAD, window=window, reused_kv_layers=20)
    assert attention_words(gemma) == (
        "MQA: 4 query heads, 1 key-value heads, 256 wide, norm on queries and keys (head), "
        "window of 512 tokens, every 6th layer sees all, theta 10,000 in the window, "
        "the last 20 layers use keys and values of earlier ones"
    )
    mla = Mla(kv_lora_rank=256, q_lora_rank=768, qk_nope_head_dim=64, qk_rope_head_dim=32, v_head_dim=64)
    assert "latent 256 wide" in attention_words(Attention(heads=40, kv_heads=40, head_dim=96, mla=mla))
    odd = Attention(
        heads=4, kv_heads=4, head_dim=64, qkv_bias=True, out_bias=True, sub_norm=True, output_gate=True, softcap=50.0
    )
    assert attention_words(odd) == (
        "MHA: 4 query heads, 4 key-value heads, 64 wide, biases on queries, keys and values, bias on the output, "
        "norm before the output, gated output, scores capped at 50"
    )


@pytest.mark.parametrize(("every", "said"), [(2, "every 2nd layer"), (3, "every 3rd layer"), (5, "every 5th layer")])
def test_the_layers_that_see_all_are_counted(every: int, said: str) -> None:
    window = SlidingWindow(size=512, full_every=every)
    assert said in attention_words(Attention(heads=4, kv_heads=1, head_dim=256, window=window))


def test_a_mixer_in_words() -> None:
    mixer = Mixer(kind=MixerKind.RG_LRU, attention_layers=(2, 5), width=2560, conv_kernel=4, heads=10)
    assert mixer_words(mixer, 8) == "rg_lru in 6 of 8 layers, 2560 wide, convolution of 4"
    beside = msgspec.structs.replace(mixer, kind=MixerKind.MAMBA2, beside_attention=True, state=64)
    assert mixer_words(beside, 8) == (
        "mamba2 beside attention in 2 of 8 layers, alone in the others, 2560 wide, 10 heads, state 64, convolution of 4"
    )


def test_an_embedding_in_words() -> None:
    shape = load.get("smollm-135m").architecture
    embedding = Embedding(tied=True, norm=True, head_bias=True, per_layer=256, logit_softcap=30.0)
    assert embedding_words(msgspec.structs.replace(shape, embedding=embedding)) == (
        "tied to the head, normalized, bias on the head, another 256 wide in every layer, logits capped at 30"
    )


def test_norms_that_learn_nothing_say_so() -> None:
    norm = Norm(kind=NormKind.LAYERNORM, eps=1e-5, weight=False, placement=NormPlacement.POST)
    assert norm_words(norm) == "layernorm after attention and feed-forward, epsilon 1e-05, learned: nothing"


def test_unusual_architectures_are_told() -> None:
    shape = load.get("smollm-135m").architecture
    unusual = msgspec.structs.replace(
        shape,
        gguf=None,
        layers=3,
        norm=msgspec.structs.replace(shape.norm, bias=True, final=False),
        repeat=2,
        parallel=True,
        attention=Attention(heads=(3, 4, 5), kv_heads=1, head_dim=64),
        position=msgspec.structs.replace(shape.position, kind=PositionKind.LEARNED),
        embedding=msgspec.structs.replace(shape.embedding, tied=False, dim=512),
        ffn=msgspec.structs.replace(shape.ffn, bias=True, shared=True, intermediate=(1, 2, 3)),
        mixer=Mixer(kind=MixerKind.MAMBA, attention_layers=(2,), width=64, conv_kernel=4),
        multipliers=Multipliers(embedding=12.0, residual=0.25),
    )
    found = architecture_fields(unusual)
    assert found["layers"] == "3, each run 2 times in a row"
    assert "3 to 5 query heads" in str(found["attention"])
    assert found["in llama.cpp"] == "cannot run"
    assert str(found["norm"]).endswith("learned: scale, offset, none before the head")
    assert found["position"] == "learned"
    assert found["embedding"] == "untied, 512 wide"
    assert found["feed-forward"] == "gated silu, 1 to 3 wide, biases, one for all layers"
    assert found["other layers"] == "mamba in 2 of 3 layers, 64 wide, convolution of 4"
    assert found["multipliers"] == "embedding 12, residual 0.25"
    assert "side by side" in str(found["block"])


def test_positions_of_parts_of_heads_and_in_some_layers_are_told() -> None:
    shape = load.get("smollm-135m").architecture
    position = msgspec.structs.replace(shape.position, rotary_fraction=0.25, none_every=4)
    told = architecture_fields(msgspec.structs.replace(shape, position=position))["position"]
    assert told == "rope, theta 10,000, 25% of a head, none in every 4th layer"


# ---- show a file ----------------------------------------------------------------------------------------------------


@pytest.fixture
def unknown_file(tmp_path: Path) -> Path:
    """A file of an architecture that is not known here."""
    path = tmp_path / "strange.gguf"
    writer = gguf.GGUFWriter(path, "strange")
    writer.add_tensor("token_embd.weight", np.zeros((8, 32), dtype=np.float16))
    writer.add_tensor("blk.0.odd.weight", np.zeros((4, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


class TestFile:
    def test_a_file_is_shown_type_by_type(self, tiny_model: Path) -> None:
        text = shown(str(tiny_model))
        for words in ("llama", "1.31M (1,312,000)", "random (forged)", "Q4_K_M", "sha256"):
            assert words in text
        lines = text.splitlines()
        start = next(number for number, line in enumerate(lines) if line.startswith("Type"))
        assert [line.split()[0] for line in lines[start + 2 : start + 5]] == ["Q4_K", "Q6_K", "F32"]

    def test_its_parts_and_its_memory_are_shown(self, tiny_model: Path) -> None:
        text = shown(str(tiny_model))
        assert "Parameters by part" in text
        assert "In memory at a context of 512" in text, "the context of the model, where it is shorter"
        assert {"embedding", "attention", "ffn", "norm", "KV cache", "together"} <= set(fields(text))

    def test_json_adds_up(self, tiny_model: Path) -> None:
        found = json.loads(shown(str(tiny_model), "--json"))
        assert found["path"] == str(tiny_model)
        assert found["size_bytes"] == tiny_model.stat().st_size
        assert sum(kind["share"] for kind in found["types"]) == pytest.approx(1)
        assert sum(kind["params"] for kind in found["types"]) == found["params"]
        assert sum(kind["size_bytes"] for kind in found["types"]) == found["tensor_bytes"]
        assert sum(found["parts"].values()) == found["params"]
        assert found["bits_per_weight"] == pytest.approx(8 * found["tensor_bytes"] / found["params"])
        assert {kind["type"]: kind["bits_per_weight"] for kind in found["types"]}["Q4_K"] == 4.5
        assert found["forged"]
        assert found["model_id"] is None

    def test_the_costs_are_those_of_the_file_as_it_is(self, tiny_model: Path) -> None:
        found = json.loads(shown(str(tiny_model), "--json"))
        costs = found["estimate"]
        assert costs["weight_bytes"] == found["tensor_bytes"]
        assert costs["context"] == 512
        summed = sum(costs[part] for part in ("weight_bytes", "kv_bytes", "compute_bytes", "output_bytes"))
        assert costs["memory_bytes"] == summed

    def test_of_an_unknown_architecture_the_types_are_shown_and_why_there_are_no_costs(
        self, unknown_file: Path
    ) -> None:
        result = slm("show", str(unknown_file))
        assert result.exit_code == 0
        assert [line.split()[:2] for line in result.stdout.splitlines()[-2:]] == [["F16", "1"], ["F32", "1"]]
        assert "In memory" not in result.stdout
        (line,) = result.stderr.splitlines()
        assert line.startswith("No costs: Files of the architecture 'strange' are not known here")

    def test_json_of_an_unknown_architecture_has_no_costs(self, unknown_file: Path) -> None:
        found = json.loads(shown(str(unknown_file), "--json"))
        assert (found["architecture"], found["params"]) == ("strange", 384)
        assert (found["parts"], found["estimate"], found["model_id"]) == (None, None, None)
        assert {kind["type"]: kind["params"] for kind in found["types"]} == {"F16": 256, "F32": 128}

    def test_a_file_on_the_hub_is_not_taken_for_one_of_the_same_name_here(
        self, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("model.gguf").write_bytes(b"another")
        monkeypatch.setattr(hub, "reading", lambda repo, file: tiny_model.open("rb"))
        found = json.loads(shown("hf:owner/repo/model.gguf", "--json"))
        assert (found["path"], found["params"]) == ("hf:owner/repo/model.gguf", 1_312_000)
        assert (found["sha256"], found["size_bytes"]) == (None, None)
        assert "not on this disk: header only" in shown("hf:owner/repo/model.gguf")

    def test_the_catalogue_knows_the_real_one(self, real_model: Path) -> None:
        found = json.loads(shown(str(real_model), "--json"))
        assert found["model_id"] == "smollm2-135m"
        assert found["params"] == load.get("smollm2-135m").params
        assert not found["forged"]
        assert "smollm2-135m" in shown(str(real_model))

    @pytest.mark.parametrize("content", [None, b"", b"no model"])
    def test_a_file_that_is_missing_or_something_else_is_one_line(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "model.gguf"
        if content is not None:
            path.write_bytes(content)
        result = slm("show", str(path))
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1
