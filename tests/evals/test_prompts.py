"""The prompts of our suites are lm-eval's own, byte for byte: against hashes that tools/record_prompts.py recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from slm_atlas.evals import suite, with_shots
from slm_atlas.evals.results import prompts_hash
from slm_atlas.evals.suites import known_tasks

RECORDED: dict[str, list[str]] = json.loads((Path(__file__).parent / "prompt_hashes.json").read_text(encoding="utf-8"))
FIRST = 10
"""Items of each part that were hashed apart, so that this takes seconds; all of them are hashed in the slow test."""

EVERY = 8
"""The fast test builds the prompts of one in so many parts: MMLU has 57."""


def asked() -> list[tuple[str, int]]:
    """Every task of lm-eval's in our suites, with its number of worked examples."""
    found = {(task.base, task.shots) for name in ("paper", "icl", "language") for task in suite(name).tasks}
    return sorted(found)


def hashes(name: str, shots: int, data: Path, limit: int | None) -> dict[str, str]:
    from slm_atlas.evals.tasks import build

    if name == "minerva_math":
        pytest.importorskip("math_verify")
    task = with_shots(known_tasks()[name], shots)
    found = {}
    parts = build(suite("paper"), task, lambda text: list(text.encode()), data)
    for part, built in list(parts.items())[:: 1 if limit is None else EVERY]:
        built.build_all_requests(limit=limit)
        found[f"{part}@{shots}"] = prompts_hash(built.instances)
    return found


@pytest.mark.parametrize(("name", "shots"), asked())
def test_the_first_prompts_and_targets_are_lm_evals_own(name: str, shots: int, eval_rows: Path) -> None:
    found = hashes(name, shots, eval_rows, FIRST)
    assert found == {part: RECORDED[part][0] for part in found}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shots"), asked())
def test_all_prompts_and_targets_are_lm_evals_own(name: str, shots: int, eval_rows: Path) -> None:
    found = hashes(name, shots, eval_rows, None)
    assert found == {part: RECORDED[part][1] for part in found}


def test_other_shots_or_another_order_of_them_are_another_prompt(eval_rows: Path) -> None:
    assert hashes("piqa", 2, eval_rows, FIRST)["piqa@2"] not in RECORDED["piqa@1"]


def test_every_task_and_part_was_recorded() -> None:
    recorded = {name.partition("@")[0] for name in RECORDED}
    assert len([name for name in recorded if name.startswith("mmlu_")]) == 57
    assert len([name for name in recorded if name.startswith("minerva_math_")]) == 7
    assert {name for name, _ in asked()} - {"mmlu", "minerva_math"} <= recorded
