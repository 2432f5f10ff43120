"""`slm estimate`: what it prints is what the anatomy says."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.catalog import Selection, select

from .atlas import document, slm, wrong


def test_it_shows_the_costs_in_words() -> None:
    result = slm("estimate", "smollm-135m", "--quant", "q4_k_m", "--context", "4K")
    assert result.exit_code == 0
    assert result.stdout.startswith("SmolLM-135M Q4_K_M, context 4000")
    for words in ("134.5M (134,515,008)", "KV cache", "compute buffer", "FLOPs a token", "bits a parameter"):
        assert words in result.stdout


def test_json_is_the_estimate() -> None:
    found = document("estimate", "qwen2-0.5b", "--quant", "Q8_0", "--context", 2048, "--kv-type", "q8_0")
    arch = catalog.get("qwen2-0.5b").architecture
    expected = estimate(arch, Quantization.Q8_0, context=2048, kv_type="q8_0")
    assert found["model"] == "Qwen2-0.5B"
    assert found["kv_bytes"] == expected.kv_bytes
    assert found["memory_bytes"] == expected.memory_bytes
    assert sum(found["bytes_by_type"].values()) == found["weight_bytes"]
    assert sum(found["params_by_part"].values()) == found["params"]


def test_the_default_is_q4_k_m() -> None:
    assert document("estimate", "smollm-135m") == document("estimate", "smollm-135m", "--quant", "Q4_K_M")


@pytest.mark.parametrize(("model", "said"), [("smollm-136m", "No model"), ("no/such.gguf", "no file")])
def test_an_unknown_model_is_one_line(model: str, said: str) -> None:
    assert said in wrong("estimate", model)


def test_an_unknown_quantization_is_a_usage_error() -> None:
    result = slm("estimate", "smollm-135m", "--quant", "Q9")
    assert result.exit_code == 2
    assert "Q4_K_M" in result.stderr.upper()


def test_a_file_is_estimated_as_it_is_unless_asked_otherwise(tiny_model: Path) -> None:
    found = document("estimate", tiny_model, "--context", 512)
    assert found["quantization"] == "Q4_K_M"
    assert found["weight_bytes"] < tiny_model.stat().st_size < found["weight_bytes"] + 4096
    assert document("estimate", tiny_model, "--quant", "F16")["weight_bytes"] > 3 * found["weight_bytes"]


@pytest.mark.parametrize("model", ["lfm2-350m", "minicpm3-4b", "mobillama-0.5b", "zamba2-1.2b", "opt-350m"])
def test_a_model_of_any_kind_is_estimated_in_its_own_shape(model: str) -> None:
    found, known = document("estimate", model), catalog.get(model)
    assert found["params"] == known.params
    assert found["kv_bytes"] > 0


class TestAll:
    def test_json_has_every_model_of_the_catalogue(self) -> None:
        found = document("estimate", "--all")
        assert [one["model"] for one in found] == [model.id for model in catalog.models()]
        assert len(found) == 145
        assert [one["params"] for one in found] == [model.params for model in catalog.models()]
        assert all(one["memory_bytes"] > one["weight_bytes"] > 0 for one in found)

    def test_each_is_what_the_model_alone_is(self) -> None:
        options = ("--quant", "Q8_0", "--context", "2K", "--micro-batch", 64, "--kv-type", "q8_0")
        for one in document("estimate", "--all", "--family", "pythia", *options):
            alone = document("estimate", one["model"], *options)
            assert {**alone, "model": one["model"]} == one

    def test_the_table_has_a_line_for_every_model(self) -> None:
        result = slm("estimate", "--all")
        heading, _, *lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert heading.split()[:4] == ["Model", "Params", "Weights", "Bits"]
        assert [line.split()[0] for line in lines] == [model.id for model in catalog.models()]

    def test_models_are_chosen_and_sorted_as_in_a_list(self) -> None:
        chosen = select(Selection(attention="hybrid", max_params=1_000_000_000))
        options = ("--attention", "hybrid", "--max-params", "1B", "--sort", "params", "--descending")
        found = document("estimate", "--all", *options)
        assert {one["model"] for one in found} == {model.id for model in chosen}
        assert len(found) > 2
        sizes = [one["params"] for one in found]
        assert sizes == sorted(sizes, reverse=True)

    def test_no_match_is_said_and_is_no_error(self) -> None:
        result = slm("estimate", "--all", "--family", "none")
        assert (result.exit_code, result.stdout) == (0, "")
        assert "No model" in result.stderr
        assert document("estimate", "--all", "--family", "none") == []

    @pytest.mark.parametrize("arguments", [[], ["smollm-135m", "--all"], ["--family", "smollm"]])
    def test_it_is_a_model_or_all(self, arguments: list[str]) -> None:
        assert "Give a MODEL, or --all." in wrong("estimate", *arguments)

    @pytest.mark.parametrize(
        "options", [["--family", "qwen2"], ["--in", "paper"], ["--sort", "params"], ["--descending"]]
    )
    def test_one_model_is_neither_chosen_nor_sorted(self, options: list[str]) -> None:
        assert "go with --all" in wrong("estimate", "smollm-135m", *options)
