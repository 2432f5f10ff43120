"""Headers are read as they were written; broken ones are refused in one line, whatever is broken."""

from __future__ import annotations

import itertools
import math
import os
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anatomy.shapes import llama
from slm_atlas.anatomy import Quantization, estimate
from slm_atlas.errors import UserError
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import Header, TensorInfo, read_header
from slm_atlas.models.identify import identify
from slm_atlas.models.reading import architecture
from slm_atlas.models.shape import tensor_types_of
from slm_atlas.models.work import decode_bytes, prompt_flops

KEYS = st.from_regex(r"[a-z]{1,8}\.[a-z_.]{1,12}", fullmatch=True).filter(lambda key: not key.startswith("general."))
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "uint8": st.integers(0, 2**8 - 1),
    "int8": st.integers(-(2**7), 2**7 - 1),
    "uint16": st.integers(0, 2**16 - 1),
    "int16": st.integers(-(2**15), 2**15 - 1),
    "uint32": st.integers(0, 2**32 - 1),
    "int32": st.integers(-(2**31), 2**31 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "int64": st.integers(-(2**63), 2**63 - 1),
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "string": TEXTS.filter(bool),  # GGUFWriter leaves a key without text out
    "array": st.one_of(
        st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20),
        st.lists(TEXTS, min_size=1, max_size=20),
        st.lists(st.booleans(), min_size=1, max_size=5),
    ),
}
METADATA = st.dictionaries(
    KEYS, st.sampled_from(sorted(SCALARS)).flatmap(lambda kind: st.tuples(st.just(kind), SCALARS[kind])), max_size=8
)
TENSORS = st.dictionaries(
    st.from_regex(r"[a-z0-9_.]{1,20}", fullmatch=True),
    st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple),
    max_size=6,
)


def write(path: Path, metadata: dict[str, tuple[str, Any]], tensors: dict[str, tuple[int, ...]]) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    for key, (kind, value) in metadata.items():
        getattr(writer, f"add_{kind}")(key, value)
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("headers")


@pytest.fixture(scope="module")
def small(folder: Path) -> bytes:
    """A header with lists short and (see `lists_of_four_are_long`) long, and two tensors."""
    metadata = {
        "a.uint8": ("uint8", 7),
        "a.float64": ("float64", 0.5),
        "a.bool": ("bool", True),
        "a.string": ("string", "Grüße"),
        "a.words": ("array", ["x", "", "yz"]),
        "a.numbers": ("array", [1, 2, 3]),
        "a.long": ("array", list(range(4))),
        "a.tokens": ("array", ["t", "", "uv", "w"]),
    }
    return write(folder / "small.gguf", metadata, {"one": (2, 3), "two": (4,)}).read_bytes()


@contextmanager
def lists_of_four_are_long() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slm_atlas.models.header._MAX_LIST", 3)
        yield


# ---- what is whole ------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(metadata=METADATA, tensors=TENSORS)
def test_what_was_written_is_read(
    folder: Path, metadata: dict[str, tuple[str, Any]], tensors: dict[str, tuple[int, ...]]
) -> None:
    path = write(folder / "any.gguf", metadata, tensors)
    header = read_header(path)
    assert header.metadata == {"general.architecture": "llama"} | {key: value for key, (_, value) in metadata.items()}
    assert {tensor.name: tensor.shape for tensor in header.tensors} == tensors
    assert header.params == sum(math.prod(shape) for shape in tensors.values())
    assert [tensor.offset for tensor in header.tensors] == list(itertools.islice(offsets(tensors), len(tensors)))
    if tensors:
        assert header.data_offset == gguf.GGUFReader(path).data_offset


def offsets(tensors: dict[str, tuple[int, ...]]) -> Iterator[int]:
    offset = 0
    for shape in tensors.values():
        yield offset
        offset += -(-4 * math.prod(shape) // 32) * 32


def test_long_lists_are_skipped(folder: Path, small: bytes) -> None:
    with lists_of_four_are_long():
        found = read_header(folder / "small.gguf").metadata
    assert found["a.long"] is None
    assert found["a.tokens"] is None
    assert found["a.words"] == ["x", "", "yz"]


def test_a_tensor_knows_its_size(folder: Path, small: bytes) -> None:
    assert read_header(folder / "small.gguf").tensors == (
        TensorInfo("one", (2, 3), int(gguf.GGMLQuantizationType.F32), 0),
        TensorInfo("two", (4,), int(gguf.GGMLQuantizationType.F32), 32),
    )


def test_another_alignment_moves_the_data(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_custom_alignment(1024)
    writer.add_tensor("one", np.zeros(8, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert read_header(tmp_path / "x.gguf").data_offset == 1024


@pytest.mark.slow
def test_the_real_model_is_read_as_by_the_reference(real_model: Path) -> None:
    reader, header = gguf.GGUFReader(real_model), read_header(real_model)
    assert header.data_offset == reader.data_offset
    # GGUFReader has the dimensions the other way around.
    assert [(tensor.name, tensor.shape, tensor.type_number) for tensor in header.tensors] == [
        (tensor.name, tuple(int(extent) for extent in reversed(tensor.shape)), int(tensor.tensor_type))
        for tensor in reader.tensors
    ]
    fields = {name: field for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert header.metadata.keys() == fields.keys()
    short = {name: value for name, value in header.metadata.items() if value is not None}
    assert short == {name: pytest.approx(fields[name].contents()) for name in short}
    assert "tokenizer.ggml.tokens" in header.metadata
    assert "tokenizer.ggml.tokens" not in short


# ---- what is broken -----------------------------------------------------------------------------------------------


def outcome(path: Path, data: bytes) -> Header | UserError:
    """The header of a file of these bytes, or the error; anything else is raised."""
    path.write_bytes(data)
    try:
        return read_header(path)
    except UserError as error:
        return error


def test_a_header_cut_anywhere_is_refused(folder: Path, small: bytes) -> None:
    path = folder / "cut.gguf"
    # Up to the last tensor's offset; what follows is padding.
    for size in range(small.index(b"two") + 27):
        with lists_of_four_are_long():
            found = outcome(path, small[:size])
        assert isinstance(found, UserError), f"{size} bytes"
        assert "\n" not in str(found)
        assert str(path) in found.message


@settings(max_examples=300, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(1, 255)), min_size=1, max_size=8))
def test_flipped_bytes_give_a_header_or_a_refusal(folder: Path, small: bytes, flips: list[tuple[int, int]]) -> None:
    data = bytearray(small)
    for place, mask in flips:
        data[place % len(data)] ^= mask
    with lists_of_four_are_long():
        assert isinstance(outcome(folder / "flipped.gguf", bytes(data)), Header | UserError)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_give_a_header_or_a_refusal(folder: Path, data: bytes) -> None:
    found = outcome(folder / "any.gguf", b"GGUF" + struct.pack("<I", 3) + data)
    assert isinstance(found, Header | UserError)


def opening(n_tensors: int = 0, n_keys: int = 1) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_keys)


def key(kind: int, value: bytes) -> bytes:
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind) + value


def tensor(name: bytes, *extents: int) -> bytes:
    dimensions = struct.pack("<I", len(extents)) + b"".join(struct.pack("<Q", extent) for extent in extents)
    return struct.pack("<Q", len(name)) + name + dimensions + struct.pack("<IQ", 0, 0)


HUGE = 2**62
NESTED = b"".join(struct.pack("<IQ", 9, 1) for _ in range(100_000))
LIES = {
    "a number of tensors": opening(HUGE, 0),
    "a number of keys": opening(0, HUGE),
    "the length of a key": opening() + struct.pack("<Q", HUGE),
    "the length of a string": opening() + key(8, struct.pack("<Q", HUGE)),
    "a length beyond a signed number": opening() + key(8, struct.pack("<Q", 2**64 - 1)),
    "the length of a list of numbers": opening() + key(9, struct.pack("<IQ", 4, HUGE)),
    "the length of a list of strings": opening() + key(9, struct.pack("<IQ", 8, HUGE)),
    "a list in a list in a list": opening() + key(9, NESTED),
    "a long list of lists": opening() + key(9, struct.pack("<IQ", 9, HUGE)),
    "a list of what does not exist": opening() + key(9, struct.pack("<IQ", 99, HUGE)),
    "a value of what does not exist": opening() + key(99, b"\0" * 64),
    "dimensions": opening(1, 0) + struct.pack("<Q", 1) + b"t" + struct.pack("<I", 2**31),
    "a dimension of zero": opening(1, 0) + tensor(b"t", 256, 0),
    "a dimension below zero": opening(1, 0) + tensor(b"t", 256, 2**64 - 256),
    "dimensions whose product is no number of 64 bits": opening(1, 0) + tensor(b"t", 2**63, 2**63),
    "a name of two lines and too many dimensions": opening(1, 0) + tensor(b"a\nb", 1, 1, 1, 1, 1),
    "a name that is a book": opening(1, 0) + tensor(b"blk." + b"9" * 5000 + b".x", 1),
    "a list of more texts than any vocabulary": opening() + key(9, struct.pack("<IQ", 8, 2**23)) + bytes(2**20),
    "version 1": b"GGUF" + struct.pack("<I", 1) + b"\0" * 64,
    "a big-endian version": b"GGUF" + struct.pack(">I", 3) + b"\0" * 64,
    "a key that is not text": opening() + struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<IB", 0, 0),
    "an alignment of zero": opening() + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 0),
    "an alignment of text": opening() + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<IQ", 8, 0),
    "another format": b"PK\3\4" + b"\0" * 64,
    "nothing": b"",
}


@pytest.mark.parametrize("what", LIES)
def test_a_file_that_lies_is_refused_in_little_memory(what: str, tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        found = outcome(tmp_path / "lie.gguf", LIES[what])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(found, UserError)
    assert "\n" not in str(found)
    assert peak < 40 * 2**20


@settings(max_examples=300, deadline=2000)
@given(data=st.data())
def test_whatever_is_overwritten_it_ends_in_a_record_or_one_line(
    folder: Path, whole: bytes, kept: Header, data: st.DataObject
) -> None:
    """Numbers of any size where numbers are, bytes anywhere, cut anywhere: no traceback, no hang, no 100 MB."""
    broken = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, kept.data_offset - 1))
        new = data.draw(st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(NUMBERS)))
        broken[place : place + len(new)] = new
    path = folder / "overwritten.gguf"
    path.write_bytes(broken[: data.draw(st.integers(0, len(broken)))])
    tracemalloc.start()
    try:
        looked_at(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 2**20


NUMBERS = [struct.pack("<Q", number % 2**64) for number in (0, 1, -1, -256, 2**31, 2**32 - 1, 2**40, 2**60, 2**63)]


def looked_at(path: Path) -> None:
    """All that is read off a header; only an error of the user's, of one line, may come of it."""
    said = ""
    try:
        header = read_header(path)
        identify(path, "x")
        assert decode_bytes(header) >= 0
        assert prompt_flops(header) >= 0
        estimate(architecture(header), Quantization.Q4_K_M, types=tensor_types_of(header))
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    assert len(said) < 1000


@pytest.fixture(scope="module")
def whole(folder: Path) -> bytes:
    """A forged file with its weights."""
    return forge(Order("Tiny", llama(layers=1), Quantization.Q4_K_M), folder / "whole.gguf").read_bytes()


@pytest.fixture(scope="module")
def kept(folder: Path, whole: bytes) -> Header:
    return read_header(folder / "whole.gguf")


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file"):
        read_header(tmp_path / "x.gguf")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Cannot read .*: Is a directory"):
        read_header(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.touch(mode=0)
    with pytest.raises(UserError, match="Permission denied"):
        read_header(path)
