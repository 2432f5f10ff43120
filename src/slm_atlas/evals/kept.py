"""What every model side of lm-eval here has in common: answers of an earlier run are looked up, new ones kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM

from slm_atlas.engines import Work
from slm_atlas.evals.answers import Answer, Answers, Forgetful, Told

OnProgress = Callable[[int, int], None]
"""Called after each call to the engine with the number of requests done and of all."""


class KeepingLM(TemplateLM):  # type: ignore[misc]
    """An lm-eval model whose answers are kept as they come.

    Args:
        answers: keeps answers between runs; None: they are not kept.
        on_progress: told after each call.
    """

    def __init__(self, answers: Answers | None, on_progress: OnProgress | None) -> None:
        super().__init__()
        self._answers = answers or Forgetful()
        self._on_progress = on_progress or (lambda done, total: None)
        self.work = Work()
        self.reused = 0
        self.truncated = 0
        self.spanned = 0

    def _known(self, kind: str, requests: Sequence[Instance]) -> dict[int, Answer]:
        """The answers of an earlier run, by the request's place."""
        kept = ((place, self._answers.get(kind, request.args)) for place, request in enumerate(requests))
        known = {place: answer for place, answer in kept if answer is not None}
        self.reused += len(known)
        if known:
            self._on_progress(len(known), len(requests))
        return known

    def _keep(
        self, kind: str, requests: Sequence[Instance], fresh: dict[int, Answer], known: dict[int, Answer]
    ) -> None:
        """Keep the answers of a call, and tell of them."""
        known |= fresh
        self._answers.put([Told(kind, requests[place].args, answer) for place, answer in fresh.items()])
        for place, answer in fresh.items():
            self.cache_hook.add_partial(kind, requests[place].args, _as_lm_eval(kind, answer))
        if fresh:
            self._on_progress(len(known), len(requests))

    def _finish(self, kind: str, requests: Sequence[Instance], known: dict[int, Answer]) -> list[Any]:
        self.truncated += len({requests[place].args[0] for place, answer in known.items() if answer.truncated})
        self.spanned += len({requests[place].args[0] for place, answer in known.items() if answer.spanned})
        return [_as_lm_eval(kind, known[place]) for place in range(len(requests))]


def _as_lm_eval(kind: str, answer: Answer) -> tuple[float | None, bool | None] | str | float | None:
    """An answer in the form lm-eval wants for that kind of request."""
    if kind == "loglikelihood":
        return (answer.logprob, answer.greedy)
    return answer.text if kind == "generate_until" else answer.logprob
