"""`slm insights`: the list, one data set, one claim, claims of one's own, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_atlas.insights.claims import CLAIMS

from .atlas import document, slm, wrong

DATA = ("paper", "catalogue", "mine")
OWN = Path(__file__).parents[2] / "docs" / "examples" / "my_claims.py"


def test_every_claim_has_a_line_and_a_verdict_on_each_data_set() -> None:
    result = slm("insights")
    assert result.exit_code == 0
    lines = result.stdout.split("\n\n")[0].splitlines()[2:]
    assert [line.split()[0] for line in lines] == [claim.id for claim in CLAIMS]
    assert "does not follow from its own figures" in result.stderr


@pytest.mark.usefixtures("reference")
def test_the_reference_results_hold_what_the_readme_says() -> None:
    found = {each["id"]: each for each in document("insights", "--data", "mine")["claims"]}
    assert [found[name]["verdict"] for name in ("L1", "M1", "M2")] == ["holds"] * 3
    assert found["A1"]["verdict"] == "no data"
    parts = {part["what"]: part["tested"]["effect"]["value"] for part in found["L1"]["parts"]}
    assert round(parts["elasticity of prefill (1: in proportion)"], 2) == 0.88


@pytest.mark.parametrize("data", DATA)
def test_one_data_set_at_a_time(data: str) -> None:
    found = document("insights", "--data", data)["claims"]
    assert {each["data"] for each in found} == {data}
    assert len(found) == len(CLAIMS)


def test_a_claim_in_full_shows_rule_numbers_and_source() -> None:
    shown = slm("insights", "show", "l1").stdout
    for text in (
        "rule, stated before",
        "arXiv 2409.15790",
        "0.60 [0.47, 0.73]",
        "caveats",
        "464M and 494M",
        "mine: no data",
    ):
        assert text in shown
    assert {each["data"] for each in json.loads(slm("insights", "show", "L1", "--json").stdout)} == set(DATA)


def test_an_insight_in_full_shows_its_table() -> None:
    shown = slm("insights", "show", "gqa", "--data", "catalogue").stdout
    assert "times as much at 32,768" in shown
    assert document("insights", "show", "gqa")["answers"]["catalogue"]["n"] > 20


@pytest.mark.usefixtures("reference")
def test_the_example_of_the_docs_is_a_claim_of_one_s_own() -> None:
    found = {each["id"]: each for each in document("insights", "--claims", OWN)["claims"] if each["data"] == "mine"}
    assert found["U1"]["n"] > 20
    assert found["U1"]["verdict"] in ("holds", "fails", "undecided")
    assert "U1" in slm("insights", "show", "U1", "--claims", OWN).stdout


def test_bad_input_is_a_line(tmp_path: Path) -> None:
    assert "slm insights" in wrong("insights", "show", "Z9")
    assert "no such file" in wrong("insights", "--claims", tmp_path / "none.py")
    assert "stand after its name" in wrong("insights", "--json", "show", "L1")
    broken = tmp_path / "broken.py"
    broken.write_text("CLAIMS = [\n")
    assert "broken.py:1: SyntaxError" in wrong("insights", "--claims", broken)


def test_a_claims_figure_is_named_and_written(tmp_path: Path) -> None:
    assert "slm figure fig7" in slm("insights", "show", "L2").stdout
    written = tmp_path / "l2.csv"
    assert slm("insights", "show", "L2", "--data", "paper", "-o", written).stdout == f"{written}\n"
    assert "Jetson" in written.read_text()
    assert "No figure shows 'X1'" in wrong("insights", "show", "X1", "-o", tmp_path / "x.svg")
    assert "paper-runtime" in wrong("insights", "show", "L2", "--data", "mine", "-o", tmp_path / "x.svg")
