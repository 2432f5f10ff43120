"""Worked examples: the first ones for every question alike where that is asked for, and never the question itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slm_atlas.evals.shots import fix_shots

if TYPE_CHECKING:  # imported where they are used: it takes a second, which every process that collects would pay
    from lm_eval.api.task import ConfigurableTask

ROWS = [{"question": f"q{number}", "answer": f"a{number}"} for number in range(20)]


def task(**config: Any) -> ConfigurableTask:
    from datasets import Dataset
    from lm_eval.api.task import ConfigurableTask

    rows = Dataset.from_list(ROWS)
    made = ConfigurableTask(
        config={
            "task": "shots",
            "custom_dataset": lambda **_: {"train": rows, "test": rows},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{question}}:",
            "doc_to_target": "{{answer}}",
            "num_fewshot": 2,
            **config,
        }
    )
    made.set_fewshot_seed(1234)
    return made


def shots(made: ConfigurableTask) -> list[str]:
    """What stands before each question."""
    made.build_all_requests(rank=0, world_size=1)
    prompts = [instance.args[0] for instance in made.instances]
    return [prompt.rpartition("\n\n")[0] for prompt in prompts]


def test_lm_eval_draws_anew_for_each_question_unless_they_are_fixed() -> None:
    drawn, fixed = task(training_split="train"), task(training_split="train")
    fix_shots(fixed)
    assert len(set(shots(drawn))) > 10
    assert set(shots(fixed)) == {"q0: a0\n\nq1: a1"}


def test_no_question_is_its_own_example() -> None:
    fixed = task(fewshot_split="test")
    fix_shots(fixed)
    assert shots(fixed)[:3] == ["q1: a1\n\nq2: a2", "q0: a0\n\nq2: a2", "q0: a0\n\nq1: a1"]


def test_a_task_with_a_choice_of_its_own_keeps_it() -> None:
    own = task(fewshot_config={"sampler": "first_n", "samples": ROWS[7:9]})
    fix_shots(own)
    assert set(shots(own)) == {"q7: a7\n\nq8: a8"}
