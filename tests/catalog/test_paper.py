"""The survey's own figures: all are read, agree with each other, and name models of the catalogue."""

from __future__ import annotations

import pytest

from slm_atlas.catalog import models, paper
from slm_atlas.errors import UserError


@pytest.mark.parametrize("number", paper.FIGURES)
def test_every_figure_says_what_it_shows_and_how_it_was_read(number: int) -> None:
    found = paper.figure(number)
    assert found["what"]
    assert found["method"]
    assert found["estimated_error"]
    assert paper.figure(number) is found, "read once"


@pytest.mark.parametrize("number", [1, 12])
def test_a_figure_without_data_is_an_error(number: int) -> None:
    with pytest.raises(UserError, match=f"Figure {number}"):
        paper.figure(number)


def test_the_bars_of_figure_2_add_up() -> None:
    fig = paper.fig2()
    assert sum(fig.models) == 62
    for facet, bars in fig.bars.items():
        assert tuple(map(sum, zip(*bars.values(), strict=True))) == fig.models, facet


def test_the_bars_of_figure_10_add_up() -> None:
    fig = paper.fig10()
    assert set(fig.parts) == set(fig.kernels) == {"Qwen1.5-0.5B", "Qwen2-0.5B"}
    for bars in (fig.parts, fig.kernels):
        for phases in bars.values():
            assert [sum(bar.values()) for bar in phases.values()] == pytest.approx([1, 1], abs=1e-4)


def test_the_pies_of_figure_2_are_the_sums_of_its_bars() -> None:
    fig = paper.fig2()
    for facet, wedges in fig.pies.items():
        counts = {label: wedge.count for label, wedge in wedges.items()}
        if facet == "ffn-ratio":
            counts["<2.75"] += counts.pop("0.5~4")
        assert counts == {label: sum(bar) for label, bar in fig.bars[facet].items() if label != "nan"}
        total = sum(counts.values())
        for label, wedge in wedges.items():
            assert wedge.share_percent == pytest.approx(100 * wedge.count / total, abs=0.03), label


def test_the_uses_of_figure_3_add_up() -> None:
    fig = paper.fig3()
    assert {year: sum(uses.values()) for year, uses in fig.uses.items()} == fig.total_uses


def test_the_formats_of_figure_8_are_the_same_in_both_panels() -> None:
    fig = paper.fig8()
    assert fig.prefill.keys() == fig.decode.keys() == {"FP16", "Q8_0", "Q6_K", "Q5_K", "Q4_K_M", "Q3_K"}
    for curve in (*fig.prefill.values(), *fig.decode.values()):
        assert [tokens for tokens, _ in curve] == list(range(8, 51))


def test_the_figures_name_models_of_the_catalogue() -> None:
    known = {model.id for model in models()}
    named = [
        point.model_id
        for points in (paper.fig4().points, paper.fig7().models, paper.fig11().models)
        for point in points
    ]
    assert set(named) <= known
    assert len(paper.fig4().points) == len({point.model_id for point in paper.fig4().points}) == 51


def test_memory_is_the_sum_of_its_parts_and_the_same_in_figures_7_and_11() -> None:
    totals = {bar.model_id: bar.total_mib for bar in paper.fig11().models}
    for bar in paper.fig11().models:
        parts = bar.compute_buffer_mib + bar.kv_cache_mib + bar.model_parameter_mib + bar.other_mib
        assert parts == pytest.approx(bar.total_mib, abs=0.02)
    for point in paper.fig7().models:
        assert point.memory_mib == totals[point.model_id]
