"""The types given to the tensors of a file are those llama.cpp itself gives; blocks are those of the format."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import gguf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.headers import runnable
from models.miniature import miniatures
from slm_atlas.anatomy.costs import gqa_ratio, weight_bytes
from slm_atlas.anatomy.quantization import Quantization, TensorType, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog import get
from slm_atlas.catalog.architecture import Architecture, Part, PositionKind
from slm_atlas.models.forge import file_type, stored
from slm_atlas.models.header import read_header
from slm_atlas.models.identify import type_name

from .shapes import FAMILIES, changed, gptneox, llama, qwen2, write_zeros

Q = Quantization
ONE_TYPE = (Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q6_K, Q.Q5_1, Q.Q5_0, Q.Q4_1, Q.Q4_0)


def types(arch: Architecture, label: Quantization) -> dict[str, TensorType]:
    return tensor_types(stored(arch), label, gqa=gqa_ratio(arch))


# ---- against llama.cpp --------------------------------------------------------------------------------------------


class Job(NamedTuple):
    """What is asked of llama.cpp's quantizer."""

    source: Path
    label: Quantization
    result: Path | None = None
    """The file to write; None: it only reckons."""


def quantize(jobs: Iterable[Job]) -> list[dict[str, str]]:
    """The types that the quantizer says it gives, one job after another; see `quantize.py`."""
    lines = [
        json.dumps([str(job.source), str(job.result) if job.result else None, file_type(job.label)]) for job in jobs
    ]
    command = [sys.executable, str(Path(__file__).with_name("quantize.py"))]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, timeout=300, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(lines), done.stderr
    return said


def assert_same_choices(shapes: Mapping[str, Architecture], labels: Iterable[Quantization], folder: Path) -> None:
    sources = {name: write_zeros(arch, folder / f"{number}.gguf") for number, (name, arch) in enumerate(shapes.items())}
    asked = [(name, label) for name in shapes for label in labels]
    chosen = quantize(Job(sources[name], label) for name, label in asked)
    for (name, label), found in zip(asked, chosen, strict=True):
        assert types(shapes[name], label) == found, f"{name} {label}"


SMALL = {
    "2 layers, tied": llama(),
    "9 layers, untied, 4 queries a key": llama(layers=9, ffn=256, kv_heads=1, tied=False),
    "16 layers, 3 queries a key, narrow output": llama(layers=16, heads=3, kv_heads=1, head_dim=32, ffn=256),
    "SmolLM's width": llama(hidden=576, heads=9, kv_heads=3, ffn=768),
    "width 64": llama(hidden=64, heads=1, kv_heads=1, ffn=192),
    "width 96, wide FFN, untied": llama(hidden=96, heads=3, kv_heads=3, head_dim=32, tied=False),
    "width 80, in no blocks": llama(hidden=80, heads=5, kv_heads=5, head_dim=16, ffn=200),
    "width 80, untied": llama(hidden=80, heads=5, kv_heads=5, head_dim=16, tied=False),
    "GPT-NeoX": gptneox(layers=6, ffn=256),
    "GPT-NeoX, tied": gptneox(layers=3, hidden=64, heads=2, head_dim=32, tied=True),
    "Qwen2, 7 queries a key": qwen2(layers=3, hidden=448, heads=7, kv_heads=1, ffn=256, vocab=256),
    "GPT-2": changed(gptneox(), gguf="gpt2", position={"kind": PositionKind.LEARNED}),
    "Qwen2-0.5B's width": qwen2(hidden=896, heads=2, kv_heads=1, ffn=160, vocab=64),
    "Gemma-3-1B's width": changed(miniatures()["gemma3"], hidden=1152, vocab=64, ffn={"intermediate": 160}),
    "SmolLM's width, fused": gptneox(hidden=576, heads=2, ffn=288, vocab=64),
}
EVERY = miniatures() | {f"{name}, 12 layers": arch for name, arch in miniatures(layers=12).items()}


@pytest.mark.engine
def test_types_are_those_llama_cpp_chooses(tmp_path: Path) -> None:
    assert_same_choices(SMALL, tuple(Quantization), tmp_path)


@pytest.mark.engine
def test_types_are_those_llama_cpp_chooses_in_every_architecture(tmp_path: Path) -> None:
    assert_same_choices(EVERY, tuple(Quantization), tmp_path)


@pytest.mark.engine
def test_types_are_those_llama_cpp_chooses_in_every_model_of_the_catalogue(tmp_path: Path) -> None:
    assert_same_choices(runnable(), (Q.Q4_K_M, Q.Q2_K), tmp_path)


@pytest.mark.engine
@pytest.mark.slow
def test_types_are_those_llama_cpp_chooses_in_every_model_with_every_label(tmp_path: Path) -> None:
    assert_same_choices(runnable(), tuple(Quantization), tmp_path)


@pytest.mark.engine
@pytest.mark.parametrize("arch", [llama(), gptneox(hidden=96, heads=3, head_dim=32)])
def test_what_the_quantizer_says_is_what_it_writes(arch: Architecture, tmp_path: Path) -> None:
    source = write_zeros(arch, tmp_path / "source.gguf")
    results = {label: tmp_path / f"{label}.gguf" for label in Quantization}
    written = quantize(Job(source, label, result) for label, result in results.items())
    assert written == [{}] * len(results)
    said = quantize(Job(source, label) for label in results)
    for result, expected in zip(results.values(), said, strict=True):
        assert {tensor.name: type_name(tensor.type_number) for tensor in read_header(result).tensors} == expected


def random_shape(rng: random.Random) -> Architecture:
    head_dim, kv_heads, group = rng.choice((16, 32, 48, 64)), rng.randint(1, 4), rng.choice((1, 2, 3, 4, 5, 8))
    return FAMILIES[rng.choice(list(FAMILIES))](
        layers=rng.randint(1, 33),
        hidden=rng.choice((32, 64, 80, 96, 128, 256, 320, 512)),
        heads=kv_heads * group,
        kv_heads=kv_heads,
        head_dim=head_dim,
        ffn=rng.choice((64, 100, 128, 256, 320, 512)),
        vocab=64,
        tied=rng.random() < 0.5,
    )


@pytest.mark.engine
@pytest.mark.slow
def test_types_are_those_llama_cpp_chooses_in_many_shapes(tmp_path: Path) -> None:
    rng = random.Random(1)
    shapes = {str(number): random_shape(rng) for number in range(30)}
    assert_same_choices(shapes, tuple(Quantization), tmp_path)


# ---- blocks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TensorType)
def test_blocks_are_those_of_the_format(kind: TensorType) -> None:
    assert kind.block == gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind.value]]


@given(st.sampled_from(TensorType), st.integers(1, 1000), st.integers(1, 8))
def test_bytes_are_whole_blocks_of_each_row(kind: TensorType, rows: int, blocks: int) -> None:
    tensor = Tensor("x.weight", (rows, blocks * kind.block.values), Part.FFN, 0)
    assert tensor_bytes(tensor, kind) == rows * blocks * kind.block.bytes


def test_a_row_that_does_not_divide_into_blocks_has_no_size() -> None:
    with pytest.raises(ValueError, match=r"x\.weight: 576 columns"):
        tensor_bytes(Tensor("x.weight", (2, 576), Part.FFN, 0), TensorType.Q4_K)


# ---- the mixes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", ONE_TYPE)
def test_a_label_without_a_mix_gives_all_matrices_of_a_layer_its_type(label: Quantization) -> None:
    chosen = types(llama(), label)
    matrices = [tensor for tensor in inventory(llama()) if tensor.is_matrix and tensor.layer is not None]
    assert {chosen[tensor.name] for tensor in matrices} == {label.default_type}


@pytest.mark.parametrize("label", Quantization)
def test_vectors_and_norms_stay_in_32_bits(label: Quantization) -> None:
    arch = gptneox()
    chosen = types(arch, label)
    vectors = [tensor for tensor in inventory(arch) if not tensor.is_matrix]
    assert vectors
    assert {chosen[tensor.name] for tensor in vectors} == {TensorType.F32}


def test_most_of_smollm_135m_in_4_bits_is_not_in_4_bits() -> None:
    arch = get("smollm-135m").architecture
    found = weight_bytes(inventory(arch), types(arch, Q.Q4_K_M))
    assert next(iter(found)) is TensorType.Q5_0
    assert found[TensorType.Q4_K] < 0.2 * sum(found.values())


@given(st.sampled_from(Quantization), st.integers(1, 40), st.integers(1, 700), st.integers(1, 700), st.booleans())
def test_every_tensor_gets_a_type_that_its_rows_divide_into(
    label: Quantization, layers: int, hidden: int, ffn: int, tied: bool
) -> None:
    arch = llama(layers=layers, hidden=hidden, ffn=ffn, tied=tied)
    chosen = types(arch, label)
    assert all(tensor_bytes(tensor, chosen[tensor.name]) > 0 for tensor in inventory(arch))
