"""Rows: what is a replicate, what a summary, what a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset, read_dataset, rows
from slm_atlas.store.db import Store
from slm_atlas.store.records import Artifact, Host, Run, RunKind, Sample

HOST = Host(id="h", cpu="cpu", arch="x86_64", cores=2, flags="", memory_bytes=1, system="Linux", python="3.11")


def artifact(sha256: str = "a", *, forged: bool = False) -> Artifact:
    return Artifact(
        sha256=sha256, name=f"model-{sha256}", model_id=None, origin="path", forged=forged, architecture="llama",
        quantization="Q4_K_M", params=1000, size_bytes=1, tensor_bytes={"Q4_K": 1},
    )  # fmt: skip


def run(
    key: str, settings: dict[str, Any], *, kind: RunKind = RunKind.BENCH, sha256: str = "a",
    outcome: Outcome = Outcome.OK, started_at: str = "2025-01-01T00:00:00Z", replicate: int = 0,
) -> Run:  # fmt: skip
    return Run(
        key=key, kind=kind, artifact=sha256, host="h", engine="fake 1", settings=settings, replicate=replicate,
        outcome=outcome, cause=None if outcome is Outcome.OK else "killed", log_tail="", started_at=started_at,
        elapsed_s=1.0, notes={}, atlas_version="0",
    )  # fmt: skip


def series(metric: str, *values: float, scope: str = "") -> list[Sample]:
    return [Sample(metric=metric, index=i, value=v, scope=scope, item=str(i)) for i, v in enumerate(values)]


def dataset(runs: list[Run], samples: dict[str, list[Sample]], *files: Artifact) -> Dataset:
    return Dataset({file.sha256: file for file in files or (artifact(),)}, {"h": HOST}, runs, samples)


def test_a_run_counts_once_whatever_its_repetitions() -> None:
    runs = [run(str(i), {"n_prompt": 50}, replicate=i) for i in range(3)]
    samples = {"0": series("prefill_s", 1.0, 1.0, 9.0), "1": series("prefill_s", 2.0), "2": series("prefill_s", 3.0)}
    (row,) = rows(dataset(runs, samples))
    assert row.n_runs == row.metrics["prefill_s"].n == 3
    assert row.metrics["prefill_s"].value == 2.0
    assert row.metrics["prefill_tokens_per_s"].value == 25.0


@pytest.mark.parametrize(
    ("before", "label", "losses"),
    [
        (None, "Q4_1", ()),
        ("F16", "Q4_1", ()),
        ("F32, BF16", "F16", ()),
        ("Q4_1", "Q8_0", ("Q4_1", "Q8_0")),
        ("Q4_1", "F16", ("Q4_1",)),
        ("Q4_1, F16", "Q8_0", ("Q4_1", "Q8_0")),
        ("Q4_1, Q8_0", "Q4_1", ("Q4_1", "Q8_0")),
    ],
)
def test_a_file_made_from_another_has_its_losses(before: str | None, label: str, losses: tuple[str, ...]) -> None:
    name = "Model" if before is None else f"Model (from {before})"
    changes = {"name": name, "quantization": label, "requantized_from": before}
    (row,) = rows(dataset([run("0", {})], {}, msgspec.structs.replace(artifact(), **changes)))
    assert (row.losses, row.model, row.name) == (losses, "Model", name)


def test_rates_come_from_the_tokens_that_were_asked_for() -> None:
    samples = {"0": [*series("prefill_s", 2.0), *series("decode_s", 0.1, 0.3, 0.2)]}
    (row,) = rows(dataset([run("0", {"n_prompt": 512})], samples))
    assert row.metrics["prefill_tokens_per_s"].value == 256.0
    assert row.metrics["decode_tokens_per_s"].value == pytest.approx(5.0)


def test_what_was_not_measured_is_absent_not_zero() -> None:
    parts = [*series("model_bytes", 10.0), *series("kv_bytes", 1.0), *series("compute_bytes", 2.0)]
    (without,) = rows(dataset([run("0", {"n_prompt": 50})], {"0": parts}))
    (whole,) = rows(dataset([run("0", {"n_prompt": 50})], {"0": [*parts, *series("output_bytes", 3.0)]}))
    assert "engine_bytes" not in without.metrics
    assert "prefill_tokens_per_s" not in without.metrics
    assert whole.metrics["engine_bytes"].value == 16.0


def test_other_settings_are_another_row_but_another_seed_is_not() -> None:
    settings = [{"threads": 1, "seed": 1}, {"threads": 1, "seed": 2}, {"threads": 2, "seed": 1}]
    runs = [run(str(i), chosen) for i, chosen in enumerate(settings)]
    found = rows(dataset(runs, {str(i): series("load_s", 1.0) for i in range(3)}))
    assert [(row.settings, row.n_runs) for row in found] == [({"threads": 2}, 1), ({"threads": 1}, 2)]


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.OK])
def test_a_failed_run_gives_no_number_and_is_not_dropped(outcome: Outcome) -> None:
    runs = [run("0", {"threads": 1}), run("1", {"threads": 1}, outcome=outcome, replicate=1)]
    (row,) = rows(dataset(runs, {"0": series("load_s", 1.0), "1": series("load_s", 500.0)}))
    assert row.metrics["load_s"].value == 1.0
    assert [(failed.outcome, failed.cause, failed.replicate) for failed in row.failures] == [(outcome, "killed", 1)]


def test_a_file_whose_every_run_failed_keeps_its_row() -> None:
    (row,) = rows(dataset([run("0", {"threads": 1}, outcome=Outcome.REFUSED)], {}))
    assert (row.n_runs, row.metrics, len(row.failures)) == (0, {}, 1)


def test_scores_stand_on_the_row_of_their_file_with_wilsons_interval() -> None:
    settings = {"task": "t", "suite": "smoke", "chance": 0.25}
    runs = [run("0", {"threads": 1}), run("1", settings, kind=RunKind.EVAL)]
    samples = {"0": series("load_s", 1.0), "1": series("acc", *[1.0] * 8, 0.0, 0.0, scope="t")}
    (row,) = rows(dataset(runs, samples))
    score = row.scores["t"]
    assert (score.estimate.value, score.estimate.n, score.chance, score.comparable) == (0.8, 10, 0.25, False)
    assert score.estimate.low == pytest.approx(0.490, abs=1e-3)


def test_scores_without_costs_have_a_row_of_their_own() -> None:
    settings = {"task": "t", "suite": "paper"}
    (row,) = rows(dataset([run("1", settings, kind=RunKind.EVAL)], {"1": series("exact_match", 0.0, 0.0)}))
    assert (row.n_runs, row.settings) == (0, {})
    assert row.scores["t"].estimate.value == 0.0, "a measured zero is a score"
    assert row.scores["t"].comparable


def test_of_two_runs_of_a_task_the_one_of_more_items_counts_then_the_newest() -> None:
    late = run("late", {"task": "t", "limit": 9}, kind=RunKind.EVAL, started_at="2025-02-01T00:00:00Z")
    early = run("early", {"task": "t"}, kind=RunKind.EVAL)
    (row,) = rows(dataset([late, early], {"late": series("acc", 1.0), "early": series("acc", 0.0)}))
    assert row.scores["t"].estimate.value == 1.0
    (row,) = rows(dataset([late, early], {"late": series("acc", 1.0), "early": series("acc", 0.0, 0.0)}))
    assert row.scores["t"].estimate.value == 0.0, "a try-out of a few items replaces nothing"


def test_random_weights_have_no_scores() -> None:
    evaluated = run("1", {"task": "t"}, kind=RunKind.EVAL)
    (row,) = rows(dataset([evaluated], {"1": series("acc", 1.0, 0.0)}, artifact(forged=True)))
    assert row.scores == {}


def test_scores_between_right_and_wrong_have_students_interval() -> None:
    evaluated = run("1", {"task": "t"}, kind=RunKind.EVAL)
    (row,) = rows(dataset([evaluated], {"1": series("acc", 0.5, 1.0, 0.0, 0.5)}))
    assert row.scores["t"].estimate.method == "Student's t"


def test_a_store_is_read_whole(tmp_path: Path) -> None:
    with Store(tmp_path / "atlas.db") as store:
        store.add_artifact(artifact())
        store.add_host(HOST)
        store.record(run("0", {"threads": 1}), series("load_s", 1.0))
        store.record(run("1", {"threads": 1}, outcome=Outcome.CRASHED), [])
        found = read_dataset(store)
    assert len(found.runs) == 2
    assert rows(found)[0].metrics["load_s"].value == 1.0
    assert len(rows(found)[0].failures) == 1
