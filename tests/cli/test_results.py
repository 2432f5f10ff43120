"""`slm results`: what was measured is listed, shown, carried out and carried in."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import yaml

from slm_atlas import home
from slm_atlas.store import RunKind, Sample, Store, reference_names
from store.facts import ARTIFACT, HOST, run

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
    nothing: dict[str, list[object]] = {"models": [], "pairs": [], "learning": []}
    assert document("results", "list") == {"rows": [], "profiles": [], "capability": nothing}
    assert document("results", "list", "--runs") == []


def test_the_list_has_a_line_a_model_and_tells_causes(measured: list[str]) -> None:
    result = slm("results", "list")
    lines, memory = tables(result.stdout)
    assert (len(lines), len(memory)) == (2, 1)  # what failed has no memory to show
    assert "2 x refused: the fake engine refuses to load this model" in result.stderr
    assert {row["n_runs"] for row in document("results", "list")["rows"]} == {0, 2}


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
    added = {"artifacts": 2, "hosts": 1, "runs": 4, "conflicts": []}
    assert document("results", "merge", tmp_path / "all.jsonl") == added
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
    assert ".jsonl, .jsonl.gz, .parquet, .csv" in wrong("results", "export", tmp_path / "all.xlsx")
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
    assert {row["name"] for row in document("results", "list")["rows"]} == {"Tiny"}


def test_a_reference_that_comes_with_the_package_is_imported_once() -> None:
    (name,) = reference_names()
    added = document("results", "merge", f"builtin:{name}")
    assert added["runs"] >= 165, "55 shapes of the survey, three runs each"
    assert document("results", "merge", f"builtin:{name}") == {"artifacts": 0, "hosts": 0, "runs": 0, "conflicts": []}
    listed = document("results", "list")
    assert {row["name"] for row in listed["rows"]} >= {"Phi-2", "Gemma-2B", "MiniCPM3-4B"}
    assert all({"artifact", "metrics", "scores"} <= row.keys() for row in listed["rows"])
    assert all({"artifact", "prefill", "decode"} <= each.keys() for each in listed["profiles"])
    assert listed["capability"]["learning"]


def test_a_reference_that_is_not_there_is_told_with_those_that_are() -> None:
    assert f"builtin:{reference_names()[0]}" in wrong("results", "merge", "builtin:mine")


def test_stores_of_two_devices_are_joined_and_contradictions_listed(
    measured: list[str], own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slm("results", "export", tmp_path / "mine.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    changed = next(line for line in lines if line["record"] == "run" and line["samples"])
    changed["samples"][0]["value"] += 1
    next(line for line in lines if line["record"] == "host")["host"]["cores"] += 1
    (tmp_path / "theirs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    before = slm("results", "cite").stdout
    result = slm("results", "merge", tmp_path / "theirs.jsonl")
    assert result.exit_code == 1
    assert "2 contradictions" in result.stderr
    assert changed["run"]["key"][:12] in result.stdout
    as_json = slm("results", "merge", tmp_path / "theirs.jsonl", "--json")
    assert as_json.exit_code == 1
    assert [found["kind"] for found in json.loads(as_json.stdout)["conflicts"]] == ["host", "run"]
    assert slm("results", "cite").stdout == before, "nothing was overwritten"
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path / "elsewhere"))
    added = document("results", "merge", own_home / "atlas.sqlite")
    assert added == {"artifacts": 2, "hosts": 1, "runs": 4, "conflicts": []}
    assert slm("results", "cite").stdout == before
    assert "this store itself" in wrong("results", "merge", tmp_path / "elsewhere" / "atlas.sqlite")


def test_a_citation_names_the_data_of_a_store_and_of_its_export_alike(measured: list[str], tmp_path: Path) -> None:
    slm("results", "export", tmp_path / "all.jsonl")
    found = document("results", "cite")
    assert found == document("results", "cite", tmp_path / "all.jsonl")
    assert (found["runs"], found["files"]) == (4, 2)
    assert found["data_sha256"] in slm("results", "cite").stdout
    assert "@misc{" in slm("results", "cite", "--bibtex").stdout
    (tmp_path / "notes.txt").write_text("mine")
    assert "neither a store nor an export" in wrong("results", "cite", tmp_path / "notes.txt")


def test_nothing_measured_has_no_citation() -> None:
    assert "slm study run quick" in wrong("results", "cite")


def test_parquet_holds_what_csv_holds(measured: list[str], tmp_path: Path) -> None:
    slm("results", "export", tmp_path / "all.parquet")
    slm("results", "export", tmp_path / "all.csv")
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    typed = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert [(row["key"], row["metric"]) for row in typed] == [(row["key"], row["metric"] or None) for row in rows]


def evaluated(own_home: Path, *, forged: bool = False, suite: str = "lm-eval") -> None:
    """A model that was evaluated on one task, in this test's home."""
    artifact = msgspec.structs.replace(ARTIFACT, forged=forged)
    settings = {"task": "arc_easy", "suite": suite, "lm_eval_task": "arc_easy", "metric": "acc", "shots": 0}
    settings |= {"items": 4, "data": "folder", "lm_eval": "0.4.13", "task_version": "1.0"}
    of_items = [Sample(metric="acc", index=i, value=float(i > 0), item=str(i)) for i in range(4)]
    with Store(own_home / "atlas.sqlite") as store:
        store.add_artifact(artifact)
        store.add_host(HOST)
        store.record(run("a", kind=RunKind.EVAL, engine="llamacpp | x 1", settings=settings), of_items)


def test_scores_become_files_for_a_repository(own_home: Path, tmp_path: Path) -> None:
    evaluated(own_home)
    result = slm("results", "hub", ARTIFACT.name, "--output", tmp_path / "card")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        str(tmp_path / "card" / ".eval_results" / "arc_easy.yaml"),
        str(tmp_path / "card" / "model-index.yaml"),
    ]
    (found,) = yaml.safe_load((tmp_path / "card" / ".eval_results" / "arc_easy.yaml").read_text())
    assert found["dataset"] == {"id": "allenai/ai2_arc", "task_id": "arc_easy"}
    assert found["value"] == 75.0
    (result_of,) = yaml.safe_load((tmp_path / "card" / "model-index.yaml").read_text())["model-index"]
    assert result_of["results"][0]["dataset"]["config"] == "ARC-Easy"
    assert "cannot be written" in wrong("results", "hub", ARTIFACT.name, "--output", own_home / "atlas.sqlite" / "x")


@pytest.mark.parametrize(
    ("made", "words"), [({"forged": True}, "random weights"), ({"suite": "smoke"}, "can be compared with published")]
)
def test_random_weights_and_the_smoke_suite_are_never_published(
    own_home: Path, tmp_path: Path, made: dict[str, Any], words: str
) -> None:
    evaluated(own_home, **made)
    assert words in wrong("results", "hub", ARTIFACT.name, "--output", tmp_path / "card")
    assert not (tmp_path / "card").exists()


def test_a_model_that_was_not_evaluated_is_one_line() -> None:
    assert "No model called 'nobody'" in wrong("results", "hub", "nobody")
