"""`slm profile`: shares on stdout, what timing cost on stderr, and pictures and traces where they are asked for."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from slm_atlas.bench import Ceilings
from slm_atlas.cli import profile
from slm_atlas.engines import Engine, Worker
from slm_atlas.engines.fake import DECODE_S, NODES, PREFILL_S_PER_TOKEN, PROFILED, Fake
from slm_atlas.studies import measuring

from .atlas import copies, document, slm, tables, wrong

FAKE = ("--engine", "fake", "--runs", 1)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake engine runs in this process, on a machine whose speed is known."""

    def start(engine: str = "llamacpp", **limits: Any) -> Engine:
        return Fake() if engine == "fake" else Worker(engine, **limits)

    monkeypatch.setattr(profile, "Worker", start)
    monkeypatch.setattr(profile, "measure_ceilings", lambda _: Ceilings(read_bytes_per_s=1e10, flops=1e11))


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
    assert f"prefill took {PROFILED:.2f} times and decode {PROFILED:.2f} times" in result.stderr
    assert "[1/1] Tiny" in result.stderr


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
        "profile-parts.svg",
        "profile-parts.csv",
        "profile-operators.svg",
        "profile-operators.csv",
        "profile.csv",
    }


def test_what_cannot_be_is_told_in_a_line(tiny_model: Path, tmp_path: Path) -> None:
    assert "650 tokens do not fit a context of 512" in wrong("profile", tiny_model, *FAKE, "--prompt", 600)
    assert "1050 tokens do not fit" in wrong("profile", tiny_model, *FAKE, "--depth", 1000)
    assert "cannot be written as figure.pdf" in wrong("profile", tiny_model, *FAKE, "--plot", "figure.pdf")
    assert "is a file with a quantization" in wrong("profile", tiny_model, *FAKE, "--quant", "Q8_0")
    assert "There is no file" in wrong("profile", tmp_path / "none.gguf", *FAKE)
    with measuring():
        assert "Another measurement is running" in wrong_last("profile", tiny_model, *FAKE)


def wrong_last(*args: object) -> str:
    """The last line of what a command says that measures before it fails."""
    result = slm(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr.splitlines()[-1]


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
