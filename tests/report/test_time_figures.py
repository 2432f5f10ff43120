"""The survey's Figure 10 drawn: bars that add up, operators that take little together, the survey's own beside."""

from __future__ import annotations

from typing import Any

import pytest

from slm_atlas.catalog import paper
from slm_atlas.insights.profiles import profiles
from slm_atlas.report.figures import Side
from slm_atlas.report.files import Form, picture
from slm_atlas.report.time_figures import (
    KINDS,
    MEASURED,
    PAPER,
    REST,
    drawn_operators,
    drawn_parts,
    kind_figure,
    paper_rows,
    part_figure,
    profile_figures,
)

from . import measured


def rows(**shares: float) -> list[dict[str, Any]]:
    found = {"model": "M", "source": MEASURED, "low": None, "high": None, "n": 1}
    return [
        {**found, "phase": phase, "label": label, "share": share}
        for phase in ("prefill", "decode")
        for label, share in shares.items()
    ]


def test_blocks_of_a_bar_stand_on_each_other() -> None:
    figure = drawn_parts(rows(lm_head=0.2, attention=0.3, ffn=0.5, mixer=0.0))
    (values,) = figure.spec["datasets"].values()
    blocks = [row for row in values if row["bar"] == "prefill"]
    assert [(row["label"], row["bottom"], row["top"]) for row in blocks] == [
        ("attention", 0.0, 0.3),
        ("ffn", 0.3, 0.8),
        ("lm_head", 0.8, 1.0),
    ]
    assert picture(figure, Form.SVG).startswith(b"<svg")
    assert figure.csv().splitlines()[0] == "model,source,low,high,n,phase,label,share"


def test_operators_that_take_least_are_together() -> None:
    shares = {"A": 0.4, "B": 0.2, "C": 0.15, "D": 0.1, "E": 0.05, "F": 0.06, "G": 0.04}
    figure = drawn_operators(rows(**shares))
    prefill = {row["label"]: row["share"] for row in figure.rows if row["phase"] == "prefill"}
    assert list(prefill) == ["A", "B", "C", "D", "F", REST]
    assert prefill[REST] == pytest.approx(0.09)


def test_the_surveys_bars_stand_beside_ours() -> None:
    names = {"Qwen2-0.5B": "Qwen2-0.5B", "unknown": "unknown"}
    found = paper_rows(names, paper.fig10().parts)
    assert {row["model"] for row in found} == {"Qwen2-0.5B"}
    assert sum(row["share"] for row in found if row["phase"] == "decode") == pytest.approx(1)
    ours = [{**row, "source": MEASURED} for row in found]
    figure = drawn_parts([*ours, *found])
    (panel,) = figure.spec["concat"]
    bars = panel["layer"][0]["encoding"]["x"]["sort"]
    assert bars == ["prefill", f"prefill, {PAPER}", "decode", f"decode, {PAPER}"]


def test_profiles_are_drawn_beside_the_survey_where_it_shows_the_model() -> None:
    parts, operators, kinds = profile_figures(profiles(measured.profiled()))
    assert {(row["model"], row["source"]) for row in parts.rows} == {
        ("Qwen2-0.5B", MEASURED),
        ("Qwen2-0.5B", PAPER),
        ("OLMo-1B", MEASURED),
    }
    assert {row["source"] for row in operators.rows} == {MEASURED}
    assert [figure.name for figure in (parts, operators, kinds)] == ["fig10a", "operators", "fig10b"]
    assert "Pale: the survey's" in parts.caption
    assert "decode (here) ffn 40%" in parts.caption, "what takes most, of both models alike"
    for figure in (parts, operators, kinds):
        assert picture(figure, Form.SVG).startswith(b"<svg")


def test_operators_and_kernels_are_compared_by_kind() -> None:
    kinds = profile_figures(profiles(measured.profiled()))[-1]
    both = [row for row in kinds.rows if row["model"] == "Qwen2-0.5B"]
    shares = {(row["source"], row["label"]): row["share"] for row in both if row["phase"] == "decode"}
    assert shares[MEASURED, "matrix products"] == pytest.approx(0.9)
    assert shares[PAPER, "matrix products"] == pytest.approx(0.793 + 0.037 + 0.016)
    assert {label for _, label in shares} <= {*KINDS, REST}
    for source in (MEASURED, PAPER):
        assert sum(share for (of, _), share in shares.items() if of == source) == pytest.approx(1)


def test_without_the_survey_or_without_profiles() -> None:
    names = [figure.name for figure in profile_figures(profiles(measured.profiled()), paper=False)]
    assert names == ["fig10a", "operators", "fig10b"]
    assert profile_figures([]) == []


def test_each_side_alone_and_both_where_they_share_a_model() -> None:
    found = profiles(measured.profiled())
    for draw in (part_figure, kind_figure):
        sources = {side: {row["source"] for row in figure.rows} for side in Side if (figure := draw(found, side))}
        assert sources == {Side.MINE: {MEASURED}, Side.PAPER: {PAPER}, Side.BOTH: {MEASURED, PAPER}}
        others = [each for each in found if each.name == "OLMo-1B"]
        assert draw(others, Side.BOTH) is None
        assert draw([], Side.MINE) is None


def test_every_kernel_of_the_survey_has_a_kind() -> None:
    known = {op for ops in KINDS.values() for op in ops}
    shown = {kernel for phases in paper.fig10().kernels.values() for bar in phases.values() for kernel in bar}
    assert shown - known == {"other"}
