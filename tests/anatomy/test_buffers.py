"""The compute buffer is modelled as the engine allocates it: in small shapes of every kind, and in known models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas import catalog
from slm_atlas.anatomy.buffers import compute_bytes
from slm_atlas.anatomy.costs import estimate
from slm_atlas.anatomy.quantization import Quantization
from slm_atlas.catalog import get
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.engines.values import LoadSettings, MemoryReport
from slm_atlas.engines.worker import Worker
from slm_atlas.models.forge import Order, forge
from slm_atlas.units import MIB

from .shapes import gptneox, llama, qwen2, write_zeros

LOG_BYTES = 0.005 * MIB + 1
"""llama.cpp logs its buffers to two decimals of a MiB."""


GAPS = ("phi3", "openelm", "lfm2", "falcon-h1")
"""Architectures whose last stream lies above the inputs, until a larger mask makes room for it."""


# ---- the model alone ----------------------------------------------------------------------------------------------


def test_the_compute_buffer_of_no_model_shrinks() -> None:
    contexts, batches = (1, 100, 512, 4096, 32768), (1, 64, 512, 2048)
    for model in catalog.models():
        arch = model.architecture
        found = [[compute_bytes(arch, context, batch) for batch in batches] for context in contexts]
        assert found[0][0] >= 4 * arch.vocab, model.id
        assert all(row == sorted(row) for row in found), model.id
        if arch.gguf not in GAPS:
            assert all(list(column) == sorted(column) for column in zip(*found, strict=True)), model.id


@given(st.integers(1, 100_000), st.integers(1, 4096))
def test_the_compute_buffer_grows_with_either_size(context: int, micro_batch: int) -> None:
    arch = get("smollm-135m").architecture
    found = compute_bytes(arch, context, micro_batch)
    assert 0 < found <= compute_bytes(arch, context + 256, micro_batch)
    assert found <= compute_bytes(arch, context, micro_batch + 1)


# ---- against the engine -------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A shape, how it is run, and how far off the modelled compute buffer may be."""

    name: str
    arch: Architecture
    context: int = 512
    micro_batch: int = 512
    kv_type: str = "f16"
    quantization: Quantization = Quantization.Q4_0
    error: float = 0.0


GAP = 0.11
"""Where the allocator leaves a gap: two streams or so, much beside the small vocabularies of these tests."""
CASES = (
    Case("logits win", llama(vocab=8192)),
    Case("logits win, few tokens", llama(vocab=8192), micro_batch=64),
    Case("logits win, short context", llama(vocab=8192), context=100, error=GAP),
    Case("logits win, long context", llama(vocab=8192), context=8192),
    Case("the mask wins", llama(layers=3, ffn=1024, vocab=4096), context=16384),
    Case("a gated FFN wins", llama(layers=3, ffn=2048)),
    Case("a gated FFN wins, Qwen2", qwen2(layers=3, ffn=2048), context=4096),
    Case("attention wins", llama(layers=3, heads=16, kv_heads=16)),
    Case("fused attention wins", gptneox()),
    Case("a plain FFN wins", gptneox(ffn=2048), context=2048),
    Case("logits win, GPT-NeoX", gptneox(vocab=8192)),
    Case("a cache of 8 bits", llama(vocab=8192), context=2048, kv_type="q8_0", error=GAP),
    Case("a cache of 32 bits", llama(vocab=8192), context=2048, kv_type="f32", error=GAP),
    Case("an FFN no wider than the stream", llama(layers=4, hidden=512, heads=8, ffn=512), error=0.4),
    Case("mixed types", qwen2(layers=3, vocab=8192), quantization=Quantization.Q4_K_M, error=GAP),
    Case("mixed types, untied", llama(tied=False, vocab=8192), quantization=Quantization.Q3_K_M),
)


@pytest.fixture(scope="module")
def engine() -> Iterator[Worker]:
    with Worker("llamacpp", deadline_s=60) as worker:
        yield worker


def run(engine: Worker, case: Case, path: Path, *, simulate: bool = False) -> tuple[int, MemoryReport]:
    """Bytes of the weights, and the engine's report."""
    settings = LoadSettings(
        path=str(path),
        context=case.context,
        micro_batch=case.micro_batch,
        kv_type=case.kv_type,
        threads=1,
        simulate=simulate,
    )
    return engine.load(settings).model_size_bytes, engine.memory()


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_the_engine_allocates_what_was_estimated(engine: Worker, case: Case, tmp_path: Path) -> None:
    path = forge(Order("Case", case.arch, case.quantization), tmp_path / "case.gguf")
    weights, memory = run(engine, case, path)
    found = estimate(
        case.arch, case.quantization, context=case.context, micro_batch=case.micro_batch, kv_type=case.kv_type
    )
    assert weights == found.weight_bytes
    assert memory.kv_bytes == pytest.approx(found.kv_bytes, abs=LOG_BYTES)
    assert memory.output_bytes == pytest.approx(found.output_bytes, abs=LOG_BYTES)
    rel = max(case.error, 1e-3)
    assert memory.compute_bytes == pytest.approx(found.compute_bytes, rel=rel, abs=LOG_BYTES)


@pytest.mark.engine
def test_the_tiny_model_is_as_estimated(engine: Worker, tiny_arch: Architecture, tiny_model: Path) -> None:
    weights = run(engine, Case("Tiny", tiny_arch), tiny_model)[0]
    assert weights == estimate(tiny_arch, Quantization.Q4_K_M, context=512).weight_bytes


@pytest.mark.engine
@pytest.mark.parametrize("case", CASES[:8], ids=lambda case: str(case.name))
def test_a_simulation_tells_the_same_buffer_without_the_weights(engine: Worker, case: Case, tmp_path: Path) -> None:
    path = write_zeros(case.arch, tmp_path / "case.gguf", case.quantization)
    simulated, real = (run(engine, case, path, simulate=flag)[1] for flag in (True, False))
    assert simulated.compute_bytes == real.compute_bytes
    assert real.compute_bytes
    assert simulated.kv_bytes == real.kv_bytes > 0
    assert simulated.model_bytes == 0 < real.model_bytes


@pytest.mark.engine
@pytest.mark.parametrize("context", [512, 2048])
@pytest.mark.parametrize("model_id", ["smollm-135m", "pythia-160m", "qwen2-0.5b"])
def test_known_models_are_as_the_engine_says(engine: Worker, model_id: str, context: int, tmp_path: Path) -> None:
    arch = get(model_id).architecture
    path = write_zeros(arch, tmp_path / "model.gguf", Quantization.Q4_K_M)
    found = run(engine, Case(model_id, arch, context), path, simulate=True)[1].compute_bytes
    path.unlink()
    # In SmolLM-135M the allocator leaves a gap at this one context (4.2 percent).
    error = 0.05 if (model_id, context) == ("smollm-135m", 2048) else 0.005
    assert compute_bytes(arch, context, 512) == pytest.approx(found, rel=error)
