"""What is shown while a study runs: lines that stay in a file, one line in place on a terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slm_atlas.bench import BenchSettings, Work
from slm_atlas.cli import progress
from slm_atlas.cli.progress import StudyProgress
from slm_atlas.errors import Outcome
from slm_atlas.store.records import Artifact, RunKind
from slm_atlas.studies import Advanced, Cell, Event, Finished, Remaining, Started, StudyModel, Subject

CLEAR = "\r\x1b[2K"


def cell(replicate: int) -> Cell:
    artifact = Artifact(
        sha256="0", name="Model", model_id=None, origin="", forged=False, architecture="llama", quantization="F16",
        params=1, size_bytes=2, tensor_bytes={},
    )  # fmt: skip
    subject = Subject(
        Path("model.gguf"), artifact, Work(decode_bytes=1, flops_per_token=1), StudyModel(model="model.gguf")
    )
    return Cell(str(replicate), RunKind.BENCH, subject, BenchSettings(), {}, replicate)


EVENTS: list[Event] = [
    Started(cell(0), 0, 2, Remaining(0.0, complete=False), cell(1)),
    Finished(cell(0), Outcome.OK, None, 1.5),
    Started(cell(1), 1, 2, Remaining(1.5, complete=True), None),
    Advanced(3, 9),
    Finished(cell(1), Outcome.CRASHED, "it died", 2.0),
]


def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("COLUMNS", "200")
    with StudyProgress() as listener:
        listener.preparing("Model", 512, 1024)
        listener.say("Two runs to do.")
        for event in EVENTS:
            listener(event)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_a_file_gets_a_line_a_run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(capsys, monkeypatch, terminal=False).splitlines() == [
        "Two runs to do.",
        "[1/2] Model F16: run 1  1.5 s",
        "[2/2] Model F16: run 2  2 s  CRASHED: it died",
    ]


def test_a_terminal_shows_what_runs_what_is_next_and_the_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    found = shown(capsys, monkeypatch, terminal=True)
    lines = found.split(CLEAR)
    assert any("preparing Model: 512 B of 1.0 KiB" in line for line in lines)
    assert any(line.endswith("[1/2] Model F16: run 1; next: Model F16: run 2") for line in lines)
    assert any(line.endswith("[2/2] Model F16: run 2, about 1.5 s left") for line in lines)
    assert any(line.endswith("run 2: 3 of 9 requests") for line in lines)
    assert found.endswith(CLEAR)  # nothing is left over
    assert [line for line in lines if line.endswith("\n")] == [
        "Two runs to do.\n",
        "[1/2] Model F16: run 1  1.5 s\n",
        "[2/2] Model F16: run 2  2 s  CRASHED: it died\n",
    ]


def test_what_is_not_known_makes_it_at_least(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    StudyProgress()(Started(cell(0), 0, 2, Remaining(90.0, complete=False), None))
    assert capsys.readouterr().err.endswith("run 1, at least 1 min 30 s left")


def test_a_line_never_wraps(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    StudyProgress().preparing("m" * 100)
    assert len(capsys.readouterr().err.removeprefix(CLEAR)) == 39


def test_what_changes_often_is_drawn_a_few_times_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with StudyProgress() as listener:
        for done in range(10_000):
            listener.preparing("Model", done, 10_000)
    assert 1 <= capsys.readouterr().err.count("preparing") < 1000
