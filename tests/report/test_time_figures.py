"""The survey's Figure 10 drawn: bars that add up, operators that take little together, the survey's own beside."""

from __future__ import annotations

from typing import Any

import pytest

from slm_atlas.report.files import Form, picture
from slm_atlas.report.time_figures import MEASURED, PAPER, REST, operator_figure, paper_rows, part_figure


def rows(**shares: float) -> list[dict[str, Any]]:
    found = {"model": "M", "source": MEASURED, "low": None, "high": None, "n": 1}
    return [
        {**found, "phase": phase, "label": label, "share": share}
        for phase in ("prefill", "decode")
        for label, share in shares.items()
    ]


def test_blocks_of_a_bar_stand_on_each_other() -> None:
    figure = part_figure(rows(lm_head=0.2, attention=0.3, ffn=0.5, mixer=0.0), "How.")
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
    figure = operator_figure(rows(**shares), "How.")
    prefill = {row["label"]: row["share"] for row in figure.rows if row["phase"] == "prefill"}
    assert list(prefill) == ["A", "B", "C", "D", "F", REST]
    assert prefill[REST] == pytest.approx(0.09)


def test_the_surveys_bars_stand_beside_ours() -> None:
    found = paper_rows(["Qwen2-0.5B", "unknown"])
    assert {row["model"] for row in found} == {"Qwen2-0.5B"}
    assert sum(row["share"] for row in found if row["phase"] == "decode") == pytest.approx(1)
    ours = [{**row, "source": MEASURED} for row in found]
    figure = part_figure([*ours, *found], "How.")
    (panel,) = figure.spec["hconcat"]
    bars = panel["layer"][0]["encoding"]["x"]["sort"]
    assert bars == ["prefill", f"prefill, {PAPER}", "decode", f"decode, {PAPER}"]
