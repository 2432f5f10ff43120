"""Pictures for a phone: whole names in legends and on axes, whatever room there is."""

from __future__ import annotations

from typing import Any

from slm_atlas.report import charts
from slm_atlas.report.insight_figures import effects
from slm_atlas.report.pictures import NARROW, fitted
from slm_atlas.report.vega import alt


def legend(names: list[str], width: int) -> dict[str, Any]:
    rows = [{"x": 1, "who": name} for name in names]
    color = alt.Color("who:N", legend=alt.Legend(orient="right", columns=3))
    chart = alt.Chart(charts.inline(rows)).mark_point().encode(x="x:Q", color=color)
    found: dict[str, Any] = fitted(charts.finished(chart), width)["encoding"]["color"]["legend"]
    return found


def test_a_narrow_legend_has_as_many_columns_as_its_names_have_room_for() -> None:
    assert legend(["tied", "untied"], NARROW)["columns"] > 2
    long = legend(["here", "the survey, on a Jetson Orin NX, in 2024"], NARROW)
    assert (long["orient"], long["columns"]) == ("bottom", 1)
    assert long["labelLimit"] > 240


def test_a_long_name_on_a_narrow_axis_has_two_lines_and_a_short_one_one() -> None:
    names = ["embedding's share of parameters", "depth"]
    told = {"panel": "Decode", "data": "measured here", "value": 1.0, "low": 0.5, "high": 2.0, "n": 9, "unit": "models"}
    spec = fitted(effects([told | {"label": name} for name in names], "Change", "+.0%", 0), NARROW)
    axis = spec["concat"][0]["layer"][1]["encoding"]["y"]["axis"]
    assert '["embedding\'s share", "of parameters"]' in axis["labelExpr"]
    assert "depth" not in axis["labelExpr"]
