"""The figure of in-context learning: a panel a task, the average first; its data are the curves."""

from __future__ import annotations

import json

import pytest

from insights.evaluated import evaluated, right
from slm_atlas.insights.capability import capability
from slm_atlas.report.files import Form, picture
from slm_atlas.report.learning_figure import learning_figure
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
