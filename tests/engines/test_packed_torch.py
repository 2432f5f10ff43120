"""PyTorch for evaluations against lm-eval's own `hf`, on tiny models of random weights and on the real one.

Only where torch and transformers are installed (extra `transformers`):
`python -m pytest -m "slow or not slow" tests/engines/test_packed_torch.py`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
import transformers
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from slm_atlas.engines import LoadSettings, Pair, Prompt, Worker
from slm_atlas.engines.packed_torch import PackedTorch
from slm_atlas.engines.torch_blocks import Seen, attend_blocks
from slm_atlas.engines.torch_check import fault
from slm_atlas.engines.torch_network import Layer, Network
from slm_atlas.engines.torch_sequences import Shared
from slm_atlas.errors import EngineRefused
from slm_atlas.evals import evaluate_task, suite
from slm_atlas.evals.lm import EngineLM

CONTEXT = 256
NATS = 1e-4
"""By which the order of summation changes a log probability in float32."""
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4,
         "max_position_embeddings": CONTEXT, "vocab_size": 257, "eos_token_id": 256, "bos_token_id": 256,
         "pad_token_id": 256, "initializer_range": 0.3, "tie_word_embeddings": False}  # fmt: skip
TOGETHER: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2},
    "qwen2": {"num_key_value_heads": 2},
    "gpt_neox": {},
    "mistral": {"num_key_value_heads": 2, "sliding_window": 24},
    "gemma3_text": {"num_key_value_heads": 1, "head_dim": 8, "sliding_window": 24, "query_pre_attn_scalar": 8,
                    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]},
}  # fmt: skip
"""Rotary positions whole and in part, heads that share keys, windows in all layers and in some."""
APART: dict[str, dict[str, Any]] = {
    "bloom": {"n_layer": 3, "n_head": 4},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "query_pre_attn_scalar": 8},
    "mamba": {"state_size": 8},
}
"""Linear positions, scores that are capped, a state: nothing for our attention."""


def save(kind: str, folder: Path) -> Path:
    """A model of random weights, and a tokenizer whose tokens are bytes."""
    torch.manual_seed(0)
    keys = SIZES | (TOGETHER | APART)[kind]
    if kind in ("bloom", "mamba"):
        keys.pop("num_attention_heads")
        keys.pop("num_hidden_layers" if kind == "bloom" else "max_position_embeddings")
    config = transformers.CONFIG_MAPPING[kind](**keys)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate([*alphabet, "<end>"])}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", pad_token="<end>")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=[*TOGETHER, *APART])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(request.param, tmp_path_factory.mktemp("models") / request.param)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save("llama", tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def engine() -> Iterator[PackedTorch]:
    with PackedTorch() as found:
        yield found


def text(rng: random.Random, least: int, most: int) -> str:
    return "".join(rng.choices("abcdefgh .?", k=rng.randint(least, most))) + "x"


def choices() -> list[Instance]:
    """Two sets of worked examples, questions after them, choices after those; in no order."""
    rng, asked = random.Random(3), []
    for shots in (text(rng, 90, 100), text(rng, 2, 5)):
        for _ in range(4):
            question = shots + text(rng, 1, 60)
            asked += [(question, text(rng, 0, most)) for most in (0, 0, 5, 40)]
    rng.shuffle(asked)
    return [
        Instance(request_type="loglikelihood", doc={}, arguments=arguments, idx=number)
        for number, arguments in enumerate(asked)
    ]


def hf(folder: Path) -> HFLM:
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=4, max_length=CONTEXT)


def test_scores_are_those_of_lm_eval(folder: Path, engine: PackedTorch) -> None:
    loaded = engine.load(LoadSettings(path=str(folder), context=CONTEXT, threads=1))
    lm = EngineLM(engine, context=CONTEXT)
    asked = choices()
    found, expected = lm.loglikelihood(asked), hf(folder).loglikelihood(asked, disable_tqdm=True)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours[0] == pytest.approx(theirs[0], abs=NATS)
        assert ours[1] == theirs[1]
    if folder.name in TOGETHER:
        assert loaded.remarks == []
        assert lm.work.computed < 0.5 * lm.work.asked
    else:
        assert "one after another" in loaded.remarks[0]


def test_texts_generated_are_those_of_lm_eval(folder: Path, engine: PackedTorch) -> None:
    rng = random.Random(4)
    shots = text(rng, 60, 60)
    prompts = [*(shots + text(rng, 1, 30) for _ in range(4)), text(rng, 5, 9)]
    wanted: dict[str, Any] = {"until": ["zz"], "do_sample": False, "max_gen_toks": 20}
    asked = [
        Instance(request_type="generate_until", doc={}, arguments=(prompt, dict(wanted)), idx=number)
        for number, prompt in enumerate(prompts)
    ]
    engine.load(LoadSettings(path=str(folder), context=CONTEXT, threads=1, sequences=3))
    found = EngineLM(engine, context=CONTEXT).generate_until(asked)
    # One at a time: in a batch lm-eval pads, which changes what a state keeps.
    theirs = HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=1, max_length=CONTEXT)
    assert found == theirs.generate_until(asked, disable_tqdm=True)
    assert len(set(found)) > 1


@pytest.mark.filterwarnings("ignore")  # torch's own, of itself
def test_compiled_layers_give_the_same(llama: Path, engine: PackedTorch) -> None:
    asked = choices()
    engine.load(LoadSettings(path=str(llama), context=CONTEXT, threads=1))
    plain = EngineLM(engine, context=CONTEXT).loglikelihood(asked)
    loaded = engine.load(LoadSettings(path=str(llama), context=CONTEXT, threads=1, compiled=True))
    found = EngineLM(engine, context=CONTEXT).loglikelihood(asked)
    assert loaded.remarks == []
    assert any(hasattr(module.forward, "_torchdynamo_orig_callable") for module in engine._loaded().model.modules())
    for ours, theirs in zip(found, plain, strict=True):
        assert ours[0] == pytest.approx(theirs[0], abs=NATS)


def test_what_cannot_be_compiled_is_computed_all_the_same_and_told(
    llama: Path, engine: PackedTorch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler\nfor you")

    monkeypatch.setattr(torch, "compile", lambda forward, **_: broken)
    loaded = engine.load(LoadSettings(path=str(llama), context=CONTEXT, threads=1, compiled=True))
    assert loaded.remarks == ["layers are not compiled: PyTorch gave up: RuntimeError: no compiler"]
    assert engine.score([Pair(prefix=[1, 2, 3], continuation=[4])]).scores[0].logprob < 0


@pytest.mark.parametrize("window", [None, 90])
def test_attention_in_blocks_is_that_to_all_cells_that_are_seen(window: int | None) -> None:
    """Texts of three trunks, one after another: some blocks see cells that lie together, some cells here and there."""
    rng = np.random.default_rng(0)
    own = np.repeat(np.arange(12), 60)
    trunk = np.repeat(np.arange(12) // 4, 30)[:300]  # 300 cells, each of one of three trunks
    member = np.zeros((12, 300 + len(own)), bool)
    member[:, :300] = trunk[None, :] == (np.arange(12) % 3)[:, None]
    member[0, :300] = True
    member[own, 300 + np.arange(len(own))] = True
    positions = np.concatenate([np.arange(300), 300 + np.tile(np.arange(60), 12)])
    keys, values, query = (torch.from_numpy(rng.normal(size=(1, heads, cells, 8))).float()
                           for heads, cells in ((2, len(positions)), (2, len(positions)), (4, len(own))))  # fmt: skip
    layer = Layer(0, query, keys, values, None, window)
    blocks = Seen(member, positions, own).blocks(window, torch.float32)
    assert {type(block.cells) for block in blocks} == {slice, torch.Tensor}
    ahead = positions[300:, None] - positions[None, :]
    seen = torch.from_numpy(member[own] & (ahead >= 0) & (ahead < (window or 10**6)))
    scores = (query @ keys.repeat_interleave(2, dim=1).transpose(2, 3) / 8**0.5).masked_fill(~seen, float("-inf"))
    expected = (scores.softmax(-1) @ values.repeat_interleave(2, dim=1)).transpose(1, 2)
    assert torch.allclose(attend_blocks(blocks, layer, keys, values), expected, atol=1e-5)


def test_a_text_ends_before_its_stop_string(llama: Path, engine: PackedTorch) -> None:
    engine.load(LoadSettings(path=str(llama), context=CONTEXT, threads=1))
    prompt = engine.tokenize("abc")
    (whole,) = engine.generate([Prompt(tokens=prompt, max_tokens=12)]).generations
    stop = whole.text[4:6]
    (cut,) = engine.generate([Prompt(tokens=prompt, max_tokens=12, stop=[stop])]).generations
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.stopped
    assert not whole.stopped


def test_a_fault_is_found(llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions by the order of tokens, and cells of other texts: both would be silent."""
    network = Network(transformers.AutoModelForCausalLM.from_pretrained(llama).eval())
    assert fault(network, 256, 0, "float32") is None
    flat = network.flat
    with monkeypatch.context() as patch:
        patch.setattr(network, "flat", lambda tokens, positions, *rest: flat(tokens, range(len(tokens)), *rest))
        assert "nats a token" in (fault(network, 256, 0, "float32") or "")
    monkeypatch.setattr(Shared, "cut", lambda *_: None)
    assert fault(network, 256, 0, "float32") is not None


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_number_type_is_the_one_asked_for(llama: Path, dtype: str, engine: PackedTorch) -> None:
    loaded = engine.load(LoadSettings(path=str(llama), context=CONTEXT, dtype=dtype, threads=1))
    assert loaded.model_size_bytes == 2 * loaded.model_params
    assert dtype in loaded.model_desc


def test_what_cannot_be_done_is_refused_in_a_line(llama: Path, engine: PackedTorch, tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="no model is loaded"):
        engine.tokenize("a")
    with pytest.raises(EngineRefused, match="transformers does not load it"):
        engine.load(LoadSettings(path=str(tmp_path), context=CONTEXT))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    with pytest.raises(EngineRefused, match="transformers does not load it"):
        engine.load(LoadSettings(path=str(broken), context=CONTEXT))
    engine.load(LoadSettings(path=str(llama), context=CONTEXT, threads=1))
    with pytest.raises(EngineRefused, match="exceed the context"):
        engine.score([Pair(prefix=[1] * CONTEXT, continuation=[2, 3])])
    with pytest.raises(EngineRefused, match="exceeds the context"):
        engine.generate([Prompt(tokens=[1] * (CONTEXT + 1), max_tokens=1)])


@pytest.mark.slow
def test_real_rows_are_answered_as_by_lm_eval(real_model: Path) -> None:
    found = {}
    for engine in ("hf", "torch"):
        for task, limit in (("smoke_commonsense", 8), ("smoke_arithmetic", 3)):
            with Worker(engine) as worker:
                load = LoadSettings(path=str(real_model), context=1024)
                found[engine, task] = evaluate_task(worker, load, suite("smoke"), task, limit=limit)
    for task in ("smoke_commonsense", "smoke_arithmetic"):
        theirs, ours = found["hf", task], found["torch", task]
        assert theirs.prompts_hash == ours.prompts_hash
        for one, other in zip(theirs.samples, ours.samples, strict=True):
            assert (one.metric, one.item, one.value) == (other.metric, other.item, other.value)
            if one.detail and other.detail and "logprobs" in one.detail:
                assert other.detail["logprobs"] == pytest.approx(one.detail["logprobs"], abs=1e-3)


@pytest.mark.slow
def test_the_tokens_of_a_file_are_those_of_llama_cpp(real_model: Path) -> None:
    """Two spaces before a digit are one token: transformers makes two of them."""
    texts = ["3 cups, 1/2 cup", "3 cups,  1/2 cup", "  7", "naïve 🙂\n\n  def f():", "<|im_start|>"]
    tokens, again, begins = [], [], []
    for name in ("llamacpp", "torch"):
        with Worker(name) as worker:
            worker.load(LoadSettings(path=str(real_model), context=256))
            tokens.append(worker.tokenize_all(texts))
            again.append([worker.detokenize(each) for each in tokens[-1]])
            begins.append(worker.begin_of_text())
    assert tokens[0] == tokens[1]
    assert again == [texts, texts]
    assert begins[0] == begins[1]
