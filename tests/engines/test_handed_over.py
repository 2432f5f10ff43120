"""lm-eval's own `hf` on real weights, where torch is installed; and what is refused without it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.engines.base import Request
from slm_atlas.engines.handed_over import Completions
from slm_atlas.errors import EngineRefused, MissingExtra
from slm_atlas.evals import evaluate_task, suite

TORCH = all(find_spec(module) for module in ("torch", "transformers"))


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="the extra `transformers` is not installed")
def test_transformers_and_llama_cpp_agree_on_the_same_file(real_model: Path) -> None:
    found = {}
    for engine in ("hf", "llamacpp"):
        with Worker(engine) as worker:
            load = LoadSettings(path=str(real_model), context=1024)
            found[engine] = evaluate_task(worker, load, suite("smoke"), "smoke_commonsense", limit=8)
    assert found["hf"].prompts_hash == found["llamacpp"].prompts_hash
    for theirs, ours in zip(found["hf"].samples, found["llamacpp"].samples, strict=True):
        assert (theirs.metric, theirs.item) == (ours.metric, ours.item)
        if theirs.detail and ours.detail:
            # Weights of four bits are multiplied with eight-bit activations there, and in 32 bits here.
            assert theirs.detail["logprobs"] == pytest.approx(ours.detail["logprobs"], abs=0.5)


@pytest.mark.skipif(TORCH, reason="the extra `transformers` is installed")
def test_without_torch_the_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"slm-atlas\[transformers\]"):
        Worker("hf")


def test_nothing_is_answered_before_a_model_is_loaded() -> None:
    with pytest.raises(EngineRefused, match="no model is loaded"):
        Completions().ask([Request(kind="generate_until", arguments=["a", {}])])
