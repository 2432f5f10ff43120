"""`slm bench`: numbers on stdout, progress and doubts on stderr, and failures that are told and kept."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.engines.fake import DECODE_S, PREFILL_S_PER_TOKEN
from slm_atlas.store import Store
from slm_atlas.studies import measuring, run
from slm_atlas.units import MIB

from .atlas import copies, document, slm, tables, wrong

FAKE = ("--engine", "fake", "--runs", 1)


def test_the_table_has_a_line_a_model(tiny_model: Path, tmp_path: Path) -> None:
    result = slm("bench", *copies(tiny_model, tmp_path, ["a.gguf", "b.gguf"]), *FAKE)
    assert result.stdout.split()[:3] == ["Model", "Quant", "Params"]
    lines, memory = tables(result.stdout)
    assert len(lines) == len(memory) == 2
    for line in lines:
        assert line.split()[:4] == ["Tiny", "(random", "weights)", "Q4_K_M"]
        assert f"{1 / PREFILL_S_PER_TOKEN:,.0f}" in line
        assert f"{1 / DECODE_S:.0f}" in line
    parts = [float(number) for number in re.findall(r"([-0-9.]+) MiB", memory[0])]  # "0 B" of repacked weights is none
    assert sum(parts[:-1]) == pytest.approx(parts[-1])  # all parts of the fake engine's memory sum to its peak
    assert "2 of 2 runs to do" in result.stderr
    assert "[2/2] Tiny Q4_K_M: run 1" in result.stderr


def test_json_is_one_document(tiny_model: Path) -> None:
    (row,) = document("bench", tiny_model, "--engine", "fake", "--runs", 1, "--prompt", 8, "--generate", 4)["rows"]
    assert row["n_runs"] == 1
    assert row["metrics"]["prefill_s"]["value"] == pytest.approx(8 * PREFILL_S_PER_TOKEN)
    assert row["metrics"]["decode_s"]["value"] == DECODE_S
    assert row["metrics"]["decode_s"]["low"] is None  # of one run there is no interval
    assert row["metrics"]["peak_rss_bytes"]["value"] == 18 * MIB
    assert (row["settings"]["n_prompt"], row["settings"]["n_gen"]) == (8, 4)


def test_what_was_measured_is_shown_again_and_not_measured_again(tiny_model: Path) -> None:
    three = ("bench", tiny_model, "--engine", "fake", "--runs", 3)
    first, again = slm(*three), slm(*three)
    assert "100 [100, 100]" in first.stdout
    assert "[low, high] are 95 % intervals" in first.stderr
    assert again.stdout == first.stdout
    assert "all was measured before" in again.stderr
    assert "[1/3]" not in again.stderr


def test_other_settings_are_another_measurement(tiny_model: Path) -> None:
    slm("bench", tiny_model, *FAKE)
    result = slm("bench", tiny_model, *FAKE, "--context", "1K", "--flash-attention", "--memory-limit", "1GiB")
    assert "1 of 1 runs to do" in result.stderr
    settings = [line.split("engine ")[-1] for line in slm("results", "list").stdout.splitlines()[2:]]
    assert any("context 1000" in line and "flash_attention True" in line for line in settings)


def test_failures_are_told_with_their_cause_and_a_second_time_too(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copies(tiny_model, tmp_path, ["refuse/m.gguf"])
    for _ in range(2):
        result = slm("bench", "refuse/m.gguf", "--engine", "fake", "--runs", 2)
        assert result.exit_code == 1
        assert "0 (+2 failed)" in result.stdout
        assert "2 x refused: the fake engine refuses to load this model" in result.stderr
    assert "2 of 2 runs to do" in slm("bench", "refuse/m.gguf", *FAKE, "--runs", 2, "--retry-failed").stderr


def test_a_model_named_twice_is_measured_once(tiny_model: Path) -> None:
    assert "1 of 1 runs to do" in slm("bench", tiny_model, tiny_model, *FAKE).stderr


def test_wrong_input_is_one_line(tiny_model: Path, tmp_path: Path) -> None:
    assert "slm models list" in wrong("bench", "smollm-136m", *FAKE)
    assert "no file" in wrong("bench", tmp_path / "no.gguf", *FAKE)
    assert "not a whole GGUF" in wrong("bench", __file__, *FAKE)
    assert "no engine 'vllm'" in wrong("bench", tiny_model, "--engine", "vllm")
    served = ("bench", "endpoint:m@http://127.0.0.1:9/v1", "--quant", "Q4_0")
    assert "the quantization that its server runs. Try: leave --quant out" in wrong(*served)


def test_tokens_that_do_not_fit_are_one_line(tiny_model: Path) -> None:
    result = slm("bench", tiny_model, *FAKE, "--context", 60)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == "Error: 100 tokens do not fit a context of 60. Try: --context 100"


def test_while_another_measures_it_is_one_line(tiny_model: Path) -> None:
    with measuring():
        result = slm("bench", tiny_model, *FAKE)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: Another measurement is running" in result.stderr.splitlines()[-1]


def test_more_threads_than_cores_are_refused_before_anything_is_made(tiny_model: Path) -> None:
    for more in (("--threads", 4096), ("--sweep", "threads=1,4096")):
        line = wrong("bench", "smollm-135m", "--engine", "fake", *more)
        assert "4096 threads do not fit" in line
        assert "--oversubscribe" in line
    assert not home.models_dir().exists()
    assert slm("bench", tiny_model, *FAKE, "--threads", 4096, "--oversubscribe").exit_code == 0
    assert "4096 threads do not fit" in wrong("profile", tiny_model, "--threads", 4096)


@pytest.mark.parametrize(
    ("option", "value"), [("--threads", "-1"), ("--threads", "many"), ("--budget", "0"), ("--budget", "soon")]
)
def test_what_is_no_number_of_threads_and_no_time_is_said(tiny_model: Path, option: str, value: str) -> None:
    result = slm("bench", tiny_model, *FAKE, option, value)
    assert result.exit_code == 2
    assert repr(value) in result.stderr


def test_what_ended_an_arm_stands_in_the_table_and_is_shown_again(tiny_model: Path, tmp_path: Path) -> None:
    models = copies(tiny_model, tmp_path, ["a.gguf", "b.gguf"])
    command = ("bench", *models, "--engine", "fake", "--runs", 20, "--precision", 0.05)
    first, again = slm(*command), slm(*command)
    assert first.stdout.count("narrow after 5 runs, ±0 %") == 2
    assert again.stdout == first.stdout
    assert "all was measured before" in again.stderr
    rows = document(*command)["rows"]
    assert {(row["stop"]["reason"], row["stop"]["planned"]) for row in rows} == {("narrow", 20)}
    # Another question, another answer, from the same runs.
    assert "all 3 runs made" in slm("bench", *models, "--engine", "fake", "--runs", 3, "--budget", "10m").stdout
    assert "Ended" not in slm("bench", *models, "--engine", "fake", "--runs", 3).stdout
    # The record alone says it too.
    assert {row["stop"]["reason"] for row in document("results", "list")["rows"]} == {"narrow"}


def test_a_ratio_of_one_model_is_refused(tiny_model: Path) -> None:
    assert "A ratio needs two arms" in wrong("bench", tiny_model, *FAKE, "--precision", 0.05, "--precision-of", "ratio")


def test_disturbed_runs_are_told_repeated_and_set_aside(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([["Other programs took 40% of the processor's time."], *[[]] * 9])
    monkeypatch.setattr(run, "disturbances", lambda *_: next(found))
    result = slm("bench", tiny_model, "--engine", "fake", "--runs", 4)
    assert "[5/5] Tiny Q4_K_M: run 1, again" in result.stderr
    assert "1 run was repeated" in result.stderr
    (row,) = document("bench", tiny_model, "--engine", "fake", "--runs", 4)["rows"]
    assert (row["n_runs"], row["set_aside"], row["disturbed"]) == (4, 1, 0)
    with Store(home.store_path()) as store:
        assert len(store.attempts()) == 5


@pytest.mark.engine
def test_the_knee_is_found_once_and_recorded(tiny_model: Path) -> None:
    command = ("bench", tiny_model, "--threads", "knee", "--runs", 1, "--prompt", 8, "--generate", 4)
    (row,) = document(*command)["rows"]
    assert row["n_runs"] == 1, row["failures"]
    assert row["settings"]["threads"] == row["knee"]["threads"] >= 1
    assert next(probe["threads"] for probe in row["knee"]["probes"]) == 1
    assert "all was measured before" in slm(*command).stderr
    with Store(home.store_path()) as store:
        (found,) = store.runs()
    assert found.notes["granted"]["threads"] == row["knee"]["threads"]
    assert "leave --sweep threads out" in wrong(*command, "--sweep", "threads=1")


@pytest.mark.engine
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its cores")
def test_pinned_threads_are_recorded(tiny_model: Path) -> None:
    (row,) = document("bench", tiny_model, "--pin", "--threads", 1, "--runs", 1, "--prompt", 8, "--generate", 4)["rows"]
    assert row["settings"]["pin"] is True
    with Store(home.store_path()) as store:
        (found,) = store.runs()
    assert len(found.notes["granted"]["cores"]) == found.notes["granted"]["threads"] == 1
    assert "pin" not in found.notes["absent"]


def test_sustained_use_has_a_table_and_joins_the_other_runs(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slm_atlas.bench.sustained.MAX_REST_S", 0.0)
    sustained = ("bench", tiny_model, *FAKE, "--sustained", "1m")
    (row,) = document(*sustained)["rows"]
    result = slm(*sustained)
    _, _, (line,) = tables(result.stdout)
    assert "Sustained use: each run decodes for 1 min 0 s more" in result.stderr
    assert "equal depth of the cache" in result.stderr
    assert line.split()[:2] == ["Tiny", "Q4_K_M"]
    assert "none found" in line  # the fake engine is always as fast
    assert row["sustained"][0]["steady_to_burst"]["value"] == pytest.approx(1)
    assert row["metrics"]["steady_tokens_per_s"]["value"] == pytest.approx(1 / DECODE_S)
    assert not [name for name in row["metrics"] if name.startswith("sustained_")]
    slm("bench", tiny_model, *FAKE)
    (both,) = document("results", "list")["rows"]
    assert both["n_runs"] == 2  # with the pass or without, a run is the same


def test_too_short_a_sustained_pass_says_so(tiny_model: Path) -> None:
    result = slm("bench", tiny_model, *FAKE, "--sustained", 0.6)
    assert "not told: 4 rounds are too few, decode for longer" in result.stdout
    assert "What depth costs is not told from less than 100 tokens" in result.stderr


@pytest.mark.engine
def test_a_file_is_swept_over_quantizations_its_own_as_it_is(tiny_model: Path) -> None:
    sweep = ("bench", tiny_model, *FAKE, "--sweep", "quant=Q8_0,Q4_K_M,F16", "--sweep", "prompt=8,16")
    rows = document(*sweep)["rows"]
    found = {(row["name"], row["quantization"], row["requantized_from"]) for row in rows}
    made = ("Tiny (from Q4_K_M)", "Q8_0", "Q4_K_M"), ("Tiny (from Q4_K_M)", "F16", "Q4_K_M")
    assert found == {("Tiny", "Q4_K_M", None), *made}
    assert len(rows) == 2 * len(found)
    shown = slm(*sweep).stderr
    assert "all was measured before" in shown
    assert "Tiny (from Q4_K_M) Q8_0 was requantized: its weights have the losses of Q4_K_M and Q8_0." in shown
    assert "Tiny (from Q4_K_M) F16 was requantized: its weights have the losses of Q4_K_M." in shown


@pytest.mark.engine
def test_a_file_that_cannot_be_requantized_is_one_line(tiny_model: Path, tmp_path: Path, own_home: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_model.read_bytes()[:-1000])
    result = slm("bench", cut, *FAKE, "--quant", "Q8_0")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is cut short" in result.stderr.splitlines()[-1]
    assert not list(own_home.rglob("*gguf*"))


@pytest.mark.engine
def test_the_real_engine_measures_a_forged_model(tiny_model: Path) -> None:
    (row,) = document("bench", tiny_model, "--threads", 1, "--runs", 1, "--prompt", 16, "--generate", 4)["rows"]
    assert row["n_runs"] == 1, row["failures"]
    assert row["metrics"]["kv_bytes"]["value"] == pytest.approx(2 * 2 * 64 * 2 * 512 * 2, rel=0.02)
    assert 0 < row["metrics"]["decode_s"]["value"] < row["metrics"]["load_s"]["value"] + 10
    with Store(home.store_path()) as store:
        (run,) = store.runs()
    assert run.notes["granted"]["threads"] == 1
