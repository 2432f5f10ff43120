"""Rows from a folder: what is right is read, what is wrong is said in a line that names file, line number and field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from slm_atlas.errors import UserError
from slm_atlas.evals import Fingerprint, suite, task_fingerprint, with_shots
from slm_atlas.evals.data import missing, read_task
from slm_atlas.evals.suites import SuiteTask, known_tasks

PIQA = known_tasks()["piqa"]
ROW = {"goal": "Open a jar.", "sol1": "Turn the lid.", "sol2": "Turn the jar.", "label": 0}
QUESTION = {"question": "Why?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answerKey": "B"}


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_rows_are_read_with_the_fields_of_the_schema_alone(tmp_path: Path) -> None:
    write(tmp_path, "piqa/validation.jsonl", [{**ROW, "note": 1}, ROW])
    assert read_task(PIQA, tmp_path)["piqa"].evaluated == [ROW, ROW]


def test_worked_examples_are_needed_only_where_they_are_asked_for(tmp_path: Path) -> None:
    write(tmp_path, "piqa/validation.jsonl", [ROW])
    assert missing(PIQA, tmp_path) is None
    with pytest.raises(UserError, match=r"piqa/train\.jsonl is missing"):
        read_task(with_shots(PIQA, 5), tmp_path)
    write(tmp_path, "piqa/train.jsonl", [ROW] * 5)
    assert len(read_task(with_shots(PIQA, 5), tmp_path)["piqa"].examples) == 5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"label": "0"}, "`$.label`"),
        ({"label": 2}, "`$.label`"),
        ({"sol1": ""}, "length >= 1 - at `$.sol1`"),
        ({"goal": None}, "expected `str`, got `null` - at `$.goal`"),
    ],
)
def test_a_row_that_breaks_the_schema_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = write(tmp_path, "piqa/validation.jsonl", [ROW, {**ROW, **change}])
    with pytest.raises(UserError) as error:
        read_task(PIQA, tmp_path)
    assert f"{path}, line 2: " in error.value.message
    assert complaint in error.value.message
    assert "\n" not in error.value.message


@pytest.mark.parametrize("field", list(ROW))
def test_a_missing_field_is_named(tmp_path: Path, field: str) -> None:
    write(tmp_path, "piqa/validation.jsonl", [{name: value for name, value in ROW.items() if name != field}])
    with pytest.raises(UserError, match=rf"line 1: object missing required field `{field}`"):
        read_task(PIQA, tmp_path)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (json.dumps({**ROW, "goal": "caf~"}).encode().replace(b"~", b"\xe9"), "UTF-8"),
        (b'{"goal": ', "truncated"),
        (b"[]", "expected `object`"),
    ],
)
def test_a_line_that_is_no_json_object_in_utf_8_is_named(tmp_path: Path, line: bytes, complaint: str) -> None:
    path = write(tmp_path, "piqa/validation.jsonl", [ROW])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(UserError, match=r"line 2: .*") as error:
        read_task(PIQA, tmp_path)
    assert complaint in error.value.message


@pytest.mark.parametrize(
    ("task", "row", "complaint"),
    [
        ("arc_easy", {**QUESTION, "answerKey": "C"}, "`answerKey` is 'C', and the labels are A, B"),
        ("arc_easy", {**QUESTION, "choices": {"text": ["a", ""], "label": ["A", "B"]}}, "`$.choices.text[1]`"),
        ("arc_easy", {**QUESTION, "choices": {"text": ["a", "b"], "label": ["A", "B", "C"]}}, "2 texts and 3 labels"),
        ("commonsense_qa", QUESTION, "the labels of the choices are not A, B, C, D, E"),
        (
            "truthfulqa_mc2",
            {
                "question": "Why?",
                "mc1_targets": {"choices": ["a"], "labels": [1]},
                "mc2_targets": {"choices": ["a", "b"], "labels": [0, 0]},
            },
            "no choice is true",
        ),
        (
            "hellaswag",
            {"activity_label": "Run", "ctx_a": "He", "ctx_b": "runs", "endings": ["a", "b"], "label": "2"},
            "`label` is 2, and there are 2 choices",
        ),
    ],
)
def test_a_label_points_at_a_choice(tmp_path: Path, task: str, row: dict[str, Any], complaint: str) -> None:
    found = known_tasks()[task]
    split = "test" if task.startswith("arc") else "validation"
    write(tmp_path, f"{found.data or task}/{split}.jsonl", [row])
    with pytest.raises(UserError) as error:
        read_task(found, tmp_path)
    assert complaint in error.value.message


def test_one_file_holds_all_parts(tmp_path: Path) -> None:
    rows = [
        {"problem": "1+1?", "solution": "\\boxed{2}", "type": kind} for kind in ("Algebra", "Counting & Probability")
    ]
    write(tmp_path, "minerva_math/test.jsonl", rows)
    found = read_task(known_tasks()["minerva_math"], tmp_path)
    assert {part: rows.evaluated for part, rows in found.items()} == {
        "minerva_math_algebra": rows[:1],
        "minerva_math_counting_and_prob": rows[1:],
    }


def test_a_data_set_without_a_schema_must_be_of_like_rows(tmp_path: Path) -> None:
    task = SuiteTask(name="sciq", title="SciQ", metric="acc", definition="sciq/sciq.yaml")
    path = write(tmp_path, "sciq/test.jsonl", [{"a": 1}, {"a": 2, "b": 3}])
    with pytest.raises(UserError, match=r"line 2: other fields than line 1: `b`"):
        read_task(task, tmp_path)
    path.write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"sciq/test\.jsonl has no rows"):
        read_task(task, tmp_path)


def test_a_row_and_the_shots_count_in_the_fingerprint_and_the_folder_does_not(tmp_path: Path) -> None:
    def of(folder: str, rows: Sequence[Mapping[str, Any]]) -> Fingerprint:
        write(tmp_path / folder, "piqa/validation.jsonl", rows)
        return task_fingerprint(suite("paper"), "piqa", tmp_path / folder)

    assert of("a", [ROW]) == of("b", [{**ROW, "note": 1}])
    assert of("a", [ROW]).items == 1
    assert of("a", [ROW]).data_hash != of("c", [{**ROW, "label": 1}]).data_hash
    assert of("a", [ROW]).data_hash != task_fingerprint(suite("paper"), "piqa").data_hash
    assert len({task_fingerprint(suite("icl"), name).data_hash for name in ("piqa", "piqa_1shot")}) == 2


def test_the_real_rows_keep_the_schema(eval_rows: Path) -> None:
    counts = {}
    for task in known_tasks().values():
        if task.definition:
            counts[task.name] = sum(len(part.evaluated) for part in read_task(task, eval_rows).values())
    assert counts["mmlu"] == counts["minerva_math"] == counts["piqa"] == 500
    assert (counts["hellaswag"], counts["humaneval"], counts["wikitext"]) == (350, 82, 31)
