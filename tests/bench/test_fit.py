"""What a run will need is foreseen before it is tried, by arithmetic or by the engine, and refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import fit
from slm_atlas.bench.fit import CLOSE, Need, foresee, shortage
from slm_atlas.bench.room import Room
from slm_atlas.bench.simulate import Reckoned
from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.errors import EngineRefused
from slm_atlas.units import GIB, MIB

BYTES = st.integers(0, 2**45)
AMPLE = Room(1024 * GIB, "are available")


def test_the_parts_stand_in_the_refusal() -> None:
    need = Need(weights_bytes=400 * MIB, kv_bytes=30 * GIB, buffer_bytes=200 * MIB, process_bytes=64 * MIB)
    assert shortage(need, Room(17 * GIB, "are available")) == (
        "it needs 30.65 GiB (weights 400.0 MiB, KV cache 30.00 GiB, buffers 200.0 MiB, process 64.0 MiB), "
        "and 17.00 GiB are available"
    )


@given(BYTES, BYTES, BYTES)
def test_only_what_is_clearly_too_large_is_refused(weights: int, cache: int, there: int) -> None:
    need = Need(weights_bytes=weights, kv_bytes=cache)
    refused = shortage(need, Room(there, "are available")) is not None
    assert refused == (need.total_bytes > CLOSE * there)


class Asked(list[LoadSettings]):
    """What the engine was asked to reckon."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """An engine that is only asked, and refuses."""
    found = Asked()

    def reckon(settings: LoadSettings) -> Reckoned:
        found.append(settings)
        raise EngineRefused("no")

    monkeypatch.setattr(fit, "reckon", reckon)
    fit._reckoned.cache_clear()
    yield found
    fit._reckoned.cache_clear()


def settings(path: Path, **more: object) -> LoadSettings:
    return msgspec.structs.replace(LoadSettings(path=str(path), threads=1), **more)


def test_arithmetic_is_enough_far_from_the_limit(tiny_model: Path, asked: Asked) -> None:
    small, large = (foresee(tiny_model, settings(tiny_model, context=size), AMPLE) for size in (512, 2**20))
    assert small is not None
    assert large is not None
    assert large.kv_bytes == 2048 * small.kv_bytes
    few = Room(large.total_bytes // 4, "are available")
    assert foresee(tiny_model, settings(tiny_model, context=2**20), few) == large
    assert asked == []


def test_close_to_it_the_engine_is_asked_once(tiny_model: Path, asked: Asked) -> None:
    need = foresee(tiny_model, settings(tiny_model), AMPLE)
    assert need is not None
    for _ in range(2):
        found = foresee(tiny_model, settings(tiny_model), Room(need.total_bytes, "are available"))
        assert found == need  # it refused: arithmetic is what is left
    assert len(asked) == 1


def test_of_attention_that_is_not_fused_arithmetic_knows_too_little(tiny_model: Path, asked: Asked) -> None:
    foresee(tiny_model, settings(tiny_model, flash_attention=False), AMPLE)
    assert len(asked) == 1


def test_a_file_that_nobody_can_read_is_left_to_the_engine(tmp_path: Path, tiny_model: Path, asked: Asked) -> None:
    path = tmp_path / "x.gguf"
    assert foresee(path, settings(path), AMPLE) is None
    path.write_bytes(tiny_model.read_bytes().replace(b"llama", b"lemur"))
    assert foresee(path, settings(path), AMPLE) is None
    assert len(asked) == 1


@pytest.mark.engine
@pytest.mark.parametrize("more", [{}, {"kv_type": "q8_0", "context": 4096}, {"flash_attention": False}])
def test_the_engine_reckons_what_it_then_allocates(tiny_model: Path, more: dict[str, object]) -> None:
    asked = settings(tiny_model, **more)
    need = foresee(tiny_model, asked, Room(100 * MIB, "are available"))
    with Worker(deadline_s=60) as worker:
        worker.load(asked)
        memory = worker.memory()
    assert need is not None
    assert need.kv_bytes == memory.kv_bytes
    assert memory.compute_bytes is not None
    assert memory.output_bytes is not None
    assert need.buffer_bytes == pytest.approx(memory.compute_bytes + memory.output_bytes, abs=0.03 * MIB)
    assert need.weights_bytes <= memory.model_bytes
