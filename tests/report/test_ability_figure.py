"""The survey's Figure 5: its scores, and the domains of models evaluated here at the months they were released."""

from __future__ import annotations

import pytest

from insights.evaluated import evaluated, right
from slm_atlas.catalog import get, paper
from slm_atlas.insights.capability import capability
from slm_atlas.report.ability_figure import PANELS, ability_figure
from slm_atlas.report.figures import HERE, Figure, Side

TASKS = {"piqa": right(0.6), "boolq": right(0.4), "gsm8k": right(0.1)}
DATA = evaluated({"SmolLM2-135M": TASKS, "Nobody's": TASKS})


def drawn(side: Side) -> Figure:
    figure = ability_figure(capability(DATA), DATA, side)
    assert figure is not None
    return figure


def test_a_model_of_the_catalogue_stands_at_its_release_with_its_interval() -> None:
    rows = [row for row in drawn(Side.BOTH).rows if row["source"] == HERE]
    assert {row["release"] for row in rows} == {get("smollm2-135m").release}
    by_domain = {row["domain"]: row for row in rows}
    assert set(by_domain) == {"commonsense", "mathematics"}
    assert by_domain["commonsense"]["percent"] == pytest.approx(50)
    assert by_domain["commonsense"]["low"] < 50 < by_domain["commonsense"]["high"]


def test_what_was_not_evaluated_is_said() -> None:
    caption = drawn(Side.MINE).caption
    assert "so that a domain's mean is of fewer tasks" in caption
    assert "hellaswag" in caption
    assert "piqa" not in caption


def test_the_surveys_placeholders_are_left_out() -> None:
    figure = drawn(Side.PAPER)
    maths = [row for row in figure.rows if row["domain"] == "mathematics"]
    points = paper.fig5().math.points
    assert len(maths) == sum(point.accuracy != paper.PLACEHOLDER for point in points) < len(points)
    assert len(figure.spec["concat"]) == len(PANELS)
    assert "Beside Llama 3.1: in commonsense 2 of 52 are above it" in figure.caption


def test_a_model_nobody_knows_has_no_date_and_is_no_figure() -> None:
    unknown = evaluated({"Nobody's": TASKS})
    for side in (Side.MINE, Side.BOTH):
        assert ability_figure(capability(unknown), unknown, side) is None
