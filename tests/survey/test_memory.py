"""Figure 11 made again: every cache exact, weights and buffers as the paper's engine had them."""

from __future__ import annotations

import pytest

from slm_atlas.catalog import models, paper
from slm_atlas.survey.cells import Cell, Verdict
from slm_atlas.survey.memory import figure_11


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return list(figure_11(models()))


def of(cells: list[Cell], what: str) -> list[Cell]:
    return [each for each in cells if f" {what} " in each.cell]


def test_every_bar_is_compared_three_times(cells: list[Cell]) -> None:
    assert len(cells) == 3 * len(paper.fig11().models) == 66


def test_every_cache_is_exact(cells: list[Cell]) -> None:
    for each in of(cells, "KV cache"):
        assert each.true == each.counted == pytest.approx(each.paper, abs=0.006)
        assert each.verdict is Verdict.EQUAL


def test_weights_are_those_of_the_figures_files(cells: list[Cell]) -> None:
    for each in of(cells, "weights"):
        assert each.counted == pytest.approx(each.paper, rel=0.013)


def test_compute_buffers_are_those_of_an_engine_without_fused_attention(cells: list[Cell]) -> None:
    off = {each.cell.split()[0]: abs((each.counted or 0) / each.paper - 1) for each in of(cells, "compute buffer")}
    assert max(off.values()) < 0.007
    assert sorted(name for name, error in off.items() if error > 0.0006) == ["bloom-1b1"]


def test_nothing_is_left_unexplained(cells: list[Cell]) -> None:
    assert {each.verdict for each in cells} == {Verdict.EQUAL, Verdict.EXPLAINED}
    assert all(bool(each.reasons) == (each.verdict is Verdict.EXPLAINED) for each in cells)
