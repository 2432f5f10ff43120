"""What a study evaluates: its suites and tasks with its shots and data, one run for what two suites ask alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from slm_atlas import home
from slm_atlas.errors import UserError
from slm_atlas.studies import Study, StudyModel, select
from slm_atlas.studies.evaluations import settings_of

ROW = {"goal": "Open a jar.", "sol1": "Turn the lid.", "sol2": "Turn the jar.", "label": 0}


def study(*, suites: tuple[str, ...] = (), tasks: tuple[str, ...] = (), **settings: Any) -> Study:
    model = StudyModel(model="m", suites=suites, tasks=tasks)
    return Study(name="test", title="", description="", models=(model,), runs=0, **settings)


def names(found: Study) -> list[str]:
    return [target.task for target in select(found, found.models[0]).targets]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    for split in ("validation", "train"):
        path = tmp_path / "rows" / "piqa" / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((json.dumps(ROW) + "\n") * 5)
    return tmp_path / "rows"


def test_coding_tasks_are_left_out_with_a_line_and_refused_by_name() -> None:
    found = study(suites=("paper",))
    selection = select(found, found.models[0])
    assert len(selection.targets) == 12
    assert [line.split()[1] for line in selection.omitted] == ["humaneval", "mbpp"]
    assert len(names(study(suites=("paper",), allow_code=True))) == 14
    with pytest.raises(UserError, match=r"humaneval cannot be evaluated.*--allow-code"):
        names(study(tasks=("humaneval",)))


def test_shots_apply_to_tasks_of_lm_evals_and_show_in_their_names() -> None:
    found = names(study(suites=("smoke", "language"), tasks=("arc_easy",), shots=5))
    assert found[:4] == ["smoke_commonsense", "smoke_reading", "smoke_arithmetic", "smoke_completion"]
    assert found[4:] == ["wikitext_5shot", "lambada_openai_5shot", "arc_easy_5shot"]


def test_a_long_text_gets_the_context_it_needs() -> None:
    found = study(suites=("long-context",))
    contexts = {target.task: target.context for target in select(found, found.models[0]).targets}
    assert (contexts["passkey_1k"], contexts["passkey_32k"]) == (2048, 32768)


def test_what_a_folder_lacks_is_left_out_with_the_file_that_is_missing(rows: Path) -> None:
    found = study(suites=("icl",), data=str(rows))
    selection = select(found, found.models[0])
    assert [target.task for target in selection.targets] == ["piqa", "piqa_1shot", "piqa_5shot"]
    assert any("boolq" in line or "arc_challenge/test.jsonl is missing" in line for line in selection.omitted)
    with pytest.raises(UserError, match=r"boolq cannot be evaluated.*boolq/validation\.jsonl is missing"):
        names(study(tasks=("boolq",), data=str(rows)))


def test_the_folder_may_be_set_once_for_all(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.DATA_VARIABLE, str(rows))
    found = study(tasks=("piqa",))
    assert select(found, found.models[0]).targets[0].data == rows
    with pytest.raises(UserError, match="is not a folder of rows"):
        names(study(tasks=("piqa",), data=str(rows / "piqa" / "train.jsonl")))


def test_two_suites_that_ask_the_same_share_a_run(rows: Path) -> None:
    settings = [
        settings_of(target)
        for name in ("paper", "icl")
        for found in [study(suites=(name,), data=str(rows))]
        for target in select(found, found.models[0]).targets
        if target.task == "piqa"
    ]
    alone = study(tasks=("piqa",), data=str(rows))
    settings += [settings_of(target) for target in select(alone, alone.models[0]).targets]
    assert len(settings) == 3
    assert settings[0] == settings[1] == settings[2]
    assert (settings[0]["suite"], settings[0]["data"], settings[0]["items"]) == ("lm-eval", "folder", 5)


def test_rows_of_a_folder_and_of_the_hub_are_not_the_same_run(rows: Path) -> None:
    local, hub = study(tasks=("piqa",), data=str(rows)), study(tasks=("piqa",))
    of_local, of_hub = (settings_of(select(found, found.models[0]).targets[0]) for found in (local, hub))
    assert of_local["data_hash"] != of_hub["data_hash"]
    assert (of_hub["data"], of_hub["items"]) == ("hub", None)


def test_the_settings_of_the_smoke_suite_are_what_they_were() -> None:
    found = study(suites=("smoke",))
    settings = settings_of(select(found, found.models[0]).targets[0])
    assert list(settings) == ["suite", "task", "context", "limit", "task_version", "data_hash", "chance"]
    assert settings["suite"] == "smoke"
