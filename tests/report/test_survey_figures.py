"""The survey's figures: what is drawn is what the CSV holds, in the order of the labels, and no picture is empty."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest

from slm_atlas.catalog import models
from slm_atlas.report.figures import Figure, Side
from slm_atlas.report.files import Form, picture
from slm_atlas.report.material import Material
from slm_atlas.report.registry import CATALOGUE
from slm_atlas.report.survey_figures import NAMES, facet_figure, tokens_figure
from slm_atlas.survey.composition import NOT_PUBLISHED
from slm_atlas.survey.facets import FACETS, MEASURES

BY_NAME = {facet.name: facet for facet in FACETS}


@pytest.fixture(scope="module")
def found() -> dict[str, Figure]:
    material = Material()
    drawn = {each.id: each.drawn(material) for each in CATALOGUE}
    return drawn | {
        "datasets": _some(facet_figure(models(), BY_NAME["datasets"])),
        "fig4": _some(tokens_figure(models())),
    }


def _some(figure: Figure | None) -> Figure:
    assert figure is not None
    return figure


def drawn(figure: Figure) -> list[dict[str, Any]]:
    return [row for rows in figure.spec["datasets"].values() for row in rows]


def test_there_is_a_figure_for_everything(found: dict[str, Figure]) -> None:
    assert set(found) == {facet.name for facet in FACETS} | {measure.name for measure in MEASURES} | {"fig4"}


def test_the_csv_holds_what_is_drawn(found: dict[str, Figure]) -> None:
    for figure in found.values():
        assert len(list(csv.DictReader(io.StringIO(figure.csv())))) == len(figure.rows)
        shown = [{key: row.get(key) for key in figure.rows[0]} for row in drawn(figure)]
        assert all(row in shown for row in figure.rows if row.get("count", 1)), figure.name


def test_labels_keep_their_order_and_what_is_missing_is_last(found: dict[str, Figure]) -> None:
    def labels(value: Any) -> list[str]:
        """The domain of the first colour scale."""
        if isinstance(value, dict):
            if "color" in value and "scale" in value["color"]:
                return list(value["color"]["scale"]["domain"])
            value = list(value.values())
        return next(filter(None, map(labels, value)), []) if isinstance(value, list) else []

    assert labels(found["vocabulary"].spec) == ["<=50k", "50k~100k", "100k~150k", "150k~200k", ">200k"]
    assert labels(found["tokens-bins"].spec) == [*BY_NAME["tokens-bins"].order, NOT_PUBLISHED]


def test_only_the_most_frequent_names_are_drawn(found: dict[str, Figure]) -> None:
    assert len({row["label"] for row in found["datasets"].rows}) == NAMES
    assert "The Pile" in {row["label"] for row in found["datasets"].rows}
    assert NOT_PUBLISHED not in {row["label"] for row in found["datasets"].rows}


def test_tokens_stand_beside_the_surveys_own(found: dict[str, Figure]) -> None:
    figure = found["fig4"]
    sources = {name: [row for row in figure.rows if row["source"] == name] for name in ("catalogue", "survey")}
    assert len(sources["catalogue"]) == sum(model.training.tokens_billion is not None for model in models())
    assert {"OPT-125M", "Phi-2"} <= {row["model"] for row in sources["survey"]}
    alone = _some(tokens_figure(models(), Side.PAPER))
    assert alone.rows == sources["survey"]


def test_without_data_there_is_no_figure() -> None:
    assert [each.id for each in CATALOGUE if each.find(Material(models=()))] == []
    unknown = [model for model in models() if model.training.tokens_billion is None]
    assert tokens_figure(unknown) is None
    assert facet_figure([], BY_NAME["norm"]) is None


def test_pictures_in_all_forms(found: dict[str, Figure]) -> None:
    starts = {Form.SVG: b"<svg", Form.PNG: b"\x89PNG", Form.JSON: b"{"}
    for form, start in starts.items():
        assert picture(found["attention"], form).startswith(start)
    svg = picture(found["attention"], Form.SVG)
    assert b"currentColor" not in svg
    assert b"hybrid" in svg
