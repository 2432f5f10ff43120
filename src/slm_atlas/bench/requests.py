"""Measures one run against a server: warms up, then times requests with prompts that no cache can know."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import NamedTuple

from slm_atlas.bench.latency import settled
from slm_atlas.bench.protocol import MAX_WARMUP_PASSES, BenchSettings
from slm_atlas.engines import Engine, Response, ServerReport
from slm_atlas.errors import UserError
from slm_atlas.store.records import Sample

CACHED = 0.5
"""A prompt of which the server had read this share before was not measured. A template around it may be cached."""
NOT_CHECKABLE = "not checkable: the server does not say how much of a prompt it had read before"
_TEXT = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea body information"
)
WORDS = tuple(_TEXT.split())
"""Common words, each a token of its own in most vocabularies; ten drawn at random hold 62 bits."""


class Requests(NamedTuple):
    """What one run gave."""

    samples: list[Sample]
    """Its numbers."""
    server: ServerReport
    """What the server is, and how it was asked."""
    notes: dict[str, object]
    """How the answers ended, who counted tokens, whether the prompt cache was out of play, what is absent and why."""
    doubt: str | None
    """Why the numbers are not of what was asked; None if they are."""


def measure_requests(engine: Engine, name: str, url: str, settings: BenchSettings) -> Requests:
    """Measure one run.

    Args:
        engine: a fresh one that speaks to servers.
        name: what the server calls the model.
        url: the server.
        settings: prompt, answer and repetitions; the rest is the server's own affair.

    Raises:
        UserError: the prompt or the answer is empty.
        EngineError: the server is not there, rejects what is asked, breaks off or hangs.
    """
    if settings.n_prompt < 1 or settings.n_gen < 1:
        raise UserError("A request to a server has a prompt and an answer.", "--prompt 50 --generate 50")
    server = engine.connect(name, url)
    prompts = fresh_prompts(settings.n_prompt)
    passes = _warm_up(engine, prompts, settings)
    responses = [engine.respond(next(prompts), max_tokens=settings.n_gen) for _ in range(settings.repetitions)]
    samples = [
        Sample(metric="noop_s", index=0, value=server.noop_s),
        Sample(metric="warmup_passes", index=0, value=passes),
    ]
    gaps = 0
    for index, response in enumerate(responses):
        samples += response_samples(response, index, gaps)
        gaps += len(response.gaps_s)
    return Requests(samples, server, _notes(responses), _doubt(responses))


def fresh_prompts(words: int) -> Iterator[str]:
    """Endless prompts, none of which was ever sent before, from their first words on.

    A seed would not do: a server outlives the run, and would know the prompt of the same run tried again.
    """
    chance = secrets.SystemRandom()
    while True:
        yield " ".join(chance.choices(WORDS, k=words))


def _warm_up(engine: Engine, prompts: Iterator[str], settings: BenchSettings) -> int:
    """Repeat the measured shape until it gets no faster; the number of passes it took."""
    firsts: list[float] = []
    rests: list[float] = []
    while len(firsts) < MAX_WARMUP_PASSES:
        response = engine.respond(next(prompts), max_tokens=settings.n_gen)
        firsts.append(response.first_s)
        rests.append(sum(response.gaps_s))
        if settled(firsts) and settled(rests):
            break
    return len(firsts)


def response_samples(response: Response, index: int = 0, gaps_before: int = 0) -> list[Sample]:
    """The numbers of one answer, the `index`-th of a run.

    The decode rate is that of the tokens after the first, over the time between the first fragment and the last. Gaps
    are between tokens (`itl_s`) only where there are as many fragments as tokens, else between fragments.
    """
    fragments, decode_s = len(response.gaps_s) + 1, sum(response.gaps_s)
    values: dict[str, float | None] = {
        "ttft_s": response.first_s,
        "connect_s": response.connect_s,
        "client_s": response.client_s,
        "fragments": fragments,
        "prompt_tokens": response.prompt_tokens,
        "generated_tokens": response.tokens,
        "cached_tokens": response.cached_tokens,
    }
    if decode_s > 0 and response.tokens is None:
        values["fragments_per_s"] = (fragments - 1) / decode_s
    elif decode_s > 0 and response.tokens is not None and response.tokens > 1:
        values["decode_tokens_per_s"] = (response.tokens - 1) / decode_s
    found = [Sample(metric=name, index=index, value=value) for name, value in values.items() if value is not None]
    gap = "itl_s" if response.tokens == fragments else "fragment_gap_s"
    return found + [
        Sample(metric=gap, index=place, value=one) for place, one in enumerate(response.gaps_s, gaps_before)
    ]


def _notes(responses: list[Response]) -> dict[str, object]:
    cached = [response.cached_tokens for response in responses]
    known = None not in cached
    return {
        "finish": [response.finish for response in responses],
        "counted": [response.counted for response in responses],
        "prompt_cache": f"checked: {cached} tokens of each prompt read before" if known else NOT_CHECKABLE,
        "prompt": "random words, one for each token asked; `prompt_tokens` is what the server made of them",
        "absent": {
            "memory": "it is the server's, which does not say",
            "prefill_s": "a server's first token includes the network, tokenization and sampling: see ttft_s",
            "gate": "not applied: what the server's model must do for a token is not known here",
            "noise": "not told: the server's own work cannot be told from other programs'",
        },
    }


def _doubt(responses: list[Response]) -> str | None:
    for response in responses:
        cached, prompt = response.cached_tokens, response.prompt_tokens
        if cached and prompt and cached >= CACHED * prompt:
            return f"the server answered from its prompt cache: {cached} of {prompt} tokens were read before"
        if response.first_s <= 0 or any(gap < 0 for gap in response.gaps_s):
            return "a time is not positive"
    return None
