"""A forged file is what was ordered, byte for byte; a forge that dies leaves no file; the engine runs it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from anatomy.shapes import FAMILIES, changed, gptneox, llama, qwen2
from engines.asking import score
from slm_atlas.anatomy.costs import gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.engines.values import LoadSettings
from slm_atlas.engines.worker import Worker
from slm_atlas.errors import UserError
from slm_atlas.models.blocks import STANDARD_DEVIATION
from slm_atlas.models.forge import FORGED_KEY, Order, file_type, forge, stored
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import type_name

from . import forging
from .miniature import miniatures

Q = Quantization
ARCHES = miniatures() | {f"{name}, odd vocabulary": make(vocab=300) for name, make in FAMILIES.items()}


# ---- the file -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", [Q.Q4_K_M, Q.F16])
@pytest.mark.parametrize("family", ARCHES)
def test_the_file_holds_the_inventory_in_the_types_of_the_label(
    family: str, label: Quantization, tmp_path: Path
) -> None:
    arch = ARCHES[family]
    path = forge(Order("X", arch, label), tmp_path / "x.gguf")
    reader = gguf.GGUFReader(path)
    types = tensor_types(stored(arch), label, gqa=gqa_ratio(arch))
    assert [(tensor.name, tensor.tensor_type.name, int(tensor.n_bytes)) for tensor in reader.tensors] == [
        (tensor.name, types[tensor.name].value, tensor_bytes(tensor, types[tensor.name])) for tensor in stored(arch)
    ]
    shapes = [tuple(int(extent) for extent in reversed(tensor.shape)) for tensor in reader.tensors]
    assert shapes == [tensor.shape for tensor in stored(arch)]
    last = reader.tensors[-1]
    assert path.stat().st_size == -(-(last.data_offset + last.n_bytes) // 32) * 32


@pytest.mark.parametrize("family", ARCHES)
def test_weights_are_random_norms_one_biases_zero_and_states_decay(family: str, tmp_path: Path) -> None:
    for tensor in gguf.GGUFReader(forge(Order("X", ARCHES[family], Q.Q8_0), tmp_path / "x.gguf")).tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if tensor.name.endswith(("_norm.weight", "_norm", "rope_freqs.weight")):
            assert (values == 1).all()
        elif tensor.name.endswith(".bias"):
            assert (values == 0).all()
        elif tensor.name.endswith(".ssm_a"):
            assert (values == -1).all()
        elif values.size > 10_000:
            # Floats spread a fifth more (see `blocks`).
            assert np.std(values) == pytest.approx(STANDARD_DEVIATION, rel=0.25)
        else:
            assert 0 < abs(values).max() < 3 * STANDARD_DEVIATION


def test_metadata_of_a_llama(tmp_path: Path) -> None:
    found = read_header(forge(Order("Tiny", llama(context=640), Q.Q4_K_M, seed=3), tmp_path / "x.gguf")).metadata
    assert found == {
        "general.architecture": "llama",
        "general.name": "Tiny (random weights)",
        "general.file_type": file_type(Q.Q4_K_M),
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
        FORGED_KEY: True,
        "slm_atlas.seed": 3,
        "llama.block_count": 2,
        "llama.context_length": 640,
        "llama.embedding_length": 256,
        "llama.feed_forward_length": 512,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.key_length": 64,
        "llama.attention.value_length": 64,
        "llama.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "llama.rope.dimension_count": 64,
        "llama.rope.freq_base": 10_000,
        "llama.vocab_size": 512,
        "tokenizer.ggml.model": "none",
    }


def test_metadata_of_a_gptneox(tmp_path: Path) -> None:
    found = read_header(forge(Order("Tiny", gptneox(), Q.F16), tmp_path / "x.gguf")).metadata
    assert found["gptneox.use_parallel_residual"] is True
    assert found["gptneox.rope.dimension_count"] == 16
    assert found["gptneox.attention.layer_norm_epsilon"] == pytest.approx(1e-5)
    assert "gptneox.attention.layer_norm_rms_epsilon" not in found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemma3", {"attention.sliding_window": 64, "attention.sliding_window_pattern": [True, False]}),
        ("gemma4", {"attention.key_length": 128, "attention.key_length_swa": 64, "attention.shared_kv_layers": 2}),
        ("deepseek2", {"attention.head_count_kv": 1, "attention.key_length": 160, "attention.key_length_mla": 64}),
        ("minicpm3", {"attention.head_count_kv": 4, "attention.key_length": 64, "attention.value_length": 64}),
        ("minicpm", {"embedding_scale": 12.0, "logit_scale": 6.0}),
        ("granitehybrid", {"attention.head_count_kv": [0, 2], "ssm.inner_size": 512, "rope.scaling.finetuned": False}),
        ("falcon-h1", {"attention.head_count_kv": 2, "ssm.state_size": 64, "ssm.group_count": 1}),
        ("lfm2", {"attention.head_count_kv": [0, 2], "shortconv.l_cache": 3}),
        ("qwen35", {"attention.recurrent_layers": [True, False], "rope.dimension_sections": [11, 11, 10, 0]}),
        ("qwen", {"feed_forward_length": 1024}),
        ("stablelm", {"use_parallel_residual": False}),
    ],
)
def test_metadata_of_what_few_architectures_have(name: str, expected: dict[str, Any], tmp_path: Path) -> None:
    found = read_header(forge(Order("X", miniatures()[name], Q.Q4_0), tmp_path / "x.gguf")).metadata
    assert {key: found.get(f"{name}.{key}") for key in expected} == expected


def test_layers_that_differ_are_written_as_lists(tmp_path: Path) -> None:
    arch = changed(llama(), attention={"heads": (4, 8), "kv_heads": (2, 4)}, ffn={"intermediate": (512, 256)})
    found = read_header(forge(Order("Tiny", arch, Q.Q8_0), tmp_path / "x.gguf"))
    assert found.metadata["llama.feed_forward_length"] == [512, 256]
    assert found.metadata["llama.attention.head_count"] == [4, 8]
    assert found.metadata["llama.attention.head_count_kv"] == [2, 4]


@pytest.mark.parametrize("label", Quantization)
def test_the_number_of_a_label(label: Quantization) -> None:
    name = gguf.LlamaFileType(file_type(label)).name
    assert name.removeprefix("MOSTLY_").removeprefix("ALL_") == label.value


def test_types_may_be_given_tensor_by_tensor(tmp_path: Path) -> None:
    types = {tensor.name: TensorType.Q8_0 if tensor.is_matrix else TensorType.F32 for tensor in inventory(llama())} | {
        "blk.1.ffn_up.weight": TensorType.Q2_K
    }
    header = read_header(forge(Order("X", llama(), Q.Q4_K_M, types=types), tmp_path / "x.gguf"))
    assert {tensor.name: type_name(tensor.type_number) for tensor in header.tensors} == types


def test_the_same_order_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    def order(seed: int) -> Order:
        return Order("X", llama(), Q.Q4_K_M, seed=seed)

    first, again, other = (
        forge(order(seed), tmp_path / f"{number}.gguf").read_bytes() for number, seed in enumerate((5, 5, 6))
    )
    assert first == again
    assert len(first) == len(other)
    assert first != other


def test_a_tensor_longer_than_a_chunk_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slm_atlas.models.forge._CHUNK_BYTES", 1000)
    path = forge(Order("X", llama(), Q.Q4_K_M), tmp_path / "x.gguf")
    for tensor in gguf.GGUFReader(path).tensors:
        assert np.isfinite(gguf.quants.dequantize(tensor.data, tensor.tensor_type)).all()
    monkeypatch.undo()
    assert path.stat().st_size == forge(Order("X", llama(), Q.Q4_K_M), tmp_path / "y.gguf").stat().st_size


def test_progress_goes_from_something_to_everything(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf", on_progress=lambda done, total: told.append((done, total)))
    weights = sum(tensor.n_bytes for tensor in gguf.GGUFReader(tmp_path / "x.gguf").tensors)
    assert told[-1] == (weights, weights)
    assert {total for _, total in told} == {weights}
    assert all(before < after for (before, _), (after, _) in pairwise(told))


@pytest.mark.parametrize(
    ("name", "what"),
    [("mamba", "llama.cpp does not run the architecture 'mamba'"), (None, "llama.cpp does not run it")],
)
def test_what_cannot_be_forged_is_refused_before_anything_is_written(
    name: str | None, what: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=rf"X cannot be forged: {what}. Try: slm models list --runnable"):
        forge(Order("X", changed(llama(), gguf=name), Q.Q4_0), tmp_path / "folder" / "x.gguf")
    assert list(tmp_path.iterdir()) == []


# ---- when something goes wrong ------------------------------------------------------------------------------------


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parents[1])
    path_of_modules = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(forging.__file__), str(path), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path_of_modules}
    )


def test_a_killed_forge_leaves_nothing_that_looks_like_a_model(tmp_path: Path) -> None:
    moments = ("header", "1", "7", "sync", "rename")
    children = [start(tmp_path / f"{moment}.gguf", "stop", moment) for moment in moments]
    for child in children:  # all are there before one is killed: each removes what dead ones left
        assert child.stdout is not None
        assert child.stdout.readline() == "now\n"
    for child in children:
        with child:
            child.kill()
    left = list(tmp_path.iterdir())
    assert len(left) == len(moments)
    assert all(path.name.startswith(".") and path.suffix == ".part" for path in left)
    assert list(tmp_path.glob("*.gguf")) == []
    forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]


@pytest.mark.parametrize("limit", ["100", "100000"])  # within the header, within the weights
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(limit: str, tmp_path: Path) -> None:
    with start(tmp_path / "x.gguf", "limit", limit) as child:
        told = child.communicate()[0]
    assert child.returncode == 0
    assert told.startswith(f"Cannot write {tmp_path / 'x.gguf'}: File too large.")
    assert "\n" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write .*x\.gguf: Not a directory"):
        forge(Order("X", llama(), Q.Q4_0), tmp_path / "file" / "folder" / "x.gguf")


def test_a_forge_that_is_interrupted_removes_its_part(tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf", on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"old")
    forge(Order("X", llama(), Q.Q4_0), path)
    assert read_header(path).params > 0


# ---- in the engine ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine() -> Iterator[Worker]:
    with Worker("llamacpp", deadline_s=60) as worker:
        yield worker


RUN = {"llama": llama(), "llama, untied": llama(tied=False), "gptneox": gptneox(), "qwen2": qwen2(tied=False)}


@pytest.mark.engine
@pytest.mark.parametrize("label", Quantization)
@pytest.mark.parametrize("name", RUN)
def test_the_engine_runs_it_with_finite_logits(engine: Worker, name: str, label: Quantization, tmp_path: Path) -> None:
    run(engine, RUN[name], label, tmp_path)


@pytest.mark.engine
def test_the_engine_runs_what_does_not_divide_into_blocks(engine: Worker, tmp_path: Path) -> None:
    arch = llama(hidden=576, heads=9, kv_heads=3, ffn=1536)
    run(engine, arch, Q.Q4_K_M, tmp_path)


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.parametrize("label", [Q.Q2_K, Q.Q4_0, Q.Q4_K_M])
@pytest.mark.parametrize("name", ["llama", "gptneox", "qwen2"])
def test_a_deep_model_runs_with_finite_logits(engine: Worker, name: str, label: Quantization, tmp_path: Path) -> None:
    run(engine, FAMILIES[name](layers=32, hidden=512, heads=8, kv_heads=8, ffn=2048), label, tmp_path)


def run(engine: Worker, arch: Architecture, label: Quantization, folder: Path) -> None:
    path = forge(Order("X", arch, label), folder / "x.gguf")
    loaded = engine.load(LoadSettings(path=str(path), context=256, threads=1))
    assert (loaded.n_vocab, loaded.model_params) == (arch.vocab, sum(tensor.size for tensor in inventory(arch)))
    rng = random.Random(1)
    tokens = [rng.randrange(arch.vocab) for _ in range(24)]
    assert engine.prefill(tokens[:16]) > 0
    assert all(time > 0 for time in engine.decode(tokens[16:]))
    one, other = score(engine, tokens[:8], [tokens[8:16], tokens[16:]])
    # A model that knows nothing gives every token about 1 / vocab: 8 tokens, log 512 = 6.2 each.
    for found in (one, other):
        assert -8 * 15 < found.logprob < -8 * 2
    assert one.logprob != other.logprob
