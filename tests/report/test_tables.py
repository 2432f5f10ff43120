"""Tables: what a reader sees of numbers, of their absence, and of failures."""

from __future__ import annotations

import msgspec
import pytest

from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import rows
from slm_atlas.report import tables
from slm_atlas.report.tables import Cell, Table
from slm_atlas.stats import Estimate
from slm_atlas.store.records import Sample

from .measured import REAL, study


def cell(table: Table, model: str, column: str) -> Cell:
    (line,) = [line for line in table.lines if line[0].text == model]
    return line[table.columns.index(column)]


def test_a_cost_shows_its_interval_and_sorts_by_its_number() -> None:
    shown = cell(tables.cost_table(rows(study())), "Qwen2-0.5B", "Decode")
    assert shown.text == "66.1 tok/s"
    assert shown.more == ("64.9 to 67.5", "15.1 ms a token")
    assert shown.sort == pytest.approx(1 / (0.03 * 0.494032768 * 1.02))


def test_what_ended_a_model_s_runs_stands_below_their_number() -> None:
    data = study(dead="")
    design = {"plan": "p", "runs": 20, "half_width": 0.2, "min_runs": 5, "budget_s": 60.0}
    notes = {"design": design, "spent_s": 30.0, "disturbed": ["steal"], "repeats": {"elapsed_s": 1.0}}
    asked = [msgspec.structs.replace(run, notes=notes) for run in data.runs]
    ended = cell(tables.cost_table(rows(data._replace(runs=asked))), "OLMo-1B", "Runs").more
    assert ended[0].startswith("narrow after 5 runs, ±")
    assert ended[1:] == ("5 disturbed", "5 repeated, the disturbed ones set aside")


def test_what_is_missing_is_a_dash_that_sorts_last_and_never_zero() -> None:
    data = study()
    unloaded = {
        key: [s for s in found if s.metric != "load_s"] for key, found in data.samples.items() if key[63] == "3"
    }
    table = tables.cost_table(rows(data._replace(samples=data.samples | unloaded)))
    assert cell(table, "Qwen2-0.5B", "Load") == Cell(tables.NOT_MEASURED, ("not measured",), None)


def test_what_no_model_has_takes_no_column() -> None:
    data = study()
    first = {key: [*found, Sample(metric="ttft_s", index=0, value=0.5)] for key, found in data.samples.items()}
    assert "First token" not in tables.cost_table(rows(data)).columns
    with_it = tables.cost_table(rows(data._replace(samples=first)))
    assert cell(with_it, "OLMo-1B", "First token").text == "500 ms"


def test_a_model_that_never_ran_shows_why() -> None:
    data = study()
    failed = [msgspec.structs.replace(run, outcome=Outcome.TIMEOUT, cause="deadline") for run in data.runs]
    table = tables.cost_table(rows(data._replace(runs=failed)))
    assert cell(table, "Qwen2-0.5B", "Prefill") == Cell(tables.NOT_MEASURED, ("timeout",), None)
    assert cell(table, "Qwen2-0.5B", "Runs") == Cell("0", ("of 5",), 0)


def test_one_dead_run_of_five_is_said() -> None:
    assert cell(tables.cost_table(rows(study())), "Pythia-160M", "Runs") == Cell("4", ("of 5",), 4)


def test_random_weights_have_no_capability_and_real_ones_may_score_zero() -> None:
    table = tables.score_table(rows(study()))
    scored = f"{REAL.name} (real weights)"
    assert table.columns == ["Task", scored]
    assert cell(table, "smoke reading", scored) == Cell("0%", ("0% to 13%", "25 items"), 0.0)


def test_weights_that_were_requantized_say_whose_losses_they_have() -> None:
    data = study((REAL,))
    (sha256,) = data.artifacts
    changes = {"name": f"{REAL.name} (from Q4_1)", "requantized_from": "Q4_1"}
    made = data._replace(artifacts={sha256: msgspec.structs.replace(data.artifacts[sha256], **changes)})
    losses = "real weights, with the losses of Q4_1 and Q4_K_M"
    (line,) = tables.cost_table(rows(made)).lines
    assert line[0].more == (losses,)
    assert tables.score_table(rows(made)).columns[1] == f"{REAL.name} (from Q4_1) ({losses})"


def test_without_tasks_there_is_no_table_of_scores() -> None:
    assert tables.score_table(rows(study(tasks=False))).lines == []


def test_failed_runs_keep_cause_and_log() -> None:
    (failed,) = tables.failed_runs(study())
    assert (failed.model, failed.what, failed.outcome) == ("Pythia-160M", "bench, run 4", Outcome.CRASHED)
    assert (failed.cause, failed.log_tail) == ("killed by signal 9", "out of memory")


def test_the_machine_says_how_and_when_and_what_was_noisy() -> None:
    (machine,) = tables.machines(study())
    assert machine.settings == ["prompt 50, generate 50, threads 2, context 512"]
    assert machine.ran == "29 runs in 1 min 27 s, 2025-11-22 10:00 to 2025-11-22 10:00 UTC"
    assert machine.noise == [f"{REAL.name}, run 5: 2.1% of the time stolen (4 more alike)"]


def test_settings_stand_in_the_order_of_their_numbers() -> None:
    data = study((REAL,), tasks=False)
    changed = [
        msgspec.structs.replace(run, settings=run.settings | {"n_prompt": length})
        for run, length in zip(data.runs, (64, 8, 16, 8, 50), strict=False)
    ]
    (machine,) = tables.machines(data._replace(runs=changed))
    assert [text.split(",")[0] for text in machine.settings] == ["prompt 8", "prompt 16", "prompt 50", "prompt 64"]


def test_files_stand_by_name_with_the_shares_of_their_types_in_bytes() -> None:
    found = tables.origins(study())
    assert [origin.artifact.name for origin in found] == sorted((o.artifact.name for o in found), key=str.lower)
    assert found[0].types == ["Q4_K 75.0%", "Q6_K 25.0%"]


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(value=1, low=None, high=None, n=2, method=""), "no interval, n = 2"),
        (Estimate(value=1, low=1, high=1, n=5, method=""), "no spread, n = 5"),
        (Estimate(value=1, low=0.99999999, high=1, n=5, method=""), "within rounding, n = 5"),
        (Estimate(value=1, low=0.5, high=2, n=5, method=""), "0.5 to 2"),
    ],
)
def test_an_interval_or_why_there_is_none(estimate: Estimate, text: str) -> None:
    assert tables.interval(estimate, "{:g}".format) == text
