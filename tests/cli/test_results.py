"""`slm results`: what was measured is listed, shown, carried out and carried in."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.store import reference_names

from .atlas import copies, document, slm, tables, write_study, wrong


@pytest.fixture(scope="module")
def measured_home(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two runs of a model that works, and two of one that does not."""
    folder = tmp_path_factory.mktemp("measured")
    names = ["good/m.gguf", "refuse/m.gguf"]
    copies(tiny_model, folder, names)
    path = write_study(folder, names)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv(home.ENVIRONMENT_VARIABLE, str(folder / "home"))
        assert slm("study", "run", path, "--engine", "fake", "--no-report").exit_code == 0
    return folder / "home"


@pytest.fixture
def measured(measured_home: Path, own_home: Path) -> list[str]:
    """The keys of those runs, in this test's own home."""
    shutil.copytree(measured_home, own_home)
    return [run["key"] for run in document("results", "list", "--runs")]


def test_nothing_measured_is_said_and_is_no_error() -> None:
    result = slm("results", "list")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "slm study run quick" in result.stderr
    assert document("results", "list") == []
    assert document("results", "list", "--runs") == []


def test_the_list_has_a_line_a_model_and_tells_causes(measured: list[str]) -> None:
    result = slm("results", "list")
    lines, memory = tables(result.stdout)
    assert (len(lines), len(memory)) == (2, 1)  # what failed has no memory to show
    assert "2 x refused: the fake engine refuses to load this model" in result.stderr
    assert {row["n_runs"] for row in document("results", "list")} == {0, 2}


def test_the_list_of_runs_has_a_line_a_run(measured: list[str]) -> None:
    lines = slm("results", "list", "--runs").stdout.splitlines()[2:]
    assert [line.split()[0] for line in lines] == [key[:12] for key in measured]
    assert sum("refuses" in line for line in lines) == 2


def test_a_run_is_shown_by_the_beginning_of_its_key(measured: list[str]) -> None:
    runs = {run["key"]: run for run in document("results", "list", "--runs")}
    good = next(key for key in measured if runs[key]["outcome"] == "ok")
    result = slm("results", "show", good[:10])
    for words in ("Tiny Q4_K_M, bench", good, "n_prompt", "decode_s", "0.01", "granted"):
        assert words in result.stdout
    found = document("results", "show", good[:10])
    assert found["run"] == runs[good]
    assert {sample["metric"] for sample in found["samples"]} >= {"prefill_s", "decode_s", "peak_rss_bytes"}


def test_a_run_that_failed_is_shown_without_samples(measured: list[str]) -> None:
    runs = {run["key"]: run for run in document("results", "list", "--runs")}
    bad = next(key for key in measured if runs[key]["outcome"] == "refused")
    result = slm("results", "show", bad)
    assert "the fake engine refuses" in result.stdout
    assert "Metric" not in result.stdout


def test_a_key_must_be_known_and_name_one_run(measured: list[str]) -> None:
    assert "No run has a key that begins with 'xyz'" in wrong("results", "show", "xyz")
    assert "4 runs have" in wrong("results", "show", "")


def test_an_export_read_elsewhere_is_the_same(
    measured: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = slm("results", "export", tmp_path / "all.jsonl")
    assert (result.exit_code, result.stdout) == (0, "")
    here, runs = document("results", "list"), document("results", "list", "--runs")
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path / "elsewhere"))
    assert document("results", "merge", tmp_path / "all.jsonl") == {"artifacts": 2, "hosts": 1, "runs": 4, "conflicts": []}
    assert document("results", "list") == here
    assert document("results", "list", "--runs") == runs
    assert "0 runs added" in slm("results", "merge", tmp_path / "all.jsonl").stderr


def test_a_csv_has_a_line_a_sample(measured: list[str], tmp_path: Path) -> None:
    slm("results", "export", tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["key"] for row in rows} == set(measured)
    assert sum(row["metric"] == "decode_s" for row in rows) == 2 * 2


def test_wrong_files_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.jsonl").write_text("no json\n")
    assert ".jsonl, .parquet or .csv" in wrong("results", "export", tmp_path / "all.xlsx")
    assert "broken.jsonl is no store" in wrong("results", "merge", tmp_path / "broken.jsonl")
    (tmp_path / "cut.jsonl").write_text('{"record": "run", "run"')
    assert "cut.jsonl:1" in wrong("results", "merge", tmp_path / "cut.jsonl")
    assert "cannot be read" in wrong("results", "merge", tmp_path / "no.jsonl")


RECORDED = Path(__file__).parents[1] / "store" / "data" / "llama_bench.json"


def test_what_llama_bench_measured_stands_beside_ours(measured: list[str]) -> None:
    assert document("results", "merge", RECORDED) == {"artifacts": 1, "hosts": 1, "runs": 3, "conflicts": []}
    assert len(document("results", "list", "--runs")) == len(measured) + 3
    listed = slm("results", "list").stdout
    assert "engine llama-bench" in listed
    key = next(run["key"] for run in document("results", "list", "--runs") if run["settings"]["n_prompt"] == 32)
    assert "prefill_s" in slm("results", "show", key).stdout


def test_llama_bench_on_a_file_of_ours_is_a_result_of_that_file(tiny_model: Path, tmp_path: Path) -> None:
    tests = [test | {"model_filename": str(tiny_model)} for test in json.loads(RECORDED.read_text())]
    (tmp_path / "theirs.json").write_text(json.dumps(tests))
    slm("results", "merge", tmp_path / "theirs.json")
    assert {row["name"] for row in document("results", "list")} == {"Tiny"}


def test_a_reference_that_comes_with_the_package_is_imported_once() -> None:
    (name,) = reference_names()
    added = document("results", "merge", f"builtin:{name}")
    assert added["runs"] >= 165, "55 shapes of the survey, three runs each"
    assert document("results", "merge", f"builtin:{name}") == {"artifacts": 0, "hosts": 0, "runs": 0, "conflicts": []}
    rows = document("results", "list")
    assert {row["name"] for row in rows} >= {"Phi-2", "Gemma-2B", "MiniCPM3-4B"}


def test_a_reference_that_is_not_there_is_told_with_those_that_are() -> None:
    assert f"builtin:{reference_names()[0]}" in wrong("results", "merge", "builtin:mine")
