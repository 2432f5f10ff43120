"""Scores as the Hub's metadata: read back by its own library, each with what it stands on."""

from __future__ import annotations

import math
import sys

import msgspec
import pytest
import yaml
from huggingface_hub import parse_eval_result_entries
from huggingface_hub.repocard_data import model_index_to_eval_results

from slm_atlas.errors import MissingExtra
from slm_atlas.insights.answered import Answered
from slm_atlas.insights.scores import score
from slm_atlas.report.model_card import Entry, Source, card_files, entry
from slm_atlas.store import RunKind, Sample

from .measured import HOST, REAL, study

DATASET = study((REAL,), tasks=False)
(ARTIFACT,) = DATASET.artifacts.values()
SOURCE = Source("allenai/ai2_arc", "ARC-Easy", "test")


def answered(task: str = "arc_easy", shots: int = 0, right: int = 30, n: int = 40, **settings: object) -> Answered:
    given = {
        "task": task,
        "suite": "lm-eval",
        "lm_eval_task": "arc_easy",
        "metric": "acc",
        "shots": shots,
        "items": 500,
    }
    given |= {"chance": 0.25, "lm_eval": "0.4.13", "task_version": "1.0"} | settings
    run = msgspec.structs.replace(DATASET.runs[0], key=task, kind=RunKind.EVAL, settings=given, host=HOST.id)
    samples = [Sample(metric="acc", index=i, value=float(i < right), item=str(i)) for i in range(n)]
    samples += [Sample(metric="acc_norm", index=i, value=float(i % 2), item=str(i)) for i in range(n)]
    found = score(run, samples)
    assert found is not None
    return Answered(run, found, {sample.item: sample.value for sample in samples if sample.metric == "acc"})


def of(*tasks: Answered) -> list[Entry]:
    return [entry(ARTIFACT, task, SOURCE) for task in tasks]


def test_a_file_of_eval_results_is_what_the_hub_s_library_reads() -> None:
    files = card_files("M", of(answered()))
    (found,) = parse_eval_result_entries(yaml.safe_load(files[".eval_results/arc_easy.yaml"]))
    assert (found.dataset_id, found.task_id, found.value) == ("allenai/ai2_arc", "arc_easy", 75.0)
    assert found.date == "2025-11-22T10:00:00Z"


def test_the_notes_say_n_standard_error_interval_file_and_engine() -> None:
    (found,) = of(answered())
    error = 100 * math.sqrt(0.75 * 0.25 / 39)
    for words in ("acc, 0-shot, n = 40 of 500 items", f"standard error {error:.2f}", "95% interval [", "fake 1.0"):
        assert words in found.notes
    assert ARTIFACT.sha256[:16] in found.notes
    assert "Q4_K_M" in found.notes


def test_what_the_file_was_made_from_and_computed_in_is_said() -> None:
    requantized = msgspec.structs.replace(ARTIFACT, requantized_from="Q4_1")
    assert "Q4_K_M, computed in bf16 (made from Q4_1)" in entry(requantized, answered(), SOURCE, "bf16").notes


def test_the_model_index_keeps_numbers_of_worked_examples_apart() -> None:
    files = card_files("My model", of(answered(), answered("arc_easy_5shot", 5, right=20)))
    index = yaml.safe_load(files["model-index.yaml"])["model-index"]
    name, results = model_index_to_eval_results(index)
    assert name == "My model"
    main = [found for found in results if found.metric_type == "accuracy"]
    assert [(found.dataset_args, found.metric_value) for found in main] == [
        ({"num_few_shot": 0}, 75.0),
        ({"num_few_shot": 5}, 50.0),
    ]
    assert {(found.dataset_type, found.dataset_config, found.dataset_split) for found in results} == {SOURCE}
    others = [found for found in results if found.metric_type == "acc_norm"]
    assert [found.metric_value for found in others] == [50.0, 50.0]
    assert len([path for path in files if path.startswith(".eval_results/")]) == 2


def test_a_hostile_name_is_text() -> None:
    hostile = "x: [y]\n- &a *b #"
    index = yaml.safe_load(card_files(hostile, of(answered()))["model-index.yaml"])
    assert index["model-index"][0]["name"] == hostile
    assert next(iter(card_files("M", of(answered("../../etc/x"))))) == ".eval_results/.._.._etc_x.yaml"


def test_without_the_hub_s_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"slm-atlas\[hf\]"):
        card_files("M", of(answered()))
