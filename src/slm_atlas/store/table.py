"""Samples as one long table for other tools: CSV, and Parquet with every field.

A row is a sample of the best attempt of a key, which is what readers of the store see, with its run, file and machine.
A run without samples has one row with an empty `metric` and `value`: a failure stays visible.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import msgspec

from slm_atlas.errors import MissingExtra
from slm_atlas.store.db import Store
from slm_atlas.store.records import Artifact, Host, Run, Sample, Struct
from slm_atlas.store.replacing import replacing
from slm_atlas.store.rows import column

if TYPE_CHECKING:
    import pyarrow as pa


class _Group(NamedTuple):
    """Columns that come from one kind of record."""

    kind: type[Struct]
    """The record."""
    fields: Sequence[str]
    """Its fields."""
    prefix: str = ""
    """What the columns' names begin with."""


def _group(kind: type[Struct], names: str, prefix: str = "") -> _Group:
    return _Group(kind, names.split(), prefix)


_RUN = _group(Run, "key kind outcome cause replicate started_at elapsed_s engine settings artifact host")
_ARTIFACT = _group(Artifact, "name model_id origin forged architecture quantization params size_bytes requantized_from")
_HOST = _group(Host, "cpu arch cores memory_bytes system", "host_")
_SAMPLE = _group(Sample, "metric scope item index value")
_BRIEF = (_RUN, _ARTIFACT, _HOST, _SAMPLE)
"""The columns of the CSV, which repeats each for every sample."""


def _all(group: _Group, without: str = "") -> _Group:
    """The group with every field of its record, those of the CSV first."""
    more = [name for name in group.kind.__struct_fields__ if name not in (*group.fields, without)]
    return group._replace(fields=[*group.fields, *more])


_WHOLE = (_all(_RUN), _all(_ARTIFACT, "sha256"), _all(_HOST, "id"), _all(_SAMPLE))
"""The columns of the Parquet, which stores what repeats once; `artifact` and `host` of the run name the other two."""


def export_csv(store: Store, path: Path) -> None:
    """Writes one row a sample (long format); `settings` is JSON.

    Raises:
        UserError: the file cannot be written.
    """
    names = [f"{group.prefix}{field}" for group in _BRIEF for field in group.fields]
    with store.transaction():
        rows = list(_rows(store))
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([names, *rows])
    with replacing(path) as file:
        file.write(text.getvalue().encode())


def _rows(store: Store) -> Iterator[list[object]]:
    for run, artifact, host, samples in _measured(store):
        known = [*_pick(run, _RUN), *_pick(artifact, _ARTIFACT), *_pick(host, _HOST)]
        for sample in samples or (None,):
            yield known + (_pick(sample, _SAMPLE) if sample else [None] * len(_SAMPLE.fields))


def export_parquet(store: Store, path: Path) -> None:
    """Writes one row a sample, with every field of it and of its run, file and machine; what is a dict there is JSON.

    Raises:
        MissingExtra: pyarrow is not installed.
        UserError: the file cannot be written.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("Parquet", "parquet") from None
    with store.transaction():
        table = _table(list(_measured(store)))
    with replacing(path) as file:
        pq.write_table(table, file, compression="zstd")


class _Measured(NamedTuple):
    """A run and all that belongs to it."""

    run: Run
    artifact: Artifact
    host: Host
    samples: list[Sample]


def _measured(store: Store) -> Iterator[_Measured]:
    runs = store.runs()
    samples = store.samples_of(run.key for run in runs)
    artifacts, hosts = store.artifacts(), store.hosts()
    return (_Measured(run, artifacts[run.artifact], hosts[run.host], samples[run.key]) for run in runs)


def _table(measured: Sequence[_Measured]) -> pa.Table:
    """Runs as columns, each row repeated for every sample, beside the columns of the samples."""
    import pyarrow as pa

    of_runs = [[found[place] for found in measured] for place in range(3)]
    columns = [each for group, records in zip(_WHOLE, of_runs, strict=False) for each in _columns(group, records)]
    repeated = [place for place, found in enumerate(measured) for _ in found.samples or (None,)]
    samples = [sample for found in measured for sample in found.samples or (None,)]
    runs = pa.table(dict(columns)).take(pa.array(repeated, pa.int64()))
    for name, values in _columns(_WHOLE[-1], samples):
        runs = runs.append_column(name, values)
    return runs


def _columns(group: _Group, records: Sequence[Any]) -> Iterator[tuple[str, pa.Array]]:
    """The columns of a group by name, typed as the record's fields are; a missing record is null in each."""
    import pyarrow as pa

    types = {field.name: field.type for field in msgspec.structs.fields(group.kind)}
    for name in group.fields:
        values = [None if record is None else column(record, name) for record in records]
        yield f"{group.prefix}{name}", pa.array(values, _arrow_type(types[name]))


def _arrow_type(of: Any) -> pa.DataType:  # noqa: ANN401  (a type, or a union of one with None)
    import pyarrow as pa

    known = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    parts = get_args(of) if isinstance(of, UnionType) else (of,)
    return next((known[part] for part in parts if part in known), pa.string())


def _pick(record: Struct, group: _Group) -> list[object]:
    """Some columns of a record, as they are stored."""
    return [column(record, name) for name in group.fields]
