"""A model file written again in another format, by llama.cpp's own quantizer: what a real file costs and does in each.

The weights go through 32 bits and are rounded again, so that a file made from a quantized one has the losses of both.
Its metadata say so, and its name does. The tokenizer stays.
"""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from slm_atlas import home
from slm_atlas.anatomy.quantization import Quantization, tensor_bytes, tensor_types
from slm_atlas.anatomy.tensor import Tensor
from slm_atlas.catalog.architecture import Part
from slm_atlas.engines import NOT_WRITTEN, Conversion, Worker
from slm_atlas.errors import EngineError, UnusableModel, UserError
from slm_atlas.models.forge import file_type
from slm_atlas.models.header import Header, read_header
from slm_atlas.models.identify import (
    REQUANTIZED_FROM_KEY,
    REQUANTIZED_NAME_KEY,
    check_whole,
    missing_bytes,
    own_name,
    quantization_label,
    requantized_from,
    sha256_of,
)
from slm_atlas.models.unfinished import finish, unfinished
from slm_atlas.units import format_bytes

DEADLINE_S = 3600.0
"""Longest that writing a file may take."""
POLL_S = 0.2
"""How often the size of the growing file is looked at."""
_LAYER = re.compile(r"blk\.(\d+)\.")

Progress = Callable[[int, int], None]
"""Called with bytes written and bytes in all."""


def requantized(
    path: Path, label: Quantization, *, engine: str = "llamacpp", on_progress: Progress | None = None
) -> Path:
    """A model file in another format: itself where it is in that format, else a copy kept in the home folder.

    Args:
        path: a GGUF of any type; all of a model in one file.
        label: the format; F32, F16 and BF16 as well.
        engine: whose quantizer; `fake` for tests.
        on_progress: called with bytes written and in all while the copy is written.

    Raises:
        UserError: see `requantize`.
    """
    copy = requantized_path(path, label)
    if not copy.exists():
        requantize(path, label, copy, engine=engine, on_progress=on_progress)
    return copy


def requantized_path(path: Path, label: Quantization) -> Path:
    """Where the copy is kept, by the content of its source; the file itself where it is in that format.

    Raises:
        UserError: it is no GGUF.
    """
    if quantization_label(read_header(path)) == label:
        return path
    stat = path.stat()
    sha256 = _sha256(path, stat.st_size, stat.st_mtime_ns)
    return home.models_dir() / "requantized" / f"{sha256[:16]}-{label}.gguf"


@cache
def _sha256(path: Path, size: int, changed: int) -> str:
    """The hash of a file that is asked for once a format; another size or time is another file."""
    return sha256_of(path)


def requantize(
    path: Path, label: Quantization, target: Path, *, engine: str = "llamacpp", on_progress: Progress | None = None
) -> None:
    """Write a model file again in another format; there is a whole file in the end, or nothing.

    Args:
        path: a GGUF of any type; all of a model in one file.
        label: the format.
        target: the file to write; one that is there is replaced.
        engine: whose quantizer; `fake` for tests.
        on_progress: called with bytes written and in all, by a thread of its own.

    Raises:
        UserError: the file is broken, a part of a model, or not taken by the quantizer; or the disk is full.
    """
    header = read_header(path)
    _check(path, header)
    total = _bytes_as(header, label)
    try:
        with unfinished(target) as part:
            _check_room(target, total)
            with _watched(part, total, on_progress):
                taken = _convert(path, header, label, part, engine)
            if not taken or missing_bytes(part, read_header(part)):
                had = f"{format_bytes(part.stat().st_size)} of {format_bytes(total)}"
                raise UnusableModel(f"Cannot write {target}: the disk took {had}.", _ROOM)
            finish(part, target)
    except OSError as error:
        raise UnusableModel(f"Cannot write {target}: {error.strerror}.", _ROOM) from error


_ROOM = "free some disk, or set SLM_ATLAS_HOME"


def _check(path: Path, header: Header) -> None:
    parts = header.metadata.get("split.count", 1)
    if isinstance(parts, int) and parts > 1:
        raise UserError(f"{path} is one of {parts} parts of a model.", "llama-gguf-split --merge, then the whole file")
    check_whole(path, header)


def _check_room(target: Path, needed: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise UserError(
            f"Cannot write {target}: it takes {format_bytes(needed)}, and {format_bytes(free)} are free.", _ROOM
        )


def _convert(path: Path, header: Header, label: Quantization, part: Path, engine: str) -> bool:
    """Have the engine write the file; whether the disk took it."""
    conversion = Conversion(
        source=str(path), target=str(part), file_type=file_type(label), metadata=dict(_marks(path, header))
    )
    try:
        with Worker(engine, deadline_s=DEADLINE_S) as worker:
            worker.quantize(conversion)
    except EngineError as error:
        if error.cause == NOT_WRITTEN:
            return False
        told = f"{path} cannot be requantized to {label}: {error.cause}."
        raise UnusableModel(told, f"slm models show {path}") from error
    return True


def _marks(path: Path, header: Header) -> Mapping[str, str]:
    """What the new file says of where it comes from."""
    before, label = requantized_from(header), quantization_label(header)
    return {
        REQUANTIZED_FROM_KEY: f"{before}, {label}" if before else label,
        REQUANTIZED_NAME_KEY: own_name(path, header),
    }


@contextmanager
def _watched(part: Path, total: int, on_progress: Progress | None) -> Iterator[None]:
    """Tell how far the file has grown while the engine writes it: the engine itself does not say."""
    if on_progress is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            on_progress(min(part.stat().st_size, total), total)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def requantized_bytes(path: Path, label: Quantization) -> int:
    """Bytes of the tensors of a file in another format.

    Raises:
        UserError: it is no GGUF.
    """
    return _bytes_as(read_header(path), label)


def _bytes_as(header: Header, label: Quantization) -> int:
    """By the rules of `anatomy.quantization`, which are the quantizer's."""
    tensors = [Tensor(tensor.name, tensor.shape, Part.FFN, _layer(tensor.name)) for tensor in header.tensors]
    types = tensor_types(tensors, label)
    return sum(tensor_bytes(tensor, types[tensor.name]) for tensor in tensors)


def _layer(name: str) -> int | None:
    match = _LAYER.match(name)
    return int(match[1]) if match else None
