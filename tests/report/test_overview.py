"""The overview: who leads, who cannot be told apart, and what an empty store says."""

from __future__ import annotations

from slm_atlas.insights.frame import Dataset, rows
from slm_atlas.report import overview

from .measured import REAL, Model, study


def test_the_summary_does_not_rank_what_cannot_be_told_apart() -> None:
    data = study()
    found = {fact.label: fact.value for fact in overview.summary(data, rows(data))}
    assert found["Runs"] == "29 (1 failed)"
    assert found["Fastest decode"].endswith(f"not told apart from {REAL.name}")


def test_a_clear_lead_has_no_ties() -> None:
    data = study((REAL, Model("Large", 4_000_000_000, "other")))
    facts = {fact.label: fact.value for fact in overview.summary(data, rows(data))}
    assert "not told apart" not in facts["Fastest decode"]


def test_a_single_run_neither_leads_nor_ties_where_others_have_intervals() -> None:
    once = Model("Once", 1_000_000)
    data = study((REAL, Model("Large", 4_000_000_000, "other"), once))
    artifact = next(sha256 for sha256, each in data.artifacts.items() if each.name == once.name)
    of_once = [run for run in data.runs if run.artifact == artifact]
    kept = [run for run in data.runs if run not in of_once[1:]]
    assert _fastest(data._replace(runs=kept)).startswith(REAL.name)
    assert once.name not in _fastest(data._replace(runs=kept))
    assert _fastest(data._replace(runs=of_once[:1])).startswith(once.name)


def _fastest(data: Dataset) -> str:
    return next(fact.value for fact in overview.summary(data, rows(data)) if fact.label == "Fastest decode")


def test_an_empty_store_has_no_summary() -> None:
    assert overview.summary(Dataset({}, {}, [], {}), []) == []


def test_where_and_when_it_was_measured() -> None:
    facts = {fact.label: fact.value for fact in overview.summary(study(), rows(study()))}
    assert facts["Measured on"] == "Some CPU, 2 cores, 8.00 GiB"
    assert facts["When (UTC)"] == "2025-11-22"


def test_real_models_have_a_headline_and_forged_ones_none() -> None:
    (only,) = overview.headlines(rows(study()))
    assert only.name == REAL.name
    assert "tok/s decode" in only.text
    assert "smoke choice 32%" in only.text
