"""The figure of sustained use: there where it was measured, and what is drawn is what the CSV holds."""

from __future__ import annotations

import csv
import io

import msgspec
import pytest

from insights.passes import made
from slm_atlas.insights.frame import Row, rows
from slm_atlas.insights.sustained import sustained
from slm_atlas.report.pictures import NARROW, fitted, pictures
from slm_atlas.report.sustained_figure import sustained_figure
from slm_atlas.store.records import Sample

from .measured import MODELS, study


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    """The first model slows down, the second does not, the others were not asked to."""
    passes: list[list[Sample]] = [made(1, change=16, ratio=0.7), made(2)]
    found = rows(study(MODELS[:3], dead=""))
    seen = [tuple(filter(None, [sustained(samples)])) for samples in passes]
    return [msgspec.structs.replace(row, sustained=of_row) for row, of_row in zip(found, [*seen, ()], strict=True)]


def test_without_a_pass_there_is_no_figure() -> None:
    assert sustained_figure(rows(study())) is None


def test_the_csv_holds_each_round_and_each_depth(measured: list[Row]) -> None:
    figure = sustained_figure(measured)
    assert figure is not None
    lines = list(csv.DictReader(io.StringIO(figure.csv())))
    assert len(lines) == 2 * (48 + 4)
    of_first = [line for line in lines if line["model"] == lines[0]["model"]]
    assert {line["change_s"] != "" for line in of_first if line["panel"] == "time"} == {True}
    speeds = [float(line["tokens_per_s"]) for line in of_first if line["panel"] == "time"]
    assert min(speeds[:16]) > max(speeds[16:])


def test_the_caption_says_what_was_found(measured: list[Row]) -> None:
    figure = sustained_figure(measured)
    assert figure is not None
    assert "% of the burst's speed" in figure.caption
    assert "no change found" in figure.caption
    assert "1,000 tokens deeper" in figure.caption


def test_only_a_change_is_marked(measured: list[Row]) -> None:
    for row, changes in zip(measured[:2], (1, 0), strict=True):
        figure = sustained_figure([row])
        assert figure is not None
        drawn = [line for lines in figure.spec["datasets"].values() for line in lines]
        assert len([line for line in drawn if set(line) == {"change_s"}]) == changes


def test_on_a_phone_the_panels_stand_below_each_other(measured: list[Row]) -> None:
    figure = sustained_figure(measured)
    assert figure is not None
    assert [when for when, _ in pictures(figure)] == ["wide", "narrow"]
    assert fitted(figure.spec, NARROW)["columns"] == 1
