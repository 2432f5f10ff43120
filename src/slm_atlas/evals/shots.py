"""Which worked examples stand before a question: lm-eval's own choice, or the same ones before every question."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lm_eval.api.task import ConfigurableTask


class ShotsOrder(StrEnum):
    """How worked examples are chosen."""

    LM_EVAL = "lm-eval"
    """As the task's definition says: by default drawn anew for each question. Comparable with published scores."""
    FIXED = "fixed"
    """The first ones of the split, for all questions alike: prompts share them, and they are read once."""


def fix_shots(task: ConfigurableTask) -> None:
    """Let a task that draws its worked examples at random take the first ones; other tasks stay as they are.

    That is lm-eval's sampler `first_n`, except that a question is never its own example.
    """
    from lm_eval.api.samplers import ContextSampler

    class First(ContextSampler):  # type: ignore[misc]
        """The first examples that are not the question itself."""

        def sample(
            self, n: int, eval_doc: dict[str, Any] | None = None, df: Sequence[Any] | None = None, **_: object
        ) -> Sequence[dict[str, Any]]:
            """The examples."""
            return [doc for doc in df or self.fewshot_docs() if doc != eval_doc][:n]

    drawn = getattr(task, "sampler", None)
    if drawn is not None and type(drawn) is ContextSampler:
        task.sampler = First(drawn.df, fewshot_indices=drawn.fewshot_indices)
