"""`slm eval`: scores of a task each, and a word on what they are worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.evals import suite
from slm_atlas.models.forge import FORGED_KEY
from slm_atlas.store import Store

from .atlas import copies, document, slm, wrong

FAKE = ("--engine", "fake", "--limit", 1, "--context", 1024)


@pytest.fixture
def trained(tiny_model: Path, tmp_path: Path) -> Path:
    """A file that does not say it was forged."""
    path = tmp_path / "trained.gguf"
    path.write_bytes(tiny_model.read_bytes().replace(FORGED_KEY.encode(), b"slm_atlas.traind"))
    return path


def test_scores_are_shown_task_by_task_and_marked(trained: Path) -> None:
    result = slm("eval", trained, *FAKE)
    assert result.exit_code == 0
    for task in suite("smoke").tasks:
        assert task.name in result.stdout
    assert "Prefill" not in result.stdout  # no cost was measured, so none is shown as missing
    assert "not comparable with published ones" in result.stderr
    (row,) = document("eval", trained, *FAKE)["rows"]
    assert set(row["scores"]) == {task.name for task in suite("smoke").tasks}


def test_random_weights_have_no_scores_and_it_is_said(tiny_model: Path) -> None:
    result = slm("eval", tiny_model, *FAKE)
    assert "Random weights can do nothing" in result.stderr
    (row,) = document("eval", tiny_model, *FAKE)["rows"]
    assert row["scores"] == {}


def test_a_model_of_the_catalogue_is_not_forged_for_nothing(own_home: Path) -> None:
    assert "random weights" in wrong("eval", "smollm-135m", *FAKE)
    assert not (own_home / "models").exists()


def test_another_precision_is_another_result_of_the_same_file(trained: Path, own_home: Path) -> None:
    slm("eval", trained, *FAKE)
    (row,) = document("eval", trained, *FAKE, "--compute", "f16")["rows"]
    assert row["compute"] == "f16"
    assert row["scores"]
    with Store(home.store_path()) as store:
        runs = store.runs()
        assert len({run.artifact for run in runs}) == 1 == len(store.artifacts())
        computes = {run.settings.get("compute") for run in runs}
    assert computes == {None, "f16"}
    assert list((own_home / "models" / "requantized").glob("*-F16.gguf"))
    assert "in f16" in slm("eval", trained, *FAKE, "--compute", "f16").stdout
    listed = [row["compute"] for row in document("results", "list")["rows"]]
    assert listed == [None, "f16"]


def test_auto_says_what_it_chose_and_keeps_to_it(trained: Path, own_home: Path) -> None:
    first = slm("eval", trained, *FAKE, "--compute", "auto")
    assert "computed as stored (512 tokens take 512 ms native, 512 ms in bf16, 512 ms in f16)" in first.stderr
    assert not list((own_home / "models" / "requantized").glob("*.gguf"))
    with Store(home.store_path()) as store:
        assert {run.notes["compute"]["compute"] for run in store.runs()} == {"native"}
    again = slm("eval", trained, *FAKE, "--compute", "auto")
    assert "all was measured before" in again.stderr


def test_wrong_input_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    assert "no suite 'smok'" in wrong("eval", tiny_model, "--suite", "smok")
    assert "slm models list" in wrong("eval", "smollm-136m")
    assert "no file" in wrong("eval", tmp_path / "no.gguf", *FAKE)


def test_two_models_end_with_how_they_differ_on_the_same_items(tiny_model: Path, tmp_path: Path) -> None:
    marked = tmp_path / "trained.gguf"
    marked.write_bytes(tiny_model.read_bytes().replace(FORGED_KEY.encode(), b"slm_atlas.traind"))
    one, other = copies(marked, tmp_path, ["one.gguf", "other.gguf"])
    result = slm("eval", one, other, *FAKE)
    assert result.exit_code == 0
    last = result.stdout.strip().split("\n\n")[-1]
    assert last.startswith("Same items")
    assert last.count("indistinguishable") == len(suite("smoke").tasks)
    said = document("eval", one, other, *FAKE)["capability"]
    assert {pair["verdict"] for pair in said["pairs"]} == {"indistinguishable"}


def test_a_budget_says_what_each_task_gets_and_chooses_the_same_again(trained: Path) -> None:
    asked = ("eval", trained, "--engine", "fake", "--context", 1024, "--budget", "1h")
    first, second = slm(*asked), slm(*asked)
    for result in (first, second):
        assert "smoke_reading: 30 of 30 items, an interval of at most 16.8 points to each side." in result.stderr
    assert "Trying 4 items" in first.stderr
    assert "Trying 4 items" not in second.stderr
    assert "all was measured before" in second.stderr
    assert "--budget and --limit" in wrong("eval", trained, *FAKE, "--budget", "1h")


def test_a_plot_needs_several_numbers_of_worked_examples(trained: Path, tmp_path: Path) -> None:
    assert "icl.gif: a figure is written as .svg" in wrong("eval", trained, *FAKE, "--plot", tmp_path / "icl.gif")
    result = slm("eval", trained, *FAKE, "--plot", tmp_path / "icl.svg")
    assert (result.exit_code, "--suite icl" in result.stderr) == (2, True)


def test_worked_examples_are_drawn(trained: Path, tmp_path: Path, eval_rows: Path) -> None:
    path, shots = tmp_path / "icl.svg", ("--task", "piqa", "--task", "piqa_1shot", "--data", eval_rows)
    result = slm("eval", trained, *FAKE, *shots, "--plot", path)
    assert result.exit_code == 0, result.output
    assert path.read_text().startswith("<svg")
    assert "In context" in result.stdout
