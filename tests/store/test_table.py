"""What goes to CSV and Parquet can be read by others: a row a sample, every digit, and failures in sight."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from slm_atlas.errors import MissingExtra, Outcome
from slm_atlas.store import Artifact, Host, Run, RunKind, Sample, Store, export_csv, export_parquet

from .facts import ARTIFACT, HOST, RUN, prepare, run, samples


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with prepare(Store(tmp_path / "atlas.db")) as store:
        store.record(run("a", outcome=Outcome.CRASHED, cause="abort, signal 6", log_tail="line\nline"), [])
        store.record(run("a"), samples(2))
        detail = {"text": "né"}
        store.record(run("b", kind=RunKind.EVAL), [Sample(metric="acc", index=0, value=1, item="7", detail=detail)])
        yield store


def parquet(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_csv_has_one_row_a_sample_with_all_it_needs(store: Store, tmp_path: Path) -> None:
    store.record(run("c", outcome=Outcome.TIMEOUT, cause='no answer, "at all"\nin 60 s'), [])
    export_csv(store, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["key"], row["metric"], row["index"], row["value"]) for row in rows] == [
        ("a", "decode_s", "0", "0.0"),
        ("a", "decode_s", "1", "0.1"),
        ("b", "acc", "0", "1.0"),
        ("c", "", "", ""),
    ]
    assert rows[0] | {"outcome": "ok", "name": ARTIFACT.name, "host_cpu": HOST.cpu, "params": "134515008"} == rows[0]
    assert json.loads(rows[0]["settings"]) == RUN.settings
    assert (rows[3]["outcome"], rows[3]["cause"]) == ("timeout", 'no answer, "at all"\nin 60 s')
    assert (rows[0]["scope"], rows[2]["item"]) == ("", "7")


def test_csv_keeps_every_digit(store: Store, tmp_path: Path) -> None:
    value = 0.1 + 0.2
    store.record(msgspec.structs.replace(RUN, key="c"), [Sample(metric="decode_s", index=0, value=value)])
    export_csv(store, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [float(row["value"]) for row in csv.DictReader(file) if row["key"] == "c"] == [value]


def test_parquet_has_one_row_a_sample_with_every_field_typed(store: Store, tmp_path: Path) -> None:
    value = 0.1 + 0.2
    store.record(run("c", outcome=Outcome.TIMEOUT, cause="no answer", log_tail="its last words"), [])
    store.record(run("d"), [Sample(metric="decode_s", index=0, value=value)])
    export_parquet(store, tmp_path / "out.parquet")
    rows = parquet(tmp_path / "out.parquet")
    assert [(row["key"], row["metric"], row["index"], row["value"]) for row in rows] == [
        ("a", "decode_s", 0, 0.0),
        ("a", "decode_s", 1, 0.1),
        ("b", "acc", 0, 1.0),
        ("c", None, None, None),
        ("d", "decode_s", 0, value),
    ]
    first = {"outcome": "ok", "name": ARTIFACT.name, "host_cpu": HOST.cpu, "params": ARTIFACT.params, "forged": True}
    assert rows[0] | first == rows[0]
    assert json.loads(rows[0]["settings"]) == RUN.settings
    assert json.loads(rows[0]["notes"]) == RUN.notes
    assert json.loads(rows[2]["detail"]) == {"text": "né"}
    assert (rows[3]["outcome"], rows[3]["log_tail"]) == ("timeout", "its last words")


def test_parquet_has_a_column_for_every_field_of_every_record(store: Store, tmp_path: Path) -> None:
    export_parquet(store, tmp_path / "out.parquet")
    names = pq.read_schema(tmp_path / "out.parquet").names
    assert len(names) == len(set(names))
    fields = [*Run.__struct_fields__, *Artifact.__struct_fields__, *Sample.__struct_fields__]
    fields += [f"host_{name}" for name in Host.__struct_fields__]
    assert set(fields) - set(names) == {"sha256", "host_id"}, "the run's artifact and host"


def test_an_empty_store_is_a_table_without_rows(tmp_path: Path) -> None:
    with Store(tmp_path / "new.db") as empty:
        export_parquet(empty, tmp_path / "out.parquet")
        export_csv(empty, tmp_path / "out.csv")
    assert parquet(tmp_path / "out.parquet") == []
    assert pq.read_schema(tmp_path / "out.parquet").field("value").type == "double"
    assert (tmp_path / "out.csv").read_text().count("\n") == 1


def test_without_pyarrow_the_extra_is_named(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtra, match=r"slm-atlas\[parquet\]"):
        export_parquet(store, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()
