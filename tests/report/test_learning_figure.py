"""The figure of in-context learning: a panel a task, the average first; its data are the curves."""

from __future__ import annotations

import json

import pytest

from insights.evaluated import evaluated, right
from slm_atlas.catalog import paper
from slm_atlas.insights.capability import capability
from slm_atlas.report.figures import HERE, Side
from slm_atlas.report.files import Form, picture
from slm_atlas.report.learning_figure import SURVEY, gain_figure, learning_figure, sizes_of
from slm_atlas.report.score_tables import score_tables

TASKS = {
    "piqa": right(0.5), "piqa_shots_5": right(0.9),
    "boolq": right(0.4), "boolq_shots_5": right(0.2),
}  # fmt: skip


def test_a_panel_a_task_the_average_first() -> None:
    found = capability(evaluated({"a": TASKS, "b": TASKS}))
    figure = learning_figure(found.learning)
    assert figure is not None
    assert [panel["title"] for panel in figure.spec["concat"]] == ["average", "boolq", "piqa"]
    (row,) = [row for row in figure.rows if (row["task"], row["model"], row["shots"]) == ("piqa", "a Q4_1", 5)]
    assert (row["percent"], row["gain"], row["n"]) == (pytest.approx(90), pytest.approx(40), 100)
    assert "a Q4_1: +10.0" in figure.caption
    assert picture(figure, Form.SVG).startswith(b"<svg")
    json.dumps(figure.spec)


def test_without_curves_there_is_no_figure_and_no_line() -> None:
    found = capability(evaluated({"a": {"piqa": right(0.5)}}))
    assert learning_figure(found.learning) is None
    by_title = {table.title: table for table in score_tables(found)}
    assert by_title["Learning from worked examples"].lines == []
    assert by_title["Two models on the same items"].lines == []
    assert len(by_title["Above guessing"].lines) == 1


def test_a_table_has_a_cell_a_column() -> None:
    for table in score_tables(capability(evaluated({"a": TASKS, "SmolLM2-135M": TASKS}, metric="acc_norm"))):
        assert table.lines, table.title
        assert {len(line) for line in table.lines} == {len(table.columns)}


def test_the_surveys_models_stand_behind_ours() -> None:
    curves = capability(evaluated({"a": TASKS})).learning
    both, theirs = learning_figure(curves, Side.BOTH), learning_figure([], Side.PAPER)
    assert both is not None
    assert theirs is not None
    assert both.spec["concat"][0]["title"] == "average"
    assert "boolq" not in {row["task"] for row in both.rows}, "the survey has it not"
    assert {row["source"] for row in both.rows if row["task"] == "piqa"} == {HERE, SURVEY}
    families = paper.fig6().scores["piqa"]
    assert len([row for row in theirs.rows if row["task"] == "piqa"]) == sum(map(len, families.values()))
    assert "91% of them gain on arc_challenge" in theirs.caption
    assert learning_figure([], Side.BOTH) is None


def test_gains_stand_at_the_models_size() -> None:
    data = evaluated({"a": TASKS})
    found = capability(data)
    sizes = sizes_of({model.model: model.artifact for model in found.models}, data)
    assert sizes == {"a Q4_1": 1e-6}
    figure = gain_figure(found.learning, sizes, Side.BOTH)
    assert figure is not None
    (ours,) = [row for row in figure.rows if row["source"] == HERE]
    assert (ours["params_billions"], ours["points"]) == (1e-6, pytest.approx(10))
    assert ours["low"] < 10 < ours["high"]
    assert len(figure.rows) == 1 + len(paper.fig6().growth.points)
    assert "56 of the survey's 60 models" in figure.caption
    assert gain_figure([], {}, Side.MINE) is None
