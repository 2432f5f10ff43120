"""The shape read from a file is the shape it was forged in; a header that contradicts itself is refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anatomy.shapes import FAMILIES, changed, gptneox, llama, qwen2
from slm_atlas import catalog
from slm_atlas.anatomy.costs import estimate, gqa_ratio
from slm_atlas.anatomy.quantization import Quantization, tensor_types
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Architecture
from slm_atlas.errors import UserError
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import Header, TensorInfo, read_header
from slm_atlas.models.shape import architecture, shape_of

Q = Quantization
SHAPES = {
    **{name: make() for name, make in FAMILIES.items()},
    "llama, untied": llama(tied=False),
    "qwen2, deep": qwen2(layers=5, context=100),
    "layers differ": changed(
        llama(), attention={"heads": (4, 8), "kv_heads": (2, 4)}, ffn={"intermediate": (512, 256)}
    ),
}


def rounded(arch: Architecture) -> Architecture:
    """With the epsilon as a file has it."""
    return changed(arch, norm={"eps": float(f"{arch.norm.eps:.6g}")})


@pytest.mark.parametrize("name", SHAPES)
def test_the_shape_of_a_forged_file_is_the_one_ordered(name: str, tmp_path: Path) -> None:
    arch = SHAPES[name]
    path = forge(Order("Tiny", arch, Q.Q4_K_M), tmp_path / "x.gguf")
    found = shape_of(str(path))
    assert rounded(found.arch) == arch
    assert found.label is Q.Q4_K_M
    assert found.types == tensor_types(inventory(arch), Q.Q4_K_M, gqa=gqa_ratio(arch))
    assert estimate(found.arch, Q.Q4_K_M) == estimate(arch, Q.Q4_K_M)


def test_the_shape_of_a_catalogue_id_is_the_catalogues() -> None:
    found = shape_of("smollm-135m")
    assert found == ("SmolLM-135M", catalog.get("smollm-135m").architecture, None, None)


@pytest.mark.engine
def test_the_shape_of_the_real_model_is_the_catalogues(real_model: Path) -> None:
    assert rounded(shape_of(str(real_model)).arch) == catalog.get("smollm2-135m").architecture


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> Header:
    return read_header(forge(Order("X", gptneox(), Q.Q4_0), tmp_path_factory.mktemp("shape") / "x.gguf"))


def with_metadata(header: Header, **changes: Any) -> Header:
    return header._replace(metadata=header.metadata | {f"gptneox.{name}": value for name, value in changes.items()})


def test_another_architecture_is_refused(header: Header) -> None:
    other = header._replace(metadata=header.metadata | {"general.architecture": "gemma3"})
    with pytest.raises(UserError, match="'gemma3' are not known here"):
        architecture(other)


def test_other_tensors_are_refused_by_name(header: Header) -> None:
    extra = TensorInfo("blk.0.strange.weight", (2, 2), 0, 0)
    with pytest.raises(UserError, match=r"other tensors than its architecture says: blk\.0\.strange\.weight"):
        architecture(header._replace(tensors=(*header.tensors, extra)))
    assert architecture(header._replace(tensors=(*header.tensors, extra._replace(name="rope_freqs.weight"))))


def test_a_number_that_is_missing_is_named(header: Header) -> None:
    with pytest.raises(UserError, match="does not say its block_count"):
        architecture(with_metadata(header, block_count=None))


def test_types_not_known_here_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = forge(Order("X", llama(), Q.Q4_0), tmp_path / "x.gguf")
    monkeypatch.setattr("slm_atlas.models.shape.type_name", lambda _: "IQ4_XS")
    with pytest.raises(UserError, match="types not known here: IQ4_XS"):
        shape_of(str(path))


VALUES = st.one_of(
    st.none(),
    st.integers(-2, 2**32),
    st.integers(0, 8),
    st.floats(),
    st.text(max_size=3),
    st.booleans(),
    st.lists(st.one_of(st.integers(-1, 8), st.none(), st.text(max_size=2)), max_size=4),
)
KEYS = st.sampled_from(
    [
        "block_count",
        "context_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.layer_norm_epsilon",
        "attention.layer_norm_rms_epsilon",
        "rope.dimension_count",
        "rope.freq_base",
    ]
)
EMBEDDINGS = st.lists(st.integers(0, 600), max_size=4).map(tuple)


@given(changes=st.dictionaries(KEYS, VALUES, min_size=1, max_size=4), embedding=st.none() | EMBEDDINGS)
def test_a_header_of_nonsense_gives_an_architecture_or_a_refusal(
    header: Header, changes: dict[str, Any], embedding: tuple[int, ...] | None
) -> None:
    odd = with_metadata(header, **changes)
    if embedding is not None:
        odd = odd._replace(tensors=(odd.tensors[0]._replace(shape=embedding), *odd.tensors[1:]))
    try:
        found = architecture(odd)
    except UserError:
        return
    assert {tensor.name for tensor in inventory(found)} <= {tensor.name for tensor in odd.tensors}


def test_a_layer_count_beyond_all_tensors_is_refused_at_once(header: Header) -> None:
    with pytest.raises(UserError, match="other tensors"):
        architecture(with_metadata(header, block_count=2**32 - 1))
