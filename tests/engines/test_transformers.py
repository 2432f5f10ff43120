"""PyTorch as an engine, on tiny shapes of the classes that llama.cpp does not have, and on one real one.

Slow, and only where torch and transformers are installed (extra `transformers`):
`python -m pytest -m slow tests/engines/test_transformers.py`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from slm_atlas.bench import BenchSettings, measure, profile
from slm_atlas.catalog.configs import config_of
from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.errors import EngineRefused
from slm_atlas.models.built import build
from slm_atlas.store.profiles import PHASES, Observed, from_samples
from slm_atlas.units import MIB

pytestmark = pytest.mark.slow

SMALL = {"vocab_size": 1000, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
TINY: dict[str, dict[str, Any]] = {
    "opt-125m": {"num_hidden_layers": 2, "hidden_size": 64, "ffn_dim": 128, "word_embed_proj_dim": 64,
                 "num_attention_heads": 4},
    "galactica-125m": {"num_hidden_layers": 2, "hidden_size": 64, "ffn_dim": 128, "word_embed_proj_dim": 64,
                 "num_attention_heads": 4},
    "recurrentgemma-2b": {"num_hidden_layers": 3, "hidden_size": 256, "intermediate_size": 512, "lru_width": 256,
                          "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 128},
    "dclm-1b": {"num_hidden_layers": 2, "hidden_size": 128, "intermediate_size": 256, "num_attention_heads": 4,
                "num_key_value_heads": 4},
    "zamba2-1.2b": {"num_hidden_layers": 3, "hybrid_layer_ids": [1], "layers_block_type": ["mamba", "hybrid", "mamba"]},
}  # fmt: skip


def order(folder: Path, config: Mapping[str, Any], *, dtype: str = "float32", params: int = 10**6) -> str:
    path = folder / "order.json"
    path.write_text(json.dumps({"config": config, "dtype": dtype, "seed": 0, "params": params}))
    return str(path)


def tiny(model_id: str) -> dict[str, Any]:
    found = config_of(model_id)
    assert found is not None
    config = found.config if found.native else found.equivalent
    assert config is not None
    return config | SMALL | TINY[model_id]


@pytest.mark.parametrize("model_id", TINY)
def test_each_class_is_measured(model_id: str, tmp_path: Path) -> None:
    settings = BenchSettings(n_prompt=8, n_gen=4, repetitions=2, threads=1)
    with Worker("transformers", deadline_s=110) as worker:
        found = measure(worker, order(tmp_path, tiny(model_id)), settings, seed=0)
    metrics = {sample.metric: sample.value for sample in found.samples}
    assert metrics["prefill_s"] > 0
    assert metrics["decode_s"] > 0
    assert metrics["kv_bytes"] > 0
    assert metrics["model_bytes"] >= found.load.model_size_bytes == 4 * found.load.model_params
    assert "compute_bytes" not in metrics
    assert "PyTorch" in found.absent["compute_bytes"]
    assert found.load.n_vocab == 1000


def test_the_cache_is_as_long_as_the_text(tmp_path: Path) -> None:
    with Worker("transformers", deadline_s=110) as worker:
        worker.load(LoadSettings(path=order(tmp_path, tiny("opt-125m"))))
        worker.prefill([1] * 8)
        worker.decode([2] * 4)
        assert worker.memory().kv_bytes == 2 * 2 * 64 * 12 * 4  # keys and values, layers, width, tokens, float32
        worker.prefill([1] * 5)
        assert worker.memory().kv_bytes == 2 * 2 * 64 * 5 * 4


@pytest.mark.parametrize("model_id", ["recurrentgemma-2b", "opt-125m"])
def test_tokens_one_at_a_time_give_the_logits_of_all_at_once(model_id: str, tmp_path: Path) -> None:
    """The cache is used as it should be, also after another text; one class keeps states in its layers."""
    from transformers import DynamicCache

    from slm_atlas.engines.transformers import Transformers

    with warnings.catch_warnings(action="ignore"), Transformers() as engine:
        engine.load(LoadSettings(path=order(tmp_path, tiny(model_id)), threads=1))
        text = [7, 300, 12, 999, 45, 45, 8]
        engine.prefill([5, 6, 7, 8])
        engine.prefill(text[:4])
        engine.decode(text[4:-1])
        last = engine._forward(text[-1:], engine._cache)[0, -1]
        whole = engine._forward(text, DynamicCache(config=engine._model.config))[0, -1]
    assert float((last - whole).abs().max()) < 1e-4 * float(whole.abs().max())


def profiled(model_id: str, tmp_path: Path) -> dict[str, Observed]:
    settings = BenchSettings(n_prompt=8, n_gen=3, repetitions=1, threads=1)
    with Worker("transformers", deadline_s=110) as worker:
        found = profile(worker, order(tmp_path, tiny(model_id)), settings, seed=0)
    assert len(found.samples) < 450
    return {phase: seen for phase in PHASES if (seen := from_samples(phase, found.samples))}


@pytest.mark.parametrize("model_id", TINY)
def test_each_class_is_profiled_and_nearly_all_of_it_has_a_part(model_id: str, tmp_path: Path) -> None:
    for phase, seen in profiled(model_id, tmp_path).items():
        parts: dict[str, float] = {}
        for node in seen.nodes:
            parts[node.part] = parts.get(node.part, 0.0) + node.share
        assert sum(parts.values()) == pytest.approx(1), phase
        assert parts.keys() >= {"embedding", "attention", "ffn", "norm", "lm_head"}, phase
        assert ("mixer" in parts) == (model_id in ("recurrentgemma-2b", "zamba2-1.2b"))
        assert parts.get("other", 0.0) < 0.25, phase


def test_an_operator_is_counted_with_the_work_it_does(tmp_path: Path) -> None:
    seen = profiled("opt-125m", tmp_path)
    products = {
        node.name: node for node in seen["prefill"].nodes if node.op in ("aten::addmm", "aten::mm") and node.flops
    }
    assert products["OPTDecoderLayer.fc1"].flops == 2 * 2 * 64 * 128 * 8  # layers, multiply-add, widths, tokens
    assert products["OPTDecoderLayer.fc1"].calls == 2
    assert products["OPTForCausalLM.lm_head"].flops == 2 * 64 * 1000  # the last token alone
    weight, bias, given, result = 64 * 128, 128, 64 * 8, 128 * 8
    assert products["OPTDecoderLayer.fc1"].bytes == 2 * 4 * (weight + bias + given + result)
    decode = {node.name: node.flops for node in seen["decode"].nodes if node.op == "aten::addmm"}
    assert decode["OPTDecoderLayer.fc1"] == 2 * 2 * 64 * 128
    relu = [node for node in seen["prefill"].nodes if node.name == "OPTDecoderLayer.activation_fn"]
    assert [(node.op, node.bytes) for node in relu] == [("aten::relu", 2 * 2 * 4 * 128 * 8)]  # read, written
    sums = [node.name for node in seen["decode"].nodes if node.op == "aten::add" and "after" in node.name]
    assert set(sums) == {"OPTDecoderLayer after OPTAttention", "OPTDecoderLayer after OPTDecoderLayer.fc2"}


def test_operators_of_a_pass_lie_within_it(tmp_path: Path) -> None:
    with Worker("transformers", deadline_s=110) as worker:
        worker.load(LoadSettings(path=order(tmp_path, tiny("opt-125m")), threads=1))
        found = worker.profile([1] * 8, [2, 3], events=True)
        cached = worker.memory().kv_bytes
        assert worker.prefill([1] * 8) > 0  # and it goes on as before
        with pytest.raises(EngineRefused, match="after a depth"):
            worker.profile([1], [2], before=[3])
    assert (len(found.prefill.seconds), len(found.decode.seconds)) == (1, 2)
    for phase in (found.prefill, found.decode):
        assert {event.layer for event in phase.events} == {None, 0, 1}
        assert all(0 <= event.start_s <= phase.seconds[-1] for event in phase.events)
        assert sum(node.seconds[-1] for node in phase.nodes) <= phase.seconds[-1]
    assert cached > 0


def test_bfloat16_halves_weights_and_cache(tmp_path: Path) -> None:
    with Worker("transformers", deadline_s=110) as worker:
        found = worker.load(LoadSettings(path=order(tmp_path, tiny("opt-125m"), dtype="bfloat16")))
        worker.prefill([1] * 8)
        assert found.model_size_bytes == 2 * found.model_params
        assert worker.memory().kv_bytes == 2 * 2 * 64 * 8 * 2


def test_what_does_not_work_is_refused_in_words(tmp_path: Path) -> None:
    with Worker("transformers", deadline_s=110) as worker:
        with pytest.raises(EngineRefused, match=r"needs about .* of weights in float32.*--quant BF16"):
            worker.load(LoadSettings(path=order(tmp_path, tiny("opt-125m"), params=10**13)))
        with pytest.raises(EngineRefused, match="does not build it"):
            worker.load(LoadSettings(path=order(tmp_path, {"model_type": "gpt99"})))
        with pytest.raises(EngineRefused, match="does not tokenize"):
            worker.tokenize("a")
        with pytest.raises(EngineRefused, match="no model is loaded"):
            worker.prefill([1])


def test_a_real_one_has_the_catalogues_parameters() -> None:
    built = build("transformers:opt-125m")
    settings = BenchSettings(n_prompt=16, n_gen=4, repetitions=1, threads=1)
    with Worker("transformers", deadline_s=110) as worker:
        found = measure(worker, str(built.path), settings, seed=0)
    metrics = {sample.metric: sample.value for sample in found.samples}
    assert found.load.model_params == built.artifact.params
    assert metrics["kv_bytes"] == 2 * 12 * 768 * 20 * 4
    assert metrics["peak_rss_bytes"] > found.load.model_size_bytes > 400 * MIB
