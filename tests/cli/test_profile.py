"""`slm profile`: shares on stdout, what timing cost on stderr, and pictures and traces where they are asked for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.engines.fake import DECODE_S, NODES, PREFILL_S_PER_TOKEN, PROFILED
from slm_atlas.errors import Outcome
from slm_atlas.store import RunKind, Store
from slm_atlas.studies import measuring

from .atlas import copies, document, slm, tables, write_study, wrong

FAKE = ("--engine", "fake", "--runs", 1)


def test_tables_are_by_part_and_by_operator(tiny_model: Path) -> None:
    result = slm("profile", tiny_model, *FAKE)
    assert result.exit_code == 0
    parts, operators = tables(result.stdout)
    assert [line.split()[0] for line in parts[1:]] == ["embedding", "attention", "ffn", "norm", "lm_head", "all"]
    assert "Tiny (random weights) Q4_K_M" in result.stdout.splitlines()[0] or "Tiny Q4_K_M" in result.stdout
    assert operators[1].split()[0] == "MUL_MAT"
    ffn = next(line.split() for line in parts if line.startswith("ffn"))
    assert ffn[1] == "50.0%"
    assert float(ffn[2]) == pytest.approx(1e3 * 50 * PREFILL_S_PER_TOKEN / 2)
    assert f"prefill {PROFILED:.2f} times and decode {PROFILED:.2f} times" in result.stderr
    assert "[1/1] Tiny Q4_K_M: profile 1" in result.stderr
    assert "percent of 100 GFLOP/s and 10 GB/s, as numpy reaches here" in result.stderr


def test_json_is_one_document(tiny_model: Path) -> None:
    (found,) = document("profile", tiny_model, *FAKE, "--prompt", 8, "--generate", 4)
    assert found["prefill"]["plain_s"]["value"] == pytest.approx(8 * PREFILL_S_PER_TOKEN)
    assert found["decode"]["plain_s"]["value"] == DECODE_S
    assert sum(line["share"]["value"] for line in found["decode"]["operators"]) == pytest.approx(1)
    ffn = next(line for line in found["decode"]["parts"] if line["label"] == "ffn")
    assert ffn["of_flops"] == pytest.approx(1e6 / (DECODE_S / 2) / 1e11)


def test_csv_goes_down_to_the_nodes(tiny_model: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(slm("profile", tiny_model, *FAKE, "--csv").stdout)))
    nodes = [row for row in rows if (row["phase"], row["by"]) == ("prefill", "node")]
    assert len(nodes) == len(NODES) - 1  # views are left out
    assert nodes[0]["label"] == "ffn: MUL_MAT ffn_gate (f32)"
    assert {row["low"] for row in rows} == {""}  # of one process there is no interval


def test_intervals_from_three_processes_on(tiny_model: Path, tmp_path: Path) -> None:
    result = slm("profile", *copies(tiny_model, tmp_path, ["a.gguf", "b.gguf"]), "--engine", "fake")
    assert "50.0% [50.0, 50.0]" in result.stdout
    assert "[6/6]" in result.stderr


def test_a_trace_is_json_whose_times_go_on(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "new" / "trace.json"
    assert slm("profile", tiny_model, *FAKE, "--trace", path).exit_code == 0
    events = [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert {event["pid"] for event in events} == {1, 2}
    for process in (1, 2):
        times = [event["ts"] for event in events if event["pid"] == process]
        assert len(times) == len(NODES) - 1
        assert times == sorted(times)
    assert all(event["dur"] > 0 for event in events)


def test_pictures_are_written(tiny_model: Path, tmp_path: Path) -> None:
    plot, folder = tmp_path / "a.svg", tmp_path / "figures"
    slm("profile", tiny_model, *FAKE, "--plot", plot, "-o", folder, "--paper")
    assert plot.read_text().startswith("<svg")
    assert {path.name for path in folder.iterdir()} == {
        "fig10a.svg",
        "fig10a.csv",
        "operators.svg",
        "operators.csv",
        "fig10b.svg",
        "fig10b.csv",
        "profile.csv",
    }


def test_a_profile_is_kept_and_not_made_twice(tiny_model: Path, tmp_path: Path) -> None:
    once = document("profile", tiny_model, *FAKE)
    again = slm("profile", tiny_model, *FAKE, "--json", "--trace", tmp_path / "trace.json")
    assert json.loads(again.stdout) == once
    assert "all was measured before" in again.stderr
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    with Store(home.store_path()) as store:
        assert [(run.kind, run.outcome) for run in store.runs()] == [(RunKind.PROFILE, Outcome.OK)]
    more = document("profile", tiny_model, "--engine", "fake", "--runs", 3)
    assert more[0]["n_runs"] == 3


def test_a_study_with_profiles_shows_them_and_draws_them(tiny_model: Path, tmp_path: Path) -> None:
    path = write_study(tmp_path, [tiny_model], runs=1)
    path.write_text("profile_runs = 2\n" + path.read_text())
    result = slm("study", "run", path, "--engine", "fake")
    assert result.exit_code == 0
    assert "Where time goes" in result.stdout
    assert "2 of 2 runs" not in result.stderr
    assert "3 of 3 runs to do" in result.stderr
    report = home.reports_dir() / "mine"
    assert (report / "figures" / "fig10a.csv").is_file()
    assert "Where their time goes" in (report / "index.html").read_text()
    found = document("study", "run", path, "--engine", "fake", "--no-report")
    assert [len(found["rows"]), len(found["profiles"])] == [1, 1]


def test_what_is_known_of_a_model_travels(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = document("profile", tiny_model, *FAKE)
    slm("results", "export", tmp_path / "all.jsonl")
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path / "elsewhere"))
    slm("results", "merge", tmp_path / "all.jsonl")
    assert document("results", "list")["profiles"] == once
    key = document("results", "list", "--runs")[0]["key"]
    shown = slm("results", "show", key[:12]).stdout
    assert "decode: ffn: MUL_MAT ffn_gate (f32)" in shown
    assert "prefill_s" in shown
    missing = slm("profile", tiny_model, *FAKE, "--trace", tmp_path / "t.json")
    assert "its trace is not kept on this machine" in missing.stderr


def test_one_failing_model_does_not_end_the_others(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copies(tiny_model, tmp_path, ["noprofile/m.gguf", "good.gguf"])
    result = slm("profile", "noprofile/m.gguf", "good.gguf", *FAKE, "-o", tmp_path / "figures")
    assert result.exit_code == 0
    assert result.stdout.count("decode of a token at depth 50") == 2
    assert "Tiny: refused: the fake engine cannot time the parts of this model" in result.stderr
    assert (tmp_path / "figures" / "fig10a.svg").is_file()
    again = slm("profile", "noprofile/m.gguf", "good.gguf", *FAKE, "--retry-failed")
    assert "1 of 2 runs to do" in again.stderr


def test_what_cannot_be_is_told_in_a_line(tiny_model: Path, tmp_path: Path) -> None:
    assert "650 tokens do not fit a context of 512" in wrong("profile", tiny_model, *FAKE, "--prompt", 600)
    assert "1100 tokens do not fit" in wrong("profile", tiny_model, *FAKE, "--depth", 1000)
    assert "figure.pdf: a figure is written as .svg" in wrong("profile", tiny_model, *FAKE, "--plot", "figure.pdf")
    assert "There is no file" in wrong("profile", tmp_path / "none.gguf", *FAKE)
    with measuring():
        result = slm("profile", tiny_model, *FAKE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Another measurement is running" in result.stderr.splitlines()[-1]
    server = slm("profile", "endpoint:m@http://127.0.0.1:1/v1")
    assert server.exit_code == 2
    assert "A server does not tell where the time goes" in server.stderr


@pytest.mark.parametrize(
    ("folder", "cause"),
    [("refuse", "refuses to load this model"), ("noprofile", "cannot time the parts of this model")],
)
def test_an_engine_that_refuses_is_told(
    folder: str, cause: str, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copies(tiny_model, tmp_path, [f"{folder}/m.gguf"])
    result = slm("profile", f"{folder}/m.gguf", *FAKE)
    assert result.exit_code == 1
    assert cause in result.stderr.splitlines()[-1]
    with Store(home.store_path()) as store:
        assert [run.outcome for run in store.runs()] == [Outcome.REFUSED]
