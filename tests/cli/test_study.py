"""`slm study`: run, status and list; and that a study goes on after whatever ended it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from slm_atlas import home
from slm_atlas.store import Store
from slm_atlas.store.records import Sample

from .atlas import copies, document, slm, started, tables, write_study, wrong

MODELS, RUNS = 2, 2
CELLS = MODELS * RUNS


class Measured(NamedTuple):
    """What a study left: samples by run, and how often each run was made."""

    samples: dict[str, list[Sample]]
    attempts: int


@pytest.fixture
def mine(tiny_model: Path, tmp_path: Path) -> Path:
    """A study of two files."""
    return write_study(tmp_path, copies(tiny_model, tmp_path, ["a.gguf", "b.gguf"]), runs=RUNS)


def left(folder: Path) -> Measured:
    with Store(folder / home.store_path().name) as store:
        attempts = store.attempts()
    return Measured({attempt.run.key: attempt.samples for attempt in attempts}, len(attempts))


def finished_lines(process: subprocess.Popen[str], count: int) -> None:
    """Wait until so many runs are told to have finished."""
    assert process.stderr is not None
    seen = 0
    while seen < count:
        line = process.stderr.readline()
        assert line, "it ended before"
        seen += line.startswith("[")


# ---- run, status, list --------------------------------------------------------------------------------------------


def test_a_study_is_run_and_reported(mine: Path, own_home: Path) -> None:
    result = slm("study", "run", mine, "--engine", "fake")
    assert result.exit_code == 0
    assert [len(lines) for lines in tables(result.stdout)] == [MODELS, MODELS]
    lines = result.stderr.splitlines()
    assert lines[0] == f"My study: {CELLS} of {CELLS} runs to do."
    assert [line.split()[0] for line in lines if line.startswith("[")][-1] == f"[{CELLS}/{CELLS}]"
    report = own_home / "reports" / "mine" / "index.html"
    assert lines[-1] == f"The report: {report}"
    assert "My study" in report.read_text()
    assert "Tiny" in (report.parent / "tables" / "costs.md").read_text()


def test_json_is_what_belongs_to_the_study_and_the_report_can_be_left_out(
    mine: Path, tiny_model: Path, own_home: Path
) -> None:
    slm("bench", tiny_model, "--engine", "fake", "--runs", 1)
    rows = document("study", "run", mine, "--engine", "fake", "--no-report")["rows"]
    assert [row["n_runs"] for row in rows] == [RUNS] * MODELS
    assert len(document("results", "list")["rows"]) == MODELS + 1
    assert not (own_home / "reports").exists()


def test_the_status_is_told_run_by_run(mine: Path) -> None:
    before = document("study", "status", mine, "--engine", "fake")
    assert [run["outcome"] for run in before] == [None] * CELLS
    slm("study", "run", mine, "--engine", "fake", "--no-report")
    after = document("study", "status", mine, "--engine", "fake")
    assert [run["outcome"] for run in after] == ["ok"] * CELLS
    assert [run["key"] for run in after] == [run["key"] for run in before]
    shown = slm("study", "status", mine, "--engine", "fake")
    assert [line.split()[-1] for line in shown.stdout.splitlines()[2:]] == [run["key"][:12] for run in after]
    assert f"{CELLS} of {CELLS} runs done, 0 ended badly" in shown.stderr


def test_the_list_has_the_builtin_studies() -> None:
    assert "quick" in slm("study", "list").stdout
    assert "quick" in [study["name"] for study in document("study", "list")]


@pytest.mark.engine
def test_a_study_of_one_model_is_run_on_another(tiny_model: Path, tmp_path: Path, own_home: Path) -> None:
    path = write_study(tmp_path, ["smollm-135m"], runs=1)
    path.write_text(f"{path.read_text()}\nquantization = 'Q8_0'")
    row, *others = document("study", "run", path, "--engine", "fake", "--model", tiny_model)["rows"]
    assert (row["name"], row["quantization"], others) == ("Tiny (from Q4_K_M)", "Q8_0", [])
    (folder,) = (own_home / "reports").iterdir()
    assert folder.name.startswith("mine-")
    assert str(tiny_model) in (folder / "index.html").read_text()
    (run,) = document("study", "status", path, "--engine", "fake", "--model", tiny_model)
    assert run["outcome"] == "ok"
    assert "compares 4 models" in wrong("study", "run", "quick", "--model", tiny_model)


def test_wrong_input_is_one_line(mine: Path, tmp_path: Path) -> None:
    assert "slm study list" in wrong("study", "run", "quikc")
    broken = tmp_path / "broken.toml"
    broken.write_text(mine.read_text().replace("n_gen = 2", "n_gen = 'two'"))
    assert "broken.toml is not a study: Expected `int`, got `str` - at `$.bench.n_gen`" in wrong("study", "run", broken)
    broken.write_text(mine.read_text().replace("suites = []", 'suites = ["smok"]'))
    assert "no suite 'smok'" in wrong("study", "run", broken, "--engine", "fake")
    broken.write_text(mine.read_text().replace("a.gguf", "x.gguf"))
    assert "x.gguf" in wrong("study", "status", broken, "--engine", "fake")


# ---- what ends it, and going on -----------------------------------------------------------------------------------


@pytest.fixture
def uninterrupted(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Sample]]:
    """What the study gives when nothing disturbs it, in another home."""
    folder = tmp_path / "undisturbed"
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv(home.ENVIRONMENT_VARIABLE, str(folder))
        assert slm("study", "run", mine, "--engine", "fake", "--no-report").exit_code == 0
    return left(folder).samples


SLOW = [pytest.param(count, marks=pytest.mark.slow) for count in (0, 1, CELLS - 1)]


@pytest.mark.parametrize("killed_after", [2, *SLOW])
def test_a_study_killed_with_9_goes_on_and_loses_at_most_the_run_in_flight(
    mine: Path, own_home: Path, uninterrupted: dict[str, list[Sample]], killed_after: int
) -> None:
    with started("study", "run", mine, "--engine", "fake", "--no-report", folder=mine.parent) as process:
        if killed_after:
            finished_lines(process, killed_after)
        else:
            assert process.stderr is not None
            assert "runs to do" in process.stderr.readline()
        time.sleep(0.03)  # into the next run
        process.kill()
    done = left(own_home)
    assert killed_after <= len(done.samples) <= CELLS
    result = slm("study", "run", mine, "--engine", "fake", "--no-report")
    assert result.exit_code == 0
    missing = CELLS - len(done.samples)
    assert f"{missing} of {CELLS} runs to do" in result.stderr if missing else "measured before" in result.stderr
    whole = left(own_home)
    assert whole.samples == uninterrupted
    assert whole.attempts == CELLS  # none was measured twice


def test_ctrl_c_is_a_hint_and_130_and_what_is_finished_is_kept(
    tiny_model: Path, tmp_path: Path, own_home: Path
) -> None:
    names = ["ok/m.gguf", "hang/m.gguf"]
    copies(tiny_model, tmp_path, names)
    path = write_study(tmp_path, names, runs=1)
    with started("study", "run", path, "--engine", "fake", folder=tmp_path) as process:
        assert process.stderr is not None
        assert "2 of 2 runs to do" in process.stderr.readline()
        time.sleep(1.5)  # one hangs now; the other has ended, or waits behind it
        start = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the worker hears it too
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert output == ""
    assert "same command again" in errors.splitlines()[-1]
    assert "Traceback" not in errors
    assert time.monotonic() - start < 5
    told = [line for line in errors.splitlines() if line.startswith("[")]
    assert len(left(own_home).samples) == len(told) <= 1


def test_two_studies_at_once_the_second_is_one_line(mine: Path, tiny_model: Path, tmp_path: Path) -> None:
    copies(tiny_model, tmp_path, ["hang/m.gguf"])
    with started("bench", "hang/m.gguf", "--engine", "fake", "--runs", 1, folder=tmp_path) as process:
        assert process.stderr is not None
        assert "1 of 1 runs to do" in process.stderr.readline()
        time.sleep(0.5)
        result = slm("study", "run", mine, "--engine", "fake")
        process.kill()
    assert result.exit_code == 2
    assert f"Error: Another measurement is running (process {process.pid})" in result.stderr.splitlines()[-1]
    assert slm("study", "run", mine, "--engine", "fake", "--no-report").exit_code == 0
