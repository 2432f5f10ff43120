"""A header gives back the architecture it was written for; one that contradicts itself is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomy.shapes import changed, gptneox, llama
from slm_atlas.anatomy.tensors import inventory
from slm_atlas.catalog.architecture import Activation, Architecture
from slm_atlas.errors import UserError
from slm_atlas.models.header import Header, TensorInfo, Value
from slm_atlas.models.reading import CONSTANTS, architecture

from .headers import header_of, runnable
from .miniature import distinct, miniatures

MINIATURES = distinct()
WHOLE = runnable()


# ---- what is read back --------------------------------------------------------------------------------------------


def readable(arch: Architecture, read: Architecture) -> Architecture:
    """The architecture as far as a file can say it.

    A file has numbers in 32 bits, of which seven digits are read. It has no name for an activation, since llama.cpp
    decides on that by the architecture (see `test_the_activation_is_the_one_llama_cpp_computes`).
    """
    arch = changed(arch, ffn={"activation": read.ffn.activation})
    if arch.multipliers is None:
        return arch
    scales = {name: getattr(arch.multipliers, name) for name in arch.multipliers.__struct_fields__}
    digits = {name: None if value is None else float(f"{value:.7g}") for name, value in scales.items()}
    return changed(arch, multipliers=digits)


@pytest.mark.parametrize("model_id", MINIATURES)
def test_a_miniature_is_read_back(model_id: str) -> None:
    read = architecture(header_of(MINIATURES[model_id]))
    assert read == readable(MINIATURES[model_id], read)


@pytest.mark.parametrize("name", miniatures())
def test_a_deeper_miniature_is_read_back(name: str) -> None:
    arch = miniatures(layers=12)[name]
    read = architecture(header_of(arch))
    assert read == readable(arch, read)


def test_every_model_of_the_catalogue_is_read_back() -> None:
    for model_id, arch in WHOLE.items():
        read = architecture(header_of(arch))
        assert read == readable(arch, read), model_id


def test_the_activation_is_the_one_llama_cpp_computes() -> None:
    odd = {
        model_id: (arch.ffn.activation, read)
        for model_id, arch in WHOLE.items()
        if (read := architecture(header_of(arch)).ffn.activation) != arch.ffn.activation
    }
    # llama.cpp runs all of GPT-2's architecture with GELU by tanh; Cerebras trained with the exact one.
    assert {model_id.rsplit("-", 1)[0] for model_id in odd} == {"cerebras-gpt"}
    assert set(odd.values()) == {(Activation.GELU, Activation.GELU_TANH)}


@pytest.mark.parametrize(
    "arch",
    [
        llama(tied=False),
        llama(layers=5, context=100),
        changed(llama(), attention={"heads": (4, 8), "kv_heads": (2, 4)}, ffn={"intermediate": (512, 256)}),
        changed(gptneox(), parallel=False),
    ],
)
def test_what_no_model_of_the_catalogue_has_is_read_back(arch: Architecture) -> None:
    assert architecture(header_of(arch)) == arch


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def header() -> Header:
    return header_of(gptneox())


def with_metadata(header: Header, **changes: Any) -> Header:
    return header._replace(metadata=header.metadata | {f"gptneox.{name}": value for name, value in changes.items()})


@pytest.mark.parametrize("name", ["mamba", "unknown", ""])
def test_another_architecture_is_refused_with_those_known(header: Header, name: str) -> None:
    other = header._replace(metadata=header.metadata | {"general.architecture": name})
    with pytest.raises(UserError, match=rf"'{name}' are not known here \(but: arcee, .*, stablelm\)"):
        architecture(other)


def test_other_tensors_are_refused_by_name(header: Header) -> None:
    extra = TensorInfo("blk.0.strange.weight", (2, 2), 0, 0)
    with pytest.raises(UserError, match=r"other tensors than its architecture says: 'blk\.0\.strange\.weight'\."):
        architecture(header._replace(tensors=(*header.tensors, extra)))
    with pytest.raises(UserError, match="other tensors than its architecture says"):
        architecture(header._replace(tensors=header.tensors[1:]))


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants_that_converters_add_are_no_tensors_of_the_model(header: Header, name: str) -> None:
    extra = TensorInfo(name, (2, 2), 0, 0)
    assert architecture(header._replace(tensors=(*header.tensors, extra))) == gptneox()


@pytest.mark.parametrize("name", ["block_count", "context_length", "embedding_length", "attention.head_count"])
@pytest.mark.parametrize("value", [None, "two", 2.0])
def test_a_number_that_is_missing_is_named(header: Header, name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"does not say its {name} as a number"):
        architecture(with_metadata(header, **{name: value}))


def test_a_layer_count_beyond_all_tensors_is_refused_at_once(header: Header) -> None:
    with pytest.raises(UserError, match=r"claims 4,294,967,295 layers"):
        architecture(with_metadata(header, block_count=2**32 - 1))


# ---- nonsense -----------------------------------------------------------------------------------------------------

HEADERS = {name: header_of(arch) for name, arch in miniatures().items()}
NUMBERS = st.one_of(st.integers(0, 8), st.integers(-2, 2**33), st.integers(-(2**63), 2**64 - 1), st.floats())
VALUES = st.one_of(
    st.none(),
    NUMBERS,
    st.text(max_size=3),
    st.booleans(),
    st.lists(st.one_of(NUMBERS, st.none(), st.text(max_size=2), st.booleans()), max_size=4),
)


@st.composite
def damaged(draw: st.DrawFn) -> Header:
    """The header of a miniature with keys removed or changed, and perhaps tensors too."""
    header = HEADERS[draw(st.sampled_from(sorted(HEADERS)))]
    keys = st.lists(st.sampled_from(sorted(header.metadata)), min_size=1, max_size=4, unique=True)
    metadata: dict[str, Any] = {**header.metadata}
    for key in draw(keys):
        del metadata[key]
        if draw(st.booleans()):
            metadata[key] = draw(VALUES)
    tensors = list(header.tensors)
    for place in draw(st.lists(st.integers(0, len(tensors) - 1), max_size=2)):
        if draw(st.booleans()):
            tensors[place] = tensors[place]._replace(shape=tuple(draw(st.lists(st.integers(0, 600), max_size=4))))
        else:
            tensors[place] = tensors[place]._replace(name=draw(st.text(max_size=4)))
    return header._replace(metadata=metadata, tensors=tuple(tensors))


def outcome(header: Header) -> Architecture | UserError:
    """What reading gives; anything else is raised."""
    try:
        return architecture(header)
    except UserError as error:
        return error


@settings(max_examples=400, deadline=None)
@given(damaged())
def test_a_damaged_header_gives_an_architecture_or_a_refusal(header: Header) -> None:
    found = outcome(header)
    if isinstance(found, UserError):
        assert "\n" not in str(found)
        return
    held = {(tensor.name, tensor.shape) for tensor in header.tensors}
    assert {(tensor.name, tensor.shape) for tensor in inventory(found)} <= held


@pytest.mark.parametrize("name", miniatures())
def test_each_key_that_is_missing_or_of_another_type_gives_an_architecture_or_a_refusal(name: str) -> None:
    header = HEADERS[name]
    odd: tuple[Value, ...] = ("", "x", -1, 0, 0.5, True, [], [0], ["x"], None)
    for key in header.metadata:
        rest = {other: value for other, value in header.metadata.items() if other != key}
        for metadata in (rest, *({**rest, key: value} for value in odd)):
            assert isinstance(outcome(header._replace(metadata=metadata)), Architecture | UserError)
