"""Figures: what is drawn is what the CSV holds, and what was measured."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest

from slm_atlas.insights.frame import Row, rows
from slm_atlas.report.figures import Figure, Theme, accuracy_figure, labels, latency_figure, memory_figure
from slm_atlas.report.material import Material
from slm_atlas.report.registry import Group, all_of

from .measured import MODELS, Model, study


def drawn_rows(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """All rows of data inside a chart."""
    return [row for rows_of_one in spec["datasets"].values() for row in rows_of_one]


@pytest.fixture(scope="module")
def found() -> dict[str, Figure]:
    return {figure.name: figure for figure in all_of(Group.STORE, Material(study))}


@pytest.mark.parametrize("name", ["latency", "memory", "accuracy"])
def test_the_csv_holds_the_data_drawn(found: dict[str, Figure], name: str) -> None:
    figure = found[name]
    read = list(csv.DictReader(io.StringIO(figure.csv())))
    columns = figure.rows[0].keys()
    drawn = [{column: row[column] for column in columns} for row in drawn_rows(figure.spec) if "model" in row]
    as_text = [{column: "" if value is None else str(value) for column, value in row.items()} for row in drawn]
    unique = {tuple(row.values()) for row in as_text}
    assert unique == {tuple(row.values()) for row in read}
    assert len(unique) == len(read) > 0


def test_latency_is_in_milliseconds_with_its_interval(found: dict[str, Figure]) -> None:
    (qwen,) = [r for r in found["latency"].rows if r["model"] == "Qwen2-0.5B" and r["phase"] == "decode"]
    assert qwen["ms"] == pytest.approx(0.03 * 494.032768 * 1.02)
    assert qwen["low"] < qwen["ms"] < qwen["high"]
    assert (qwen["n"], qwen["weights"]) == (5, "forged (random weights)")


def test_the_parts_of_memory_add_up_to_the_peak(found: dict[str, Figure]) -> None:
    mine = {row["part"]: row["MiB"] for row in found["memory"].rows if row["model"] == "OLMo-1B"}
    peak = mine.pop("peak resident set")
    assert sum(mine.values()) == pytest.approx(peak, abs=3)
    assert mine["unaccounted"] == -5.0, "a negative rest is shown as it is"
    assert "negative" in found["memory"].caption


def test_the_smoke_suite_is_marked(found: dict[str, Figure]) -> None:
    assert "not comparable with published scores" in found["accuracy"].title
    by_task = {row["task"]: row for row in found["accuracy"].rows}
    assert by_task["smoke_reading"]["percent"] == 0.0, "a measured zero is drawn"
    assert by_task["smoke_arithmetic"]["chance"] is None
    assert {row["model"] for row in found["accuracy"].rows} == {"SmolLM2-135M-Instruct"}


def test_a_missing_part_has_no_bar() -> None:
    data = study()
    without = {key: [s for s in samples if s.metric != "kv_bytes"] for key, samples in data.samples.items()}
    figure = memory_figure(rows(data._replace(samples=without)))
    assert figure is not None
    assert "KV cache" not in {row["part"] for row in figure.rows}


def test_nothing_measured_draws_nothing() -> None:
    assert all_of(Group.STORE, Material()) == []
    assert accuracy_figure(rows(study(tasks=False))) is None
    assert latency_figure(rows(study()._replace(samples={}))) is None


def test_names_tell_rows_apart() -> None:
    row = rows(study(MODELS[:1]))[0]

    def other(**change: Any) -> Row:
        return msgspec.structs.replace(row, **change)

    variants = [row, other(quantization="Q8_0"), other(settings={"threads": 1}), other(host="phone"), other(engine="x")]
    names = labels([*variants, other(name="Alone")])
    assert len(set(names)) == len(names)
    assert names[-1] == "Alone"
    assert names[1] == f"{row.name} Q8_0"


@pytest.mark.parametrize(("largest", "kind"), [(494_032_768, "linear"), (2_800_000_000, "log")])
def test_axes_are_logarithmic_only_where_sizes_are_far_apart(largest: int, kind: str) -> None:
    figure = latency_figure(rows(study((MODELS[0], MODELS[2], Model("Large", largest, "other")))))
    assert figure is not None
    scales = {layer["encoding"]["x"]["scale"]["type"] for panel in figure.spec["concat"] for layer in panel["layer"]}
    assert scales == {kind}


def test_two_sizes_have_no_trend() -> None:
    figure = latency_figure(rows(study((MODELS[0], MODELS[1], MODELS[3]))))
    assert figure is not None
    assert "too few sizes for a trend" in figure.caption
    assert all("model" in row for row in drawn_rows(figure.spec))


def test_three_sizes_have_a_trend(found: dict[str, Figure]) -> None:
    assert "dashed trend of 4 models at Q4_K_M" in found["latency"].caption
    assert any("model" not in row for row in drawn_rows(found["latency"].spec))


def test_files_are_black_on_white(found: dict[str, Figure]) -> None:
    exported = found["memory"].exported()
    assert "currentColor" not in msgspec.json.encode(exported).decode()
    assert exported["background"] == "#ffffff"
    assert exported["title"]["text"] == [found["memory"].title]
    assert exported["description"] == found["memory"].caption
    dark = found["memory"].exported(Theme.DARK)
    assert dark["background"] != exported["background"]
    assert dark["title"]["color"] != exported["title"]["color"]
    assert "currentColor" in msgspec.json.encode(found["memory"].spec).decode()


def test_a_phase_that_nobody_measured_leaves_its_panel_empty() -> None:
    data = study()
    kept = {key: [each for each in of if each.metric != "prefill_s"] for key, of in data.samples.items()}
    figure = latency_figure(rows(data._replace(samples=kept)))
    assert figure is not None
    assert {row["phase"] for row in figure.rows} == {"decode"}
