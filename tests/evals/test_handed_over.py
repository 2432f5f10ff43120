"""Requests handed over to a model of lm-eval's own: whole, in calls, each kept when it returns."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from lm_eval.api.instance import Instance

from slm_atlas.engines import EngineInfo, LoadReport, LoadSettings
from slm_atlas.engines.fake import Fake
from slm_atlas.engines.values import Reply, Request
from slm_atlas.errors import EngineRefused
from slm_atlas.evals import evaluate_task, suite
from slm_atlas.evals.answers import Answer, Arguments, Told
from slm_atlas.evals.handed_over import CALL, HandedOverLM


class Served(Fake):
    """A server's model: `logprob` for everything, or one that falls with the length; says `4`."""

    def __init__(self, logprob: float | None = None, fails_at: int = 1000) -> None:
        super().__init__()
        self._logprob = logprob
        self._fails_at = fails_at
        self.asked: list[Request] = []

    def describe(self) -> EngineInfo:
        return EngineInfo(name="completions", version="1", build="made up")

    def load(self, settings: LoadSettings) -> LoadReport:
        return super().load(LoadSettings(path="fake:ok", context=settings.context))

    def ask(self, requests: Sequence[Request]) -> list[Reply]:
        if len(self.asked) + len(requests) > self._fails_at:
            raise EngineRefused("gone")
        self.asked += requests
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Reply:
        if request.kind == "generate_until":
            return Reply(tokens=None, text=" 4")
        value = -float(len(request.arguments[-1])) if self._logprob is None else self._logprob
        return Reply(tokens=None, logprob=value, greedy=False)


class Memory:
    """Keeps answers in this process."""

    def __init__(self) -> None:
        self.kept: dict[str, Answer] = {}

    def get(self, kind: str, arguments: Arguments) -> Answer | None:
        return self.kept.get(repr((kind, arguments)))

    def put(self, told: Sequence[Told]) -> None:
        self.kept |= {repr((kind, arguments)): answer for kind, arguments, answer in told}


def requests(count: int) -> list[Instance]:
    return [
        Instance(request_type="loglikelihood", doc={}, arguments=("Q" * number, " a" * (1 + number % 7)), idx=number)
        for number in range(count)
    ]


def test_answers_come_in_the_order_of_the_requests() -> None:
    asked = requests(3 * CALL)
    found = HandedOverLM(Served()).loglikelihood(asked)
    assert found == [(-float(len(request.args[1])), False) for request in asked]


def test_a_run_that_breaks_off_loses_one_call_and_the_next_asks_the_rest() -> None:
    memory, asked, broken = Memory(), requests(3 * CALL), Served(fails_at=2 * CALL)
    with pytest.raises(EngineRefused):
        HandedOverLM(broken, answers=memory).loglikelihood(asked)
    assert len(memory.kept) == 2 * CALL
    again = Served()
    lm = HandedOverLM(again, answers=memory)
    assert lm.loglikelihood(asked) == HandedOverLM(Served()).loglikelihood(asked)
    assert (len(again.asked), lm.reused) == (CALL, 2 * CALL)


def test_a_task_is_evaluated_with_the_same_samples() -> None:
    load = LoadSettings(path="endpoint:m@http://127.0.0.1:1/v1", context=1024)
    handed = evaluate_task(Served(), load, suite("smoke"), "smoke_commonsense")
    ours = evaluate_task(Fake(), LoadSettings(path="fake:ok", context=1024), suite("smoke"), "smoke_commonsense")
    assert handed.prompts_hash == ours.prompts_hash
    assert [(s.metric, s.item, sorted(s.detail or {})) for s in handed.samples] == [
        (s.metric, s.item, sorted(s.detail or {})) for s in ours.samples
    ]
    text = evaluate_task(Served(), load, suite("smoke"), "smoke_arithmetic", limit=2)
    assert [(sample.detail or {})["text"] for sample in text.samples if sample.detail] == [" 4"] * 2


def test_a_server_without_log_probabilities_is_refused_and_not_scored_by_chance() -> None:
    load = LoadSettings(path="endpoint:m@http://127.0.0.1:1/v1", context=1024)
    with pytest.raises(EngineRefused, match="does not score"):
        evaluate_task(Served(logprob=0.0), load, suite("smoke"), "smoke_commonsense")
