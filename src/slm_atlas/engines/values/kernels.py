"""Work of an engine's kernels without a model loaded: a matrix product timed, a file written in other types."""

from __future__ import annotations

import msgspec

from slm_atlas.engines.values.struct import Struct


class Product(Struct, frozen=True):
    """A matrix of weights times a batch of vectors: what a model's time is spent on, without the model."""

    type: str
    """Type of the weights, as llama.cpp names it: `Q4_0`."""
    rows: int
    """Rows of the matrix: values that come out."""
    columns: int
    """Columns: values that go in."""
    tokens: int
    """Vectors multiplied at once: 1 in decode, a micro-batch in prefill."""
    threads: tuple[int, ...]
    """Each number of threads to time it at."""
    budget_s: float
    """Seconds to repeat it at each number of threads; at least three times in any case."""


class ProductReport(Struct, frozen=True):
    """How long a product took."""

    weight_bytes: int
    """Bytes of the matrix, in the file's layout."""
    layout: str
    """Where the engine keeps such weights: `CPU` as in the file, `AMX` or `CPU_REPACK` for faster kernels."""
    seconds: tuple[tuple[float, ...], ...]
    """The repetitions, for each number of threads."""


NOT_WRITTEN = "the file cannot be written"
"""Why an engine refuses to write a file where the disk is full, or gone."""


class Conversion(Struct, frozen=True):
    """A model file to be written again in other tensor types."""

    source: str
    """The file there is."""
    target: str
    """The file to write; one that is there is written over."""
    file_type: int
    """The mix of types, as `general.file_type` numbers it (`llama_ftype`)."""
    metadata: dict[str, str] = msgspec.field(default_factory=dict)
    """Keys and texts to add to the file's metadata; of a text, the first 127 bytes are kept."""
    threads: int = 0
    """Threads; 0: as many as the process may use."""
