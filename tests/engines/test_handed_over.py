"""lm-eval's own `hf` on real weights, where torch is installed; and what is refused without it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from lm_eval.api.instance import Instance

from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.engines.handed_over import Completions
from slm_atlas.engines.values import Request
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


@pytest.mark.slow
@pytest.mark.skipif(not TORCH, reason="the extra `transformers` is not installed")
def test_a_tokenizer_that_is_not_the_files_is_said(real_model: Path) -> None:
    with Worker("hf") as worker:
        loaded = worker.load(LoadSettings(path=str(real_model), context=256))
    assert loaded.remarks == ["transformers' tokenizer of this file cuts some texts otherwise than the file says"]


@pytest.mark.skipif(TORCH, reason="the extra `transformers` is installed")
def test_without_torch_the_extra_is_named() -> None:
    with pytest.raises(MissingExtra, match=r"slm-atlas\[transformers\]"):
        Worker("hf")


def test_nothing_is_answered_before_a_model_is_loaded() -> None:
    with pytest.raises(EngineRefused, match="no model is loaded"):
        Completions().ask([Request(kind="generate_until", arguments=["a", {}])])


class Served:
    """A model behind a server, as lm-eval has one; `gives` nats a token for what it wrote itself."""

    tokenizer = "words"

    def __init__(self, gives: float) -> None:
        self._gives = gives
        self.asked = 0

    def tok_encode(self, text: str, **_: object) -> list[str]:
        return text.split()

    def generate_until(self, _: Sequence[Instance], **__: object) -> list[str]:
        return [" 11, 12, 13,"]

    def loglikelihood(self, requests: Sequence[Instance], **_: object) -> list[tuple[float, bool]]:
        self.asked += 1
        return [(self._gives * len(request.args[1].split()), False) for request in requests]


def completions(served: Served) -> Completions:
    engine = Completions()
    engine._lm = served  # what `load` makes, without a tokenizer's files
    return engine


@pytest.mark.parametrize(("gives", "fault"), [(0.0, "gives none for a prompt"), (-11.5, r"have -11\.5 nats a token")])
def test_a_server_whose_log_probabilities_are_not_of_its_own_words_is_refused(gives: float, fault: str) -> None:
    with pytest.raises(EngineRefused, match=fault):
        completions(Served(gives)).ask([Request(kind="loglikelihood", arguments=["a", " b"])])


def test_a_server_is_tried_out_once() -> None:
    served = Served(-0.25)
    engine = completions(served)
    for _ in range(2):
        [reply] = engine.ask([Request(kind="loglikelihood", arguments=["a", " b c"])])
        assert reply.logprob == -0.5
    assert served.asked == 3
