"""All figures: each is drawn from what data there are, says what one sees, and is called as the registry calls it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import altair as alt
import pytest

from slm_atlas.errors import UserError
from slm_atlas.insights.claims import CLAIMS
from slm_atlas.insights.frame import read_dataset
from slm_atlas.report.figures import Figure, Side, Theme
from slm_atlas.report.files import Form, picture
from slm_atlas.report.material import Material
from slm_atlas.report.pictures import WIDE, fitted
from slm_atlas.report.registry import ENTRIES, FACTS, STORE, SURVEY, Entry, Group, all_of, entry
from slm_atlas.store import Store

from .measured import study

NOTHING = Material()


@pytest.fixture(scope="module")
def paper() -> dict[str, Figure]:
    return {each.id: each.drawn(NOTHING, Side.PAPER) for each in SURVEY}


def test_all_eleven_figures_are_drawn_of_the_surveys_data(paper: dict[str, Figure]) -> None:
    assert {name.rstrip("ab") for name in paper} == {f"fig{number}" for number in range(1, 12)}
    for name, figure in paper.items():
        assert figure.name == name
        assert figure.caption.endswith(".")
        assert any(letter.isdigit() for letter in figure.caption), "made from the numbers"
        assert f"Figure {name.removeprefix('fig')}:" in figure.title
        assert {row.get("source") for row in figure.rows} & {"here", "catalogue"} == set()


@pytest.mark.parametrize("each", SURVEY, ids=lambda each: each.id)
def test_facts_need_no_measurement_and_the_rest_names_the_command(each: Entry) -> None:
    if each in FACTS:
        assert each.available(NOTHING) == list(Side)
        both = each.drawn(NOTHING, Side.BOTH)
        assert len({row["source"] for row in both.rows}) == 2
        return
    assert each.available(NOTHING) == [Side.PAPER]
    assert each.drawn(NOTHING).rows == each.drawn(NOTHING, Side.PAPER).rows, "by default what there is"
    for side in (Side.MINE, Side.BOTH):
        with pytest.raises(UserError, match="slm "):
            each.drawn(NOTHING, side)


def test_what_is_asked_without_drawing_is_what_is_drawn(reference_store: Path) -> None:
    with Store(reference_store) as store:
        reference = read_dataset(store)
    for material in (NOTHING, Material(study), Material(lambda: reference)):
        for each in ENTRIES:
            drawn = [side for side in each.sides if each.draw(material, side) is not None]
            assert each.available(material) == drawn, each.id


def test_a_list_of_figures_loads_no_drawing_library() -> None:
    asked = "from slm_atlas.report import registry as r; [e.available(r.NOTHING) for e in r.ENTRIES]"
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys; {asked}; print('altair' in sys.modules)"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "False"


def test_measurements_stand_beside_the_survey() -> None:
    found = {figure.name: figure for figure in all_of(Group.SURVEY, Material(study))}
    assert {row["source"] for row in found["fig7"].rows} > {"here"}
    assert {row["source"] for row in found["fig8"].rows} == {"the survey, on a Jetson Orin NX"}
    assert [figure.name for figure in all_of(Group.STORE, Material(study))] == ["latency", "memory", "accuracy"]


def test_ones_own_figures_have_no_other_side() -> None:
    with pytest.raises(UserError, match="--data mine"):
        STORE[0].drawn(NOTHING, Side.PAPER)


def test_names_are_found_in_any_case_and_others_are_told() -> None:
    assert entry("FIG7").id == "fig7"
    assert len({each.id for each in ENTRIES}) == len(ENTRIES)
    with pytest.raises(UserError, match="fig10a and fig10b"):
        entry("fig10")
    with pytest.raises(UserError, match="slm figure list"):
        entry("fig12")


def test_each_claim_names_a_figure_that_there_is() -> None:
    assert {claim.id for claim in CLAIMS if claim.figure is None} == {"X1"}, "the survey has no figure of it"
    for claim in CLAIMS:
        if claim.figure is not None:
            shown = entry(claim.figure)
            assert (
                shown.group is not Group.SURVEY
                or "Figure" not in claim.source
                or shown.id[3:].rstrip("ab") in claim.source
            )


@pytest.mark.parametrize("width", [WIDE, 360])
def test_every_figure_fits_a_page_and_a_phone(paper: dict[str, Figure], width: int) -> None:
    for name, figure in paper.items():
        spec = fitted(figure.spec, width)
        panels = spec.get("concat", [spec])
        columns = spec.get("columns", 1)
        assert columns == 1 or width == WIDE
        assert columns * panels[0]["width"] <= width, name
        assert panels[0]["width"] > 150, name


def test_every_figure_keeps_to_the_schema_of_vega_lite(paper: dict[str, Figure]) -> None:
    """Which Altair does not check while it makes them: it takes a third of a report's time."""
    for figure in paper.values():
        # Colours of the page, and no background: what the drawing takes and the schema does not.
        alt.Chart.from_dict({key: figure.spec[key] for key in figure.spec if key not in ("config", "background")})


def test_forms_and_themes(paper: dict[str, Figure]) -> None:
    figure = paper["fig6b"]
    light, dark = (picture(figure, Form.SVG, theme=theme, width=360).decode() for theme in Theme)
    assert light.startswith("<svg")
    assert "currentColor" not in light + dark
    assert "#14171a" in dark
    assert picture(figure, Form.PNG).startswith(b"\x89PNG")
    spec = json.loads(picture(figure, Form.JSON))
    assert spec["$schema"].startswith("https://vega.github.io")
    read = list(csv.DictReader(io.StringIO(picture(figure, Form.CSV).decode())))
    assert [row["model"] for row in read] == [row["model"] for row in figure.rows]
