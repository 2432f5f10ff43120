"""The survey's Figure 7 beside ours: the same shapes, each with both numbers."""

from __future__ import annotations

import pytest

from slm_atlas.catalog import paper
from slm_atlas.insights.frame import rows
from slm_atlas.report.figures import HERE, JETSON, Side
from slm_atlas.report.paper_costs import PANELS, paper_figure

from .measured import MODELS, Model, study


def test_each_model_stands_there_with_both_numbers() -> None:
    figure = paper_figure(rows(study()))
    assert figure is not None
    decode = {(row["model"], row["source"]): row for row in figure.rows if row["what"] == PANELS["decode_s"]}
    assert {model for model, _ in decode} == {"SmolLM-135M", "Pythia-160M", "Qwen2-0.5B"}
    assert decode["Qwen2-0.5B", HERE]["value"] == pytest.approx(0.03 * 494.032768 * 1.02)
    assert decode["Qwen2-0.5B", HERE]["n"] == 5
    theirs = next(point for point in paper.fig7().models if point.model_id == "qwen2-0.5b")
    assert decode["Qwen2-0.5B", JETSON]["value"] == theirs.decode_latency_ms_per_token


def test_a_model_of_the_same_tensors_stands_for_the_surveys() -> None:
    others = [model for model in MODELS if model.name != "Qwen2-0.5B"]
    figure = paper_figure(rows(study((*others, Model("Qwen2.5-0.5B", 494_032_768, "qwen2")))))
    assert figure is not None
    assert "Qwen2-0.5B" in {row["model"] for row in figure.rows}


def test_the_order_of_the_models_is_compared() -> None:
    figure = paper_figure(rows(study()))
    assert figure is not None
    # By size here; in the survey SmolLM-135M takes longer than Pythia-160M, so that two of three are the other way.
    assert "first token 0.50, every further token 0.50" in figure.caption


def test_too_few_models_are_no_comparison() -> None:
    assert paper_figure(rows(study(MODELS[:3]))) is None


def test_each_side_alone() -> None:
    mine, theirs = paper_figure(rows(study()), Side.MINE), paper_figure([], Side.PAPER)
    assert mine is not None
    assert theirs is not None
    assert len({row["model"] for row in mine.rows}) == 5, "also those that the survey did not draw"
    assert {row["source"] for row in mine.rows} == {HERE}
    assert len(theirs.rows) == 3 * len(paper.fig7().models)
    assert "from SmolLM-135M to OpenELM-3B (23 times the parameters)" in theirs.caption
    assert paper_figure([], Side.MINE) is None
