"""Tasks by name: those of the suites at once, any of lm-eval's from its folder or its index, and near names offered."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from slm_atlas import home
from slm_atlas.errors import UserError
from slm_atlas.evals import find_task, registry, suite
from slm_atlas.evals.definitions import lm_eval_version, parts


@pytest.fixture
def index(own_home: Path) -> Path:
    """A small index, as if it had been built before."""
    path = own_home / "lm-eval" / f"tasks-{lm_eval_version()}.json"
    entries = {
        "arc_easy": ["arc/arc_easy.yaml"],
        "ai2_arc": ["arc/arc_challenge.yaml", "arc/arc_easy.yaml"],
        "hellaswag": ["hellaswag/hellaswag.yaml"],
        "in_python": [],
    }
    home.replace_file(path, msgspec.json.encode(entries))
    return path


def test_a_task_of_a_suite_is_found_by_the_name_of_its_results() -> None:
    assert find_task("piqa_5shot") == suite("icl").task("piqa_5shot")
    assert find_task("mmlu").shots == 0
    assert find_task("passkey_4k").length == 4096


def test_any_other_task_is_described_by_its_own_definition_without_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_build_index", lambda: pytest.fail("the index takes a quarter of a minute"))
    task = find_task("sciq")
    assert (task.metric, task.shots, task.code) == ("acc", 0, False)
    assert [part.name for part in parts(task)] == ["sciq"]
    assert find_task("humaneval_64").code


@pytest.mark.usefixtures("index")
def test_a_tag_is_a_task_of_several_parts() -> None:
    assert [part.name for part in parts(find_task("ai2_arc"))] == ["arc_challenge", "arc_easy"]


@pytest.mark.usefixtures("index")
def test_a_task_that_does_not_exist_offers_near_names() -> None:
    with pytest.raises(UserError, match=r"no task 'hellaswagg'.*Try: hellaswag"):
        find_task("hellaswagg")


@pytest.mark.usefixtures("index")
def test_a_task_that_no_file_defines_is_refused() -> None:
    with pytest.raises(UserError, match="defined in Python"):
        find_task("in_python")


@pytest.mark.slow
def test_the_index_is_lm_evals_and_is_kept() -> None:
    task = find_task("mmlu_stem")
    assert len(parts(task)) == 19
    assert len(list((home.home() / "lm-eval").iterdir())) == 1
