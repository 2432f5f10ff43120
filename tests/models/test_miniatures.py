"""Every architecture of the catalogue, made small: llama.cpp runs it, and keeps as much of its context as reckoned."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from anatomy.shapes import changed
from engines.asking import score
from slm_atlas import catalog
from slm_atlas.anatomy.cache import engine_cache_bytes
from slm_atlas.anatomy.costs import params
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.engines.values import LoadReport, LoadSettings
from slm_atlas.engines.worker import Worker
from slm_atlas.models.forge import Order, forge, stored
from slm_atlas.models.metadata import RUNNABLE
from slm_atlas.units import MIB

from .miniature import distinct, miniature, miniatures

LOG_BYTES = 2 * (0.005 * MIB + 1)
"""llama.cpp logs its buffers to two decimals of a MiB; a cache may be two of them."""
SMALL = distinct()
ALL = pytest.mark.parametrize("model_id", SMALL)


def test_there_is_one_of_every_architecture_that_can_be_forged() -> None:
    assert miniatures().keys() == set(RUNNABLE)
    assert {arch.gguf for arch in SMALL.values()} == set(RUNNABLE)


@pytest.mark.parametrize("layers", [2, 12])
@pytest.mark.parametrize("name", RUNNABLE)
def test_a_miniature_is_small_and_has_all_that_its_model_has(name: str, layers: int) -> None:
    whole = next(arch for arch in map(catalog.runnable, catalog.models()) if arch is not None and arch.gguf == name)
    small = miniature(whole, layers=layers)
    assert params(inventory(small)) < 1.5e6 * small.layers
    outer = {tensor.name for tensor in inventory(whole) if tensor.layer is None}
    assert {tensor.name for tensor in inventory(small) if tensor.layer is None} == outer
    assert kinds(small) == kinds(whole)


def kinds(arch: Architecture) -> set[str]:
    """What tensors the layers have, without their numbers."""
    return {tensor.name.split(".", 2)[2] for tensor in inventory(arch) if tensor.layer is not None}


# ---- in the engine ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[Worker]:
    with Worker("llamacpp", deadline_s=60) as worker:
        yield worker


def load(engine: Worker, path: Path, context: int) -> LoadReport:
    return engine.load(LoadSettings(path=str(path), context=context, micro_batch=64, threads=1))


@pytest.mark.engine
@ALL
def test_the_engine_runs_it(engine: Worker, model_id: str, tmp_path: Path) -> None:
    arch = SMALL[model_id]
    loaded = load(engine, forge(Order(model_id, arch, Quantization.Q4_K_M), tmp_path / "x.gguf"), 256)
    assert (loaded.n_vocab, loaded.model_params) == (arch.vocab, params(stored(arch)))
    rng = random.Random(1)
    tokens = [rng.randrange(arch.vocab) for _ in range(100)]
    assert engine.prefill(tokens) > 0
    assert all(time > 0 for time in engine.decode(tokens[:4]))
    # A model that knows nothing gives every token about 1 / vocab: 8 tokens, log 512 = 6.2 each.
    scores = [score.logprob for score in score(engine, tokens[:8], [tokens[8:16], tokens[16:24]])]
    assert all(-8 * 9 < score < -8 * 4 for score in scores)
    assert scores[0] != scores[1]


@pytest.mark.engine
@ALL
def test_the_engine_keeps_as_much_of_its_context_as_reckoned(engine: Worker, model_id: str, tmp_path: Path) -> None:
    path = forge(Order(model_id, SMALL[model_id], Quantization.Q4_0), tmp_path / "x.gguf")
    for context in (256, 1000):
        load(engine, path, context)
        expected = engine_cache_bytes(SMALL[model_id], context, micro_batch=64)
        assert engine.memory().kv_bytes == pytest.approx(expected, abs=LOG_BYTES), context


@pytest.mark.engine
@pytest.mark.parametrize("kv_type", ["f32", "q8_0", "q4_0"])
@pytest.mark.parametrize("name", ["llama", "gemma3", "granitehybrid", "lfm2", "openelm"])
def test_the_engine_keeps_it_in_the_type_asked_for(engine: Worker, name: str, kv_type: str, tmp_path: Path) -> None:
    arch = miniatures()[name]
    path = forge(Order(name, arch, Quantization.Q4_0), tmp_path / "x.gguf")
    engine.load(LoadSettings(path=str(path), context=1000, micro_batch=64, kv_type=kv_type, threads=1))
    expected = engine_cache_bytes(arch, 1000, micro_batch=64, kv_type=kv_type)
    assert engine.memory().kv_bytes == pytest.approx(expected, abs=LOG_BYTES)


@pytest.mark.engine
@pytest.mark.parametrize("name", ["gemma2", "gemma3", "gemma4", "granitehybrid", "qwen35"])
def test_what_was_scored_before_does_not_matter(engine: Worker, name: str, tmp_path: Path) -> None:
    """A sliding window and a recurrent state have forgotten what a shorter text needs: it must be read again."""
    arch = changed(miniatures()[name], context=1024)
    path = forge(Order(name, arch, Quantization.F16), tmp_path / "x.gguf")
    rng = random.Random(1)
    prefix, *continuations = [[rng.randrange(arch.vocab) for _ in range(length)] for length in (300, 250, 40)]
    load(engine, path, 1024)
    together = score(engine, prefix, continuations)
    load(engine, path, 1024)
    (again,) = score(engine, prefix, continuations[1:])
    # Texts read together are rounded otherwise than alone, by some thousandths a token; what is lost costs nats.
    assert again.logprob == pytest.approx(together[1].logprob, abs=0.1)
