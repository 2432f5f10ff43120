"""The model side of lm-eval where an engine is a model of lm-eval's own: requests are handed over as they are.

They go to the engine's process in calls of a bounded number, whose answers are kept when it returns. lm-eval's model
sees one call at a time, so a call's prompts are those it batches.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance

from slm_atlas.engines import Engine, Work
from slm_atlas.engines.values import Reply, Request
from slm_atlas.evals.answers import Answer, Answers
from slm_atlas.evals.kept import KeepingLM, OnProgress

CALL = 32
"""Requests of a call: a few batches, so that a killed run loses little and little time goes into padding."""
GENERATING = 8
"""Requests of a call that generates: one takes a server a minute where it is slow."""


class HandedOverLM(KeepingLM):
    """An engine that answers requests whole, as an lm-eval model; it truncates by itself, and does not tell.

    Args:
        engine: the engine, with a model loaded.
        answers: keeps answers between runs; None: they are not kept.
        on_progress: told after each call.
    """

    def __init__(
        self, engine: Engine, *, answers: Answers | None = None, on_progress: OnProgress | None = None
    ) -> None:
        super().__init__(answers, on_progress)
        self._engine = engine

    @property
    def eot_token_id(self) -> int:
        """Not asked for: the engine's model knows it."""
        raise NotImplementedError("the engine's own model adds it")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Tokens of a text, where the engine's model has a tokenizer."""
        return self._engine.tokenize(string)

    def _loglikelihood_tokens(self, requests: object, **_: object) -> list[tuple[float, bool]]:
        raise NotImplementedError("`loglikelihood` does not come here")

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log probability of each continuation, and whether it is the greedy one; in input order."""
        return self._ask("loglikelihood", requests)

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Log probability of each whole text; in input order."""
        return self._ask("loglikelihood_rolling", requests)

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """What follows each prompt; in input order."""
        return self._ask("generate_until", requests)

    def _ask(self, kind: str, requests: Sequence[Instance]) -> list[Any]:
        known = self._known(kind, requests)
        # Longest first, as lm-eval sorts them, so that what a call batches is of about one length.
        places = [place for place in range(len(requests)) if place not in known]
        places.sort(key=lambda place: -len(str(requests[place].args[0])))
        size = GENERATING if kind == "generate_until" else CALL
        for start in range(0, len(places), size):
            call, began = places[start : start + size], time.perf_counter()
            replies = self._engine.ask([Request(kind=kind, arguments=list(requests[place].args)) for place in call])
            self.work += Work(compute_s=time.perf_counter() - began)
            fresh = {place: _answer(requests[place], reply) for place, reply in zip(call, replies, strict=True)}
            self._keep(kind, requests, fresh, known)
        return self._finish(kind, requests, known)


def _answer(request: Instance, reply: Reply) -> Answer:
    scored = request.args[0] if request.request_type == "loglikelihood_rolling" else str(request.args[1])
    return Answer(
        tokens=reply.tokens,
        n_bytes=len((scored if reply.text is None else reply.text).encode()),
        logprob=reply.logprob,
        greedy=reply.greedy,
        text=reply.text,
    )
