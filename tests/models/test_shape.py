"""The shape of whatever a user calls a model: the catalogue's, or the one its file was forged in."""

from __future__ import annotations

from pathlib import Path

import pytest

from anatomy.shapes import FAMILIES, changed, llama
from slm_atlas import catalog
from slm_atlas.anatomy.costs import estimate, gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, tensor_types
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.errors import UserError
from slm_atlas.models.forge import Order, forge, stored
from slm_atlas.models.shape import file_header, shape_of

from .miniature import miniatures

Q = Quantization
SHAPES = {
    **{name: make() for name, make in FAMILIES.items()},
    **{name: miniatures()[name] for name in ("gemma4", "granitehybrid", "deepseek2")},
    "layers differ": changed(
        llama(), attention={"heads": (4, 8), "kv_heads": (2, 4)}, ffn={"intermediate": (512, 256)}
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_a_forged_file_is_the_one_ordered(name: str, tmp_path: Path) -> None:
    arch = SHAPES[name]
    path = forge(Order("Tiny", arch, Q.Q4_K_M), tmp_path / "x.gguf")
    found = shape_of(str(path))
    assert found.arch == arch
    assert (found.name, found.label) == ("Tiny", Q.Q4_K_M)
    assert found.types == tensor_types(stored(arch), Q.Q4_K_M, gqa=gqa_ratio(arch))
    assert estimate(found.arch, Q.Q4_K_M, types=found.types) == estimate(arch, Q.Q4_K_M)


@pytest.mark.parametrize("model_id", ["smollm-135m", "opt-350m", "zamba2-1.2b"])
def test_the_shape_of_a_catalogue_id_is_the_catalogues(model_id: str) -> None:
    model = catalog.get(model_id)
    assert shape_of(model_id) == (model.name, model.architecture, None, None)


@pytest.mark.engine
def test_the_shape_of_the_real_model_is_the_catalogues(real_model: Path) -> None:
    assert shape_of(str(real_model)).arch == catalog.get("smollm2-135m").architecture


def test_the_header_of_a_file_comes_with_its_name(tiny_model: Path, tiny_arch: Architecture) -> None:
    name, header = file_header(str(tiny_model))
    assert name == tiny_model
    assert len(header.tensors) == len(stored(tiny_arch))


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="There is no file"):
        shape_of("absent.gguf")


def test_a_label_not_known_here_leaves_the_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf")
    monkeypatch.setattr("slm_atlas.models.shape.quantization_label", lambda _: "IQ4_XS")
    found = shape_of(str(path))
    assert found.label is None
    assert found.types == tensor_types(stored(llama()), Q.Q4_0, gqa=2)


def test_types_not_known_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf")
    monkeypatch.setattr("slm_atlas.models.shape.type_name", lambda _: "IQ4_XS")
    with pytest.raises(UserError, match="types not known here: IQ4_XS"):
        shape_of(str(path))
