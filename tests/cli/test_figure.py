"""`slm figure`: the list, a figure in words and as files, two machines in one store, and bad input."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.report.registry import ENTRIES, SURVEY
from slm_atlas.store.faults import read_bytes
from slm_atlas.store.reference import reference_names, reference_path

from .atlas import document, slm, wrong

REFERENCE = reference_names()[0]


def test_the_list_says_what_each_figure_can_show_here() -> None:
    found = {each["id"]: each for each in document("figure", "list")}
    assert list(found) == [each.id for each in ENTRIES]
    assert found["fig2a"]["data"] == ["mine", "paper", "both"]
    assert found["fig7"]["data"] == ["paper"]
    assert found["latency"]["data"] == []
    shown = slm("figure").stdout
    assert all(each.id in shown for each in SURVEY)
    assert "slm study run paper-runtime" in shown
    assert not home.store_path().exists(), "looking makes no store"


@pytest.mark.usefixtures("reference")
def test_the_reference_results_stand_beside_the_survey(tmp_path: Path) -> None:
    found = {each["id"]: each["data"] for each in document("figure", "list")}
    assert found["fig7"] == ["mine", "paper", "both"]
    files = [tmp_path / f"fig7.{ending}" for ending in ("svg", "png", "csv", "json")]
    result = slm("figure", "fig7", "--data", "both", *(part for path in files for part in ("-o", path)))
    assert result.stdout.split() == [str(path) for path in files]
    assert files[0].read_text().startswith("<svg")
    assert files[1].read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(files[2].read_text().splitlines()))
    assert {row["source"] for row in rows} == {"here", "the survey, on a Jetson Orin NX"}
    assert json.loads(files[3].read_text())["$schema"].startswith("https://vega.github.io")


def test_in_words_it_says_what_one_sees() -> None:
    shown = slm("figure", "fig9", "--data", "paper").stdout
    assert "undone, a token takes 80 ms throughout" in shown
    assert "slm results merge" in slm("figure", "fig9").stdout, "how to have one's own"
    assert document("figure", "fig6b")["rows"]


def test_two_machines_in_one_store_are_figure_9(tmp_path: Path, reference: None) -> None:
    assert "slm results merge" in wrong("figure", "fig9", "--data", "mine")
    other = tmp_path / "other.jsonl"
    other.write_text(
        "".join(f"{line}\n" for line in map(elsewhere, read_bytes(reference_path(REFERENCE)).decode().splitlines()))
    )
    assert slm("results", "merge", other).exit_code == 0
    found = document("figure", "fig9", "--data", "mine")
    assert len({row["machine"] for row in found["rows"]}) == 2
    assert "in prefill 2.0 times and in decode 2.0 times" in found["caption"]


def elsewhere(line: str) -> str:
    """A line of an export as another machine, half as fast, would have written it."""
    record = json.loads(line)
    if "host" in record:
        record["host"] |= {"id": "0123456789ab", "cpu": "Another CPU"}
    if "run" in record:
        record["run"] |= {"host": "0123456789ab", "key": record["run"]["key"][::-1]}
        for sample in record["samples"]:
            if sample["metric"] in ("prefill_s", "decode_s"):
                sample["value"] *= 2
    return json.dumps(record)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("fig7", "--data", "mine"), "slm study run paper-runtime"),
        (("fig2",), "fig2a and fig2b"),
        (("fig99",), "slm figure list"),
        (("fig1", "-o", "a.pdf"), ".svg"),
        (("latency", "--data", "paper"), "--data mine"),
        (("fig1", "--width", "10"), "300"),
        (("list", "-o", "a.svg"), "Which figure?"),
    ],
)
def test_bad_input_is_one_line(given: tuple[str, ...], said: str) -> None:
    assert said in wrong("figure", *given)


def test_a_wrong_ending_among_several_leaves_nothing(tmp_path: Path) -> None:
    wrong("figure", "fig1", "-o", tmp_path / "a.svg", "-o", tmp_path / "a.gif")
    (tmp_path / "file").touch()
    assert "cannot be written" in wrong("figure", "fig1", "-o", tmp_path / "file" / "a.svg")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["file"]


def test_a_phone_s_width_and_a_dark_ground(tmp_path: Path) -> None:
    slm("figure", "fig4", "--width", 360, "--theme", "dark", "-o", tmp_path / "a.svg")
    picture = (tmp_path / "a.svg").read_text()
    width = float(picture.partition('width="')[2].partition('"')[0])
    assert 300 < width <= 400
    assert "#14171a" in picture
