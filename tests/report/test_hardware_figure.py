"""The survey's Figure 9: its two devices, and the machines that share a store."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from slm_atlas.catalog import paper
from slm_atlas.insights.frame import Row, rows
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.hardware_figure import BY_LENGTH, BY_SIZE, UNDONE, hardware_figure
from slm_atlas.stats import Estimate

from .measured import HOST, study

OTHER = msgspec.structs.replace(HOST, id="ab" * 8, cpu="Another CPU")
HOSTS = {HOST.id: HOST, OTHER.id: OTHER}
HERE_ROWS = rows(study())


def slower(row: Row, factor: float = 3.0, **changes: Any) -> Row:
    def scaled(found: Estimate) -> Estimate:
        return msgspec.structs.replace(found, value=found.value * factor)

    metrics = {name: scaled(found) for name, found in row.metrics.items()}
    return msgspec.structs.replace(row, host=OTHER.id, metrics=metrics, **changes)


def measured(found: list[Row]) -> Figure:
    figure = hardware_figure(found, HOSTS, Side.MINE)
    assert figure is not None
    return figure


def test_the_phone_s_running_mean_is_undone() -> None:
    figure = hardware_figure([], {}, Side.PAPER)
    assert figure is not None
    undone = [row["ms"] for row in figure.rows if row["machine"] == UNDONE]
    drawn = paper.fig9().decode["Meizu 18 Pro"]
    (first, total), (last, mean) = drawn[0], drawn[-1]
    assert first * total + sum(undone) == pytest.approx(last * mean, abs=0.1), "the running mean, done again"
    assert "12 times faster than its phone at 11 tokens and 30 times at 49" in figure.caption
    assert "undone, a token takes 80 ms throughout" in figure.caption


def test_machines_are_compared_over_the_files_they_share() -> None:
    figure = measured([*HERE_ROWS, *(slower(row) for row in HERE_ROWS[1:])])
    assert {row["axis"] for row in figure.rows} == {BY_SIZE}
    assert {row["machine"] for row in figure.rows} == {"Some CPU (0f0f0f)", "Another CPU (ababab)"}
    left_out = f"{HERE_ROWS[0].name} {HERE_ROWS[0].quantization}"
    assert left_out not in {row["model"] for row in figure.rows}, "only one machine has it"
    assert "Here 2 machines measured 4 files alike" in figure.caption
    assert "the fastest leads the slowest in prefill 3.0 times and in decode 3.0 times" in figure.caption


def test_a_model_at_several_prompts_is_drawn_as_the_survey_drew_its() -> None:
    row = HERE_ROWS[-1]
    sweep = [msgspec.structs.replace(row, settings=row.settings | {"n_prompt": tokens}) for tokens in (8, 50)]
    figure = measured([*sweep, *map(slower, sweep)])
    assert {each["axis"] for each in figure.rows} == {BY_LENGTH}
    assert sorted({each["at"] for each in figure.rows}) == [8, 50]
    assert f"{row.name} {row.quantization} alike" in figure.caption


@pytest.mark.parametrize(
    "found",
    [
        [],
        HERE_ROWS,
        [*HERE_ROWS[:2], *(slower(row) for row in HERE_ROWS[2:])],
        [*HERE_ROWS, *(slower(row, settings={**row.settings, "n_prompt": 8}) for row in HERE_ROWS)],
    ],
    ids=["nothing", "one machine", "other files", "other prompts"],
)
def test_without_two_machines_alike_there_is_none_of_ones_own(found: list[Row]) -> None:
    for side in (Side.MINE, Side.BOTH):
        assert hardware_figure(found, HOSTS, side) is None
