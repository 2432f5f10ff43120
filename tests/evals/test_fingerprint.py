"""A fingerprint changes with what a task asks, and with nothing else; it needs no lm-eval."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slm_atlas.errors import UserError
from slm_atlas.evals import suite, task_fingerprint
from slm_atlas.evals.fingerprint import fingerprint

TASK = "smoke_reading"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(suite("smoke").folder, tmp_path / "smoke"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_folder_does_not_count(folder: Path) -> None:
    assert fingerprint(folder, TASK) == task_fingerprint(suite("smoke"), TASK)


def test_tasks_differ() -> None:
    smoke = suite("smoke")
    assert len({task_fingerprint(smoke, task.name).data_hash for task in smoke.tasks}) == len(smoke.tasks)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (f"{TASK}.jsonl", "The bakery on Mill Street", "The bakery on Mall Street"),
        (f"{TASK}.yaml", "Answer:", "Reply:"),
        (f"{TASK}.yaml", '["no", "yes"]', '["No", "Yes"]'),
    ],
)
def test_an_item_or_the_prompt_counts(folder: Path, file: str, old: str, new: str) -> None:
    before = fingerprint(folder, TASK)
    edit(folder / file, old, new)
    after = fingerprint(folder, TASK)
    assert after.data_hash != before.data_hash
    assert after.version == before.version


def test_comments_and_layout_do_not_count(folder: Path) -> None:
    before = fingerprint(folder, TASK)
    edit(folder / f"{TASK}.yaml", "# A short passage", "# Reworded: a short passage")
    edit(folder / f"{TASK}.jsonl", '", "question":', '",   "question":')
    assert fingerprint(folder, TASK) == before


def test_the_version_is_the_definitions(folder: Path) -> None:
    edit(folder / f"{TASK}.yaml", "version: 1", "version: 2.1")
    assert fingerprint(folder, TASK).version == "2.1"


def test_an_unknown_task_is_a_users_error() -> None:
    with pytest.raises(UserError, match="no task 'smoke_maths'"):
        task_fingerprint(suite("smoke"), "smoke_maths")


def test_neither_lm_eval_nor_datasets_nor_an_engine_is_imported() -> None:
    code = (
        "import sys; from slm_atlas.evals import suite, task_fingerprint\n"
        f"task_fingerprint(suite('smoke'), {TASK!r})\n"
        "print([name for name in ('lm_eval', 'datasets', 'llama_cpp', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
