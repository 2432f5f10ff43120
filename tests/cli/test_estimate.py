"""`slm estimate`: what it prints is what the anatomy says."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import catalog
from slm_atlas.anatomy import Quantization, estimate

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
