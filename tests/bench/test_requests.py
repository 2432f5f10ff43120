"""Numbers of requests: tokens are tokens only where a server counts them, and a cached prompt is found out."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from slm_atlas.bench import BenchSettings, measure_requests
from slm_atlas.bench.requests import NOT_CHECKABLE, WORDS, Requests, fresh_prompts, response_samples
from slm_atlas.engines import EngineInfo, Response, ServerReport
from slm_atlas.engines.partial import Partial
from slm_atlas.errors import UserError

RESPONSE = Response(
    connect_s=0.001, first_s=0.5, gaps_s=[0.1, 0.1, 0.2], client_s=0.0001, prompt_tokens=50, tokens=4, cached_tokens=0,
    counted="stream", finish="length",
)  # fmt: skip


class Scripted(Partial):
    """A server that always answers the same."""

    def __init__(self, response: Response) -> None:
        self._response = response
        self.prompts: list[str] = []

    def describe(self) -> EngineInfo:
        return EngineInfo(name="endpoint", version="1", build="scripted")

    def connect(self, name: str, url: str) -> ServerReport:
        return ServerReport(server=None, api="completions", extras=[], listed=None, details={}, noop_s=0.002)

    def respond(self, prompt: str, *, max_tokens: int) -> Response:
        self.prompts.append(prompt)
        return self._response


def measured(**changes: object) -> Requests:
    engine = Scripted(msgspec.structs.replace(RESPONSE, **changes))
    return measure_requests(engine, "m", "http://host/v1", BenchSettings(repetitions=2))


def values(response: Response) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for sample in response_samples(response):
        found.setdefault(sample.metric, []).append(sample.value)
    return found


def test_the_decode_rate_is_of_the_tokens_after_the_first() -> None:
    found = values(RESPONSE)
    assert found["decode_tokens_per_s"] == [pytest.approx(3 / 0.4)]
    assert found["itl_s"] == [0.1, 0.1, 0.2]
    assert found["ttft_s"] == [0.5]


def test_fewer_fragments_than_tokens_have_gaps_of_their_own() -> None:
    found = values(msgspec.structs.replace(RESPONSE, tokens=9))
    assert found["decode_tokens_per_s"] == [pytest.approx(8 / 0.4)]
    assert "itl_s" not in found
    assert found["fragment_gap_s"] == [0.1, 0.1, 0.2]


def test_without_counts_fragments_are_never_called_tokens() -> None:
    found = values(msgspec.structs.replace(RESPONSE, tokens=None, prompt_tokens=None, cached_tokens=None))
    assert found["fragments_per_s"] == [pytest.approx(3 / 0.4)]
    assert not {"decode_tokens_per_s", "itl_s", "generated_tokens", "prompt_tokens", "cached_tokens"} & set(found)


@pytest.mark.parametrize("gaps", [[], [0.0]])
def test_an_answer_in_one_piece_has_no_rate(gaps: list[float]) -> None:
    assert not {"decode_tokens_per_s", "fragments_per_s"} & set(values(msgspec.structs.replace(RESPONSE, gaps_s=gaps)))


def test_a_run_has_each_number_once_and_says_what_is_absent() -> None:
    found = measured()
    assert len({(sample.metric, sample.index) for sample in found.samples}) == len(found.samples)
    assert found.doubt is None
    assert found.notes["finish"] == ["length", "length"]
    assert {"memory", "gate", "prefill_s"} <= set(msgspec.to_builtins(found.notes)["absent"])


def test_a_cached_prompt_is_found_out() -> None:
    assert "prompt cache: 48 of 50" in str(measured(cached_tokens=48).doubt)
    assert measured(cached_tokens=3).doubt is None  # a template around the prompt
    assert measured(cached_tokens=None).notes["prompt_cache"] == NOT_CHECKABLE


def test_prompts_are_new_from_their_first_words_on() -> None:
    prompts: Iterator[str] = fresh_prompts(50)
    found = [next(prompts) for _ in range(50)]
    assert len({" ".join(prompt.split()[:10]) for prompt in found}) == 50
    assert all(len(prompt.split()) == 50 for prompt in found)
    assert len(set(WORDS)) == len(WORDS)


def test_an_empty_prompt_or_answer_is_the_users_error() -> None:
    with pytest.raises(UserError, match="a prompt and an answer"):
        measure_requests(Scripted(RESPONSE), "m", "http://host/v1", BenchSettings(n_gen=0))
