"""The survey's Figure 11: its bars, and ours at the same context, part by part."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row, rows
from slm_atlas.report.figures import HERE, Side
from slm_atlas.report.paper_memory import REPACKED, SURVEY, memory_breakdown
from slm_atlas.stats import Estimate
from slm_atlas.units import MIB

from .measured import study


def at(context: int) -> list[Row]:
    """The study's rows at a context, 40 MiB of their weights repacked."""
    repacked = Estimate(value=40.0 * MIB, low=None, high=None, n=5, method="median")
    return [
        msgspec.structs.replace(
            row, settings=row.settings | {"context": context}, metrics=row.metrics | {"repacked_bytes": repacked}
        )
        for row in rows(study())
    ]


def test_weights_are_told_apart_from_their_second_copy() -> None:
    figure = memory_breakdown(at(2048), Side.MINE)
    assert figure is not None
    mine = {row["part"]: row["MiB"] for row in figure.rows if row["model"] == "Qwen2-0.5B"}
    assert mine["weights"] + mine[REPACKED] == pytest.approx(600 * 0.494032768)
    assert mine[REPACKED] == 40
    assert mine["other"] == pytest.approx(0.5 + 50), "the output buffer, and the process before"
    assert len({row["model"] for row in figure.rows}) == 5


def test_the_models_of_the_figure_stand_beside_it() -> None:
    figure = memory_breakdown(at(2048), Side.BOTH)
    assert figure is not None
    assert {row["model"] for row in figure.rows if row["source"] == HERE} == {
        "SmolLM-135M", "Pythia-160M", "Qwen2-0.5B",
    }  # fmt: skip
    bar = next(bar for bar in paper.fig11().models if bar.model_id == "qwen2-0.5b")
    theirs = {row["part"]: row["MiB"] for row in figure.rows if (row["source"], row["model"]) == (SURVEY, bar.model)}
    assert sum(theirs.values()) == pytest.approx(bar.total_mib, abs=0.1)
    assert figure.spec["concat"][0]["encoding"]["x"]["scale"] == figure.spec["concat"][1]["encoding"]["x"]["scale"]


def test_another_context_is_another_figure() -> None:
    assert memory_breakdown(at(512), Side.MINE) is None
    assert memory_breakdown([], Side.BOTH) is None
    theirs = memory_breakdown([], Side.PAPER)
    assert theirs is not None
    assert "Repacked" not in theirs.caption
