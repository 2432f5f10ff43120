"""The survey's figures made again: what is compared, what explains a difference, and the list of those there are."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from msgspec.structs import replace

from slm_atlas.catalog import Model, get, models, paper
from slm_atlas.catalog.architecture import Attention
from slm_atlas.catalog.schema import InPaper
from slm_atlas.survey.cells import Cell, Verdict
from slm_atlas.survey.composition import Period
from slm_atlas.survey.facets import FACETS
from slm_atlas.survey.points import figure_4, nominal_billion
from slm_atlas.survey.reproduction import compare, figure_2a, figure_2b, figure_3, tally
from slm_atlas.survey.views import members

from .made import counted, made, with_ffn

BY_NAME = {facet.name: facet for facet in FACETS}
MHA = Attention(heads=8, kv_heads=8, head_dim=64)
SNAPSHOT = Path(__file__).parent / "differences.txt"


def cell(cells: list[Cell], figure: str, name: str) -> Cell:
    (found,) = [each for each in cells if (each.figure, each.cell) == (figure, name)]
    return found


# ---- the two views --------------------------------------------------------------------------------------------------


def test_the_survey_counts_a_model_as_it_says() -> None:
    model = made("odd", attention=MHA, paper=counted(attention="GQA"))
    facet = BY_NAME["attention"]
    assert members([model], facet, Period.YEAR, counted=True) == {("2024", "GQA"): [model]}
    assert members([model], facet, Period.YEAR, counted=False) == {("2024", "MHA"): [model]}


def test_the_survey_has_dates_of_its_own() -> None:
    model = made(release="2024-06", paper=InPaper(fig2b=True, release="2024-09"))
    ((period, _),) = members([model], BY_NAME["norm"], Period.HALF_YEAR, counted=True)
    ((since, _),) = members([model], BY_NAME["norm"], Period.HALF_YEAR, counted=False)
    assert (period, since) == ("2024H2", "2024H1")


def test_what_moved_a_model_is_told() -> None:
    group = [made(name, attention=MHA, paper=counted(attention="GQA")) for name in ("one", "two")]
    found = cell(list(figure_2b(group)), "2b", "attention 2024H1 MHA")
    assert (found.paper, found.counted, found.true) == (6, 0, 2)
    assert found.models == ("one", "two")
    assert found.reasons[-1] == "ONE, TWO: counted as GQA, but MHA (we looked)."


def test_a_date_explains_only_where_it_changes_the_period() -> None:
    early = made(release="2024-02", paper=InPaper(fig2b=True, release="2024-04"))
    late = made(release="2024-06", paper=InPaper(fig2b=True, release="2024-09"))
    same, moved = ([each for each in figure_2b([model]) if each.models] for model in (early, late))
    assert same == []
    assert {each.reasons[-1] for each in moved} == {"MADE: dated 2024-09, released 2024-06."}


def test_data_sets_that_are_not_counted_are_told_one_by_one() -> None:
    model = made(datasets=("The Pile", "Dolma", "Something else"), paper=counted(datasets=("Dolma",)))
    cells = list(figure_3([model]))
    assert "datasets 2024 Something else" not in [each.cell for each in cells], "the figure does not draw it"
    assert cell(cells, "3", "datasets 2024 The Pile").reasons[-1] == "MADE: not counted for The Pile (we looked)."
    assert cell(cells, "3", "datasets 2024 Dolma").models == ()


def test_the_pie_sets_layerwise_ratios_apart_and_the_bars_do_not() -> None:
    model = with_ffn((500, 4000), layers=2)
    assert cell(list(figure_2a([model])), "2a", "ffn-ratio 0.5~4").counted == 1
    assert cell(list(figure_2b([model])), "2b", "ffn-ratio 2024H1 <2.75").counted == 1


def test_a_number_is_equal_only_if_all_three_are() -> None:
    group = [made(f"m{number}", release="2022-03", attention=MHA) for number in range(4)]
    assert cell(list(figure_2b(group)), "2b", "attention 2022H1 MHA").verdict is Verdict.EQUAL
    swapped = [replace(group[0], paper=counted(attention="GQA")), *group[1:]]
    assert cell(list(figure_2b(swapped)), "2b", "attention 2022H1 MHA").verdict is Verdict.UNEXPLAINED
    also = [*swapped, made("extra", release="2022-03", paper=counted(attention="MHA"))]
    assert cell(list(figure_2b(also)), "2b", "attention 2022H1 MHA").verdict is Verdict.EXPLAINED


# ---- Figure 4 -------------------------------------------------------------------------------------------------------


def test_a_point_is_compared_with_tokens_and_parameters() -> None:
    tokens, params = figure_4([replace(get("pythia-1.4b"))])
    assert (tokens.cell, tokens.paper, tokens.true) == ("pythia-1.4b tokens (billions)", 300.0, 300)
    assert (tokens.verdict, params.verdict) == (Verdict.EQUAL, Verdict.EQUAL)


def test_tokens_that_are_not_published_are_not_zero() -> None:
    pythia = get("pythia-1.4b")
    unknown = replace(pythia, training=replace(pythia.training, tokens_billion=None))
    tokens, _ = figure_4([unknown])
    assert (tokens.true, tokens.verdict) == (None, Verdict.UNEXPLAINED)
    assert tokens.reasons == ("Nothing is known of it.",)


@pytest.mark.parametrize(
    ("name", "size"), [("smollm-135m", 0.135), ("bloom-1b1", 1.1), ("gemma-2-2b", 2.0), ("mobilellm-r1-140m", 0.14)]
)
def test_the_size_in_a_name(name: str, size: float) -> None:
    assert nominal_billion(name) == pytest.approx(size)
    assert nominal_billion("phi-3-mini-4k") is None


# ---- the shipped catalogue ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    return compare(models())


def line(each: Cell) -> str:
    numbers = ", ".join("unknown" if value is None else f"{value:g}" for value in (each.paper, each.counted, each.true))
    return f"{each.figure} {each.cell}: {numbers} {each.verdict}"


def test_the_figures_come_out_but_for_the_differences_known(cells: list[Cell]) -> None:
    """After a change of the catalogue: look at `slm survey --paper`, and write the new lines into the snapshot."""
    assert [line(each) for each in cells if each.verdict is not Verdict.EQUAL] == SNAPSHOT.read_text().splitlines()


def test_every_difference_says_what_is_known(cells: list[Cell]) -> None:
    for each in cells:
        assert bool(each.reasons) == (each.verdict is not Verdict.EQUAL)
        assert "Nothing is known of it." not in each.reasons, each.cell


def test_every_remark_is_about_a_difference(cells: list[Cell]) -> None:
    for known in paper.remarks():
        for pattern in known.cells:
            assert any(
                each.figure == known.figure and each.reasons[:1] == (known.text,) and fnmatchcase(each.cell, pattern)
                for each in cells
            ), pattern


def test_all_of_a_figure_is_compared(cells: list[Cell]) -> None:
    fig = paper.fig2()
    drawn = sum(count > 0 for bars in fig.bars.values() for counts in bars.values() for count in counts)
    compared = [each for each in cells if each.figure == "2b" and each.paper and not each.cell.startswith("models")]
    assert len(compared) == drawn
    assert sum(each.paper > 0 for each in cells if each.figure == "2a") == sum(map(len, fig.pies.values()))
    assert sum(each.paper > 0 for each in cells if each.figure == "3") == sum(map(len, paper.fig3().uses.values()))
    assert sum(each.figure == "4" for each in cells) == 2 * len(paper.fig4().points)


def test_the_tally_adds_up(cells: list[Cell]) -> None:
    assert sum(sum(counts.values()) for counts in tally(cells).values()) == len(cells)


@pytest.mark.parametrize(
    ("name", "models_named"),
    [
        ("attention 2024H1 MHA", ("mobillama-0.5b", "mobillama-1b")),
        ("attention 2024H2 none", ("qwen2.5-0.5b", "qwen2.5-1.5b", "qwen2.5-3b")),
        ("norm 2023H2 rmsnorm", ("stablelm-zephyr-3b",)),
        ("ffn-ratio 2023H2 >4", ("qwen-1.8b",)),
    ],
)
def test_what_the_survey_miscounts_is_named(cells: list[Cell], name: str, models_named: tuple[str, ...]) -> None:
    found = cell(cells, "2b", name)
    assert found.verdict is Verdict.EXPLAINED
    assert set(found.models) == set(models_named)


def chosen() -> list[Model]:
    return [model for model in models() if model.paper.fig2b]


def test_the_catalogue_has_all_but_one_of_the_surveys_models() -> None:
    assert sum(paper.fig2().models) - len(chosen()) == 1
