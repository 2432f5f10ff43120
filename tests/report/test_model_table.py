"""The table of models: each has a line, filters see what cells show, the anatomy is to scale."""

from __future__ import annotations

import re

import pytest

from slm_atlas.advisor.candidates import candidates
from slm_atlas.catalog import get, models
from slm_atlas.insights.frame import rows
from slm_atlas.report.anatomy import HEIGHT, WIDTH, columns, drawing, shares
from slm_atlas.report.model_table import COLUMNS, Line, lines, openness
from slm_atlas.report.models import facts

from .measured import MODELS, study


@pytest.fixture(scope="module")
def found() -> list[Line]:
    measured = rows(study())
    return lines(candidates(measured), measured)


def test_every_model_and_every_file_has_a_line(found: list[Line]) -> None:
    names = [line.cells[0].text for line in found]
    assert {f"{model.name} Q4_K_M" for model in MODELS} <= set(names)
    anchors = {line.anchor for line in found}
    assert {f"model-{model.id}" for model in models()} <= anchors
    assert all(len(line.cells) == len(COLUMNS) for line in found)


def test_what_filters_see_is_what_cells_show(found: list[Line]) -> None:
    at = [column.key for column in COLUMNS].index
    for line in found:
        assert line.facts["basis"] == line.cells[at("basis")].text
        decode = line.cells[at("decode")].sort
        assert (line.facts["decode"] == "") is (decode is None)
        assert line.facts["decode"] == "" or float(line.facts["decode"]) == pytest.approx(decode, rel=1e-5)


def test_openness_is_of_the_named_data_sets() -> None:
    assert openness(get("pythia-160m")) in ("open", "partly open")
    assert openness(get("qwen2-0.5b")) == "not named"


@pytest.mark.parametrize("id_", ["qwen2-0.5b", "openelm-270m", "opt-350m", "mobillama-0.5b"])
def test_the_anatomy_is_to_scale(id_: str) -> None:
    """The areas of a part's rectangles are to the whole as its parameters are."""
    model = get(id_)
    assert sum(sum(c.parts.values()) * max(c.layers, 1) for c in columns(model.architecture)) == model.params
    svg = drawing(model.architecture, model.name)
    for share in shares(model.architecture):
        path = re.search(rf'class="part-{share.part}" d="([^"]+)"', svg)
        assert path is not None
        area = sum(float(w) * float(h) for w, h in re.findall(r"h(\d[\d.]*)v([\d.]+)", path[1]))
        assert area / WIDTH / HEIGHT == pytest.approx(float(share.text.split(", ")[1].rstrip("%")) / 100, abs=0.003)


def test_a_hostile_name_in_a_drawing_is_text() -> None:
    assert "<script>" not in drawing(get("qwen2-0.5b").architecture, '"><script>')


def test_facts_stand_with_their_sources() -> None:
    for model in models():
        told = facts(model)
        assert [group.title for group in told[:3]] == ["Identity", "Architecture", "Training"]
        listed = sum(len(group.sources) for group in told)
        assert listed == len(model.sources), model.id
