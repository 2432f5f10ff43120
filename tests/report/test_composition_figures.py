"""The survey's Figures 2 and 3: counts as its figures have them, and as the catalogue has them."""

from __future__ import annotations

from collections import defaultdict

import pytest

from slm_atlas.catalog import models, paper
from slm_atlas.report.composition_figures import (
    CATALOGUE,
    DRAWN,
    MOST_DATASETS,
    SURVEY,
    composition_figure,
    trends_figure,
    usage_figure,
)
from slm_atlas.report.figures import Figure, Side
from slm_atlas.survey.composition import Period


def some(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


@pytest.mark.parametrize("draw", [composition_figure, trends_figure])
def test_shares_of_a_facet_add_up_to_one(draw: object) -> None:
    figure = some(draw(models(), Side.BOTH))  # type: ignore[operator]
    sums: dict[tuple[str, ...], float] = defaultdict(float)
    for row in figure.rows:
        sums[row["source"], row["facet"], row["period"]] += row["share"]
        assert row["low"] <= row["share"] <= row["high"]
    assert all(total == pytest.approx(1) for total in sums.values())
    assert {(source, facet) for source, facet, _ in sums} == {(s, f) for s in (SURVEY, CATALOGUE) for f in DRAWN}


def test_the_pies_and_bars_are_the_surveys() -> None:
    pies = {(row["facet"], row["label"]): row["count"] for row in some(composition_figure([], Side.PAPER)).rows}
    assert pies["attention", "MHA"] == paper.fig2().pies["attention"]["MHA"].count
    assert pies["ffn-ratio", "layer-wise"] == paper.fig2().pies["ffn-ratio"]["0.5~4"].count
    bars = some(trends_figure([], Side.PAPER)).rows
    (row,) = [r for r in bars if (r["facet"], r["period"], r["label"]) == ("norm", "2024H2", "rmsnorm")]
    assert (row["count"], row["n"]) == (13, 14)


def test_every_model_of_the_catalogue_is_counted_once() -> None:
    rows = some(composition_figure(models(), Side.MINE)).rows
    for facet in DRAWN:
        assert sum(row["count"] for row in rows if row["facet"] == facet) == len(models())
    by_year = some(trends_figure(models(), Side.MINE, Period.YEAR)).rows
    assert {row["period"] for row in by_year} == {model.release[:4] for model in models()}
    assert composition_figure([], Side.MINE) is trends_figure([], Side.MINE) is None


def test_data_sets_have_the_same_lines_on_both_sides() -> None:
    figure = some(usage_figure(models(), Side.BOTH))
    domains = [panel["layer"][0]["encoding"]["y"]["scale"]["domain"] for panel in figure.spec["concat"]]
    assert domains[0] == domains[1]
    assert len(domains[0]) == MOST_DATASETS
    theirs = {(row["period"], row["label"]): row["count"] for row in figure.rows if row["source"] == SURVEY}
    assert theirs["2023", "The Pile"] == paper.fig3().uses["2023"]["The Pile"] == 11
    pile = sum("The Pile" in m.training.datasets for m in models() if m.release.startswith("2023"))
    assert {row["count"] for row in figure.rows if row["source"] == CATALOGUE and row["label"] == "The Pile"} >= {pile}
    assert "2023 The Pile (11 of" in figure.caption
    assert usage_figure([], Side.MINE) is None
