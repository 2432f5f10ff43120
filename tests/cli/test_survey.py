"""`slm survey`: the overview, one facet, the survey's figures, and files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from slm_atlas.catalog import models
from slm_atlas.survey.facets import FACETS, MEASURES

from .atlas import document, slm, wrong


def rows(*args: object) -> list[dict[str, str]]:
    """The CSV that a command prints."""
    result = slm("survey", *args, "--csv")
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_the_overview_counts_every_model_for_every_facet() -> None:
    lines = slm("survey").stdout.splitlines()
    totals = next(line for line in lines if line.startswith("Models")).split()[1:]
    assert sum(map(int, totals)) == len(models())
    start = next(number for number, line in enumerate(lines) if line.startswith("Attention"))
    block = [line.split()[1:] for line in lines[start + 1 : start + 6]]
    assert [sum(map(int, column)) for column in zip(*block, strict=True)] == [int(total) for total in totals]


def test_the_overview_has_every_facet_with_few_labels_and_every_median() -> None:
    shown = slm("survey", "--by", "year").stdout
    assert all(f"({facet.name})" in shown for facet in FACETS if not facet.several)
    assert all(measure.title in shown for measure in MEASURES)


def test_options_choose_among_the_models() -> None:
    everything, some = document("survey"), document("survey", "--in", "paper")
    assert everything["models"] == len(models())
    assert some["models"] == sum(model.paper.v1 for model in models())
    assert "No model" in slm("survey", "--family", "Nobody").stderr
    assert document("survey", "--family", "Nobody") == {"models": 0, "shares": [], "medians": []}


def test_a_facet_has_shares_with_intervals() -> None:
    result = slm("survey", "--facet", "attention", "--by", "year")
    assert "95 %" in result.stderr
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("2022")]
    assert line.split() == ["2022", "MHA", "14", "14", "100%", "[78,", "100]"]


def test_a_measure_has_medians_and_what_is_missing() -> None:
    found = document("survey", "--facet", "tokens", "--by", "year")
    (row,) = [row for row in found if row["period"] == "2019"]
    assert (row["n"], row["missing"], row["median"]) == (0, 4, None)
    assert "–" in slm("survey", "--facet", "tokens", "--by", "year").stdout, "not zero"


@pytest.mark.parametrize("name", [facet.name for facet in FACETS] + [measure.name for measure in MEASURES])
def test_every_facet_prints(name: str) -> None:
    assert slm("survey", "--facet", name, "--by", "year").exit_code == 0
    assert document("survey", "--facet", name, "--by", "year") != []


def test_an_unknown_facet_is_one_line_that_names_those_there_are() -> None:
    assert "'attention'" in wrong("survey", "--facet", "colour")


def test_csv_is_the_json() -> None:
    found, printed = document("survey", "--facet", "norm"), rows("--facet", "norm")
    assert [row["label"] for row in found] == [row["label"] for row in printed]
    assert [float(row["share"]) for row in printed] == [row["share"] for row in found]
    assert {row["facet"] for row in rows()} == {facet.name for facet in FACETS}


def test_the_surveys_figures_are_tallied_and_their_differences_explained() -> None:
    shown = slm("survey", "--paper")
    assert "Explained: " in shown.stdout
    assert "Unexplained: " in shown.stdout
    assert "MobiLlama-0.5B, MobiLlama-1B: counted as GQA, but MHA" in shown.stdout
    assert "readings that fit" in shown.stderr
    found = document("survey", "--paper")
    total = sum(sum(counts.values()) for counts in found["tally"].values())
    assert total == len(found["numbers"]) == len(rows("--paper"))


def test_figures_are_written_with_their_data(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    result = slm("survey", "--facet", "attention", "-o", folder, "--format", "json")
    assert result.stdout.strip() == str(folder)
    assert {path.name for path in folder.iterdir()} == {"attention.json", "attention.csv"}
    assert json.loads((folder / "attention.json").read_text())["$schema"].startswith("https://vega.github.io")


def test_with_paper_the_numbers_are_written_too(tmp_path: Path) -> None:
    slm("survey", "--paper", "--facet", "data", "-o", tmp_path, "--format", "svg")
    assert {path.name for path in tmp_path.iterdir()} == {"data.svg", "data.csv", "reproduction.csv"}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written" in wrong("survey", "--facet", "data", "-o", tmp_path / "file" / "inside")
