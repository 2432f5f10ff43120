"""`slm eval` killed with 9 in the middle of a task: what was answered is kept, and only the rest is asked."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.models.forge import FORGED_KEY
from slm_atlas.store import Store
from slm_atlas.store.records import Run, Sample

from .atlas import copies, slm, started

TASK = ("--task", "smoke_commonsense", "--context", 1024)
FAKE = (*TASK, "--engine", "fake")
REQUESTS = 120
"""Thirty questions with four choices each."""
PATIENCE_S = 120.0


def kept() -> int:
    """Answers on the disk; 0 where there is no store yet."""
    try:
        with closing(sqlite3.connect(f"file:{home.store_path()}?mode=ro", uri=True)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM answer").fetchone()
            return int(count)
    except sqlite3.OperationalError:
        return 0


def measured() -> tuple[list[Run], dict[str, list[Sample]]]:
    with Store(home.store_path()) as store:
        runs = store.runs()
        return list(runs), store.samples_of([run.key for run in runs])


def killed(*command: object, folder: Path) -> int:
    """Kill the command once some, and not all, of its answers are kept; how many are in the end."""
    with started(*command, folder=folder) as process:
        ends = time.monotonic() + PATIENCE_S
        while not kept():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < ends
            time.sleep(0.01)
        process.kill()
    return kept()


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    trained = tmp_path / "trained.gguf"
    trained.write_bytes(tiny_model.read_bytes().replace(FORGED_KEY.encode(), b"slm_atlas.traind"))
    copies(trained, tmp_path, ["slow/m.gguf", "ok/other.gguf"])
    return tmp_path


def test_only_the_rest_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    before = killed("eval", "slow/m.gguf", *FAKE, folder=folder)
    assert 0 < before < REQUESTS
    assert measured() == ([], {})  # the run itself did not end
    assert slm("eval", "slow/m.gguf", *FAKE).exit_code == 0
    (run,), samples = measured()
    assert (run.notes["reused"], kept()) == (before, REQUESTS)
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(folder / "undisturbed"))
    assert slm("eval", "slow/m.gguf", *FAKE).exit_code == 0
    (whole,), expected = measured()
    assert (whole.notes["reused"], samples) == (0, expected)
    assert run.notes["tokens_computed"] < whole.notes["tokens_computed"]


def test_twice_is_once_and_two_models_share_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for _ in range(2):
        assert slm("eval", "ok/other.gguf", *FAKE).exit_code == 0
        (run,), _samples = measured()
        assert (run.notes["reused"], kept()) == (0, REQUESTS)
    with Store(home.store_path()) as store:
        assert len(store.attempts()) == 1
    assert slm("eval", "slow/m.gguf", *FAKE).exit_code == 0
    assert [run.notes["reused"] for run in measured()[0]] == [0, 0]
    assert kept() == 2 * REQUESTS


@pytest.mark.slow
@pytest.mark.engine
def test_a_real_engine_loses_at_most_the_call_in_flight(real_model: Path, eval_rows: Path, tmp_path: Path) -> None:
    task = ("--task", "hellaswag", "--data", eval_rows, "--limit", 150, "--context", 1024)
    before = killed("eval", real_model, *task, folder=tmp_path)
    assert 0 < before < 600  # four choices each
    for _ in range(2):
        assert slm("eval", real_model, *task).exit_code == 0
        (run,), samples = measured()
        assert (run.notes["reused"], kept()) == (before, 600)
    assert len([sample for sample in samples[run.key] if sample.metric == "acc"]) == 150
