"""The model side of lm-eval: its requests, answered by one of our engines.

All requests of a task are planned before the first is answered: what an earlier run answered is looked up, the rest is
brought into the lexicographic order of its tokens, in which requests that share a beginning follow each other, and the
engine gets it in calls of a bounded size. After each call the answers are kept, so a run that is killed loses that
call's at most.

Importing this module imports lm-eval (extra `eval`); `slm_atlas.evals` does so only when an evaluation runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lm_eval.api.instance import Instance
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from slm_atlas.engines import Engine, Pair, Prompt, Score
from slm_atlas.engines.packing import common
from slm_atlas.errors import UserError
from slm_atlas.evals.answers import Answer, Answers
from slm_atlas.evals.kept import KeepingLM, OnProgress
from slm_atlas.evals.tokens import Encoder

MAX_GENERATED = 256
"""Tokens generated where a task gives no limit: lm-eval's own default."""
CALL_TOKENS = 8192
"""Tokens an engine reads in one call, unless told otherwise: seconds of a small model."""
GENERATING = 16
"""How many times as many tokens a call that generates may take: so that rarely a sequence runs alone."""


class _Pair(NamedTuple):
    """A continuation to score for a request."""

    place: int
    """The request's place."""
    pair: Pair
    truncated: bool


def call_tokens(model_params: int) -> int:
    """Tokens of one call for a model of this size: about as long a call for each, as far as it is worth while.

    >>> call_tokens(135_000_000), call_tokens(3_000_000_000)
    (7407, 512)
    """
    return int(min(CALL_TOKENS, max(512, 1e12 / max(1, model_params))))


class EngineLM(KeepingLM):
    """An engine with a model loaded, as an lm-eval model.

    A prompt too long for the context loses its beginning (begin-of-text stays); `truncated` counts them. `spanned`
    counts the contexts whose last token reached into a continuation. `work` is what the engine did; answers that were
    kept cost nothing.

    Args:
        engine: the engine; its model must have a tokenizer.
        context: tokens the engine reads of a text at most; the one predicted last is not read.
        answers: keeps answers between runs; None: they are not kept.
        tokens: tokens the engine reads in one call.
        on_progress: told after each call.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        context: int,
        answers: Answers | None = None,
        tokens: int = CALL_TOKENS,
        on_progress: OnProgress | None = None,
    ) -> None:
        super().__init__(answers, on_progress)
        self._engine = engine
        self._context = context
        self._tokens = tokens
        self._encoder = Encoder(engine)

    @property
    def eot_token_id(self) -> int:
        """Never asked: lm-eval needs it where there is no `prefix_token_id`."""
        return self.prefix_token_id

    @property
    def prefix_token_id(self) -> int:
        """The token before an empty context: see `Engine.begin_of_text`."""
        return self._encoder.opening[-1]

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Tokens of a text; see `Encoder` for what is added."""
        return self._encoder.encode(string, begin=add_special_tokens is not False)

    # ---- scoring ----------------------------------------------------------------------------------------------

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log probability of each continuation after its context, and whether it is the greedy one; in input order."""
        kind = "loglikelihood"
        known = self._known(kind, requests)
        pairs, spanned = self._pairs(requests, [place for place in range(len(requests)) if place not in known])
        pairs.sort(key=lambda pair: pair.pair.prefix)
        for call in self._calls(pairs):
            fresh = {
                pair.place: Answer(
                    tokens=len(pair.pair.continuation),
                    n_bytes=len(requests[pair.place].args[1].encode()),
                    logprob=score.logprob,
                    greedy=score.greedy,
                    truncated=pair.truncated,
                    spanned=requests[pair.place].args[0] in spanned,
                )
                for pair, score in zip(call, self._score(call), strict=True)
            }
            self._keep(kind, requests, fresh, known)
        return self._finish(kind, requests, known)

    def _pairs(self, requests: Sequence[Instance], places: Sequence[int]) -> tuple[list[_Pair], set[str]]:
        """What is scored for these requests, and the contexts whose last token reaches into a continuation."""
        places_by_context: dict[str, list[int]] = {}
        for place in places:
            places_by_context.setdefault(requests[place].args[0], []).append(place)
        splits = self._encoder.split(
            {context: [requests[place].args[1] for place in here] for context, here in places_by_context.items()}
        )
        pairs = []
        for context, split in splits.items():
            # One prefix for all continuations of a context, even where a short one leaves more room.
            prefix = self._encoder.keep_last(split.prefix, self._context + 1 - max(map(len, split.continuations)))
            truncated = len(prefix) < len(split.prefix)
            for place, tokens in zip(places_by_context[context], split.continuations, strict=True):
                pairs.append(_Pair(place, Pair(prefix=prefix, continuation=tokens), truncated))
        return pairs, {context for context, split in splits.items() if split.spans}

    def _calls(self, pairs: Sequence[_Pair]) -> Iterator[list[_Pair]]:
        """The pairs of each call; those with one prefix stay together, so that their scores round alike."""
        call: list[_Pair] = []
        tokens = 0
        for pair in pairs:
            before = call[-1].pair.prefix if call else []
            if tokens >= self._tokens and pair.pair.prefix != before:
                yield call
                call, tokens, before = [], 0, []
            shared = common(before, pair.pair.prefix)
            tokens += len(pair.pair.prefix) - shared + len(pair.pair.continuation) - 1
            call.append(pair)
        if call:
            yield call

    def _score(self, call: Sequence[_Pair]) -> list[Score]:
        found = self._engine.score([pair.pair for pair in call])
        self.work += found.work
        return found.scores

    def _loglikelihood_tokens(self, requests: object, **_: object) -> list[tuple[float, bool]]:
        raise NotImplementedError("`loglikelihood` does not come here")

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Log probability of each whole text, read in windows of the context as lm-eval cuts them; in input order."""
        kind = "loglikelihood_rolling"
        known = self._known(kind, requests)
        places = [place for place in range(len(requests)) if place not in known]
        texts = self._encoder.encode_all([requests[place].args[0] for place in places], begin=False)
        counts = dict(zip(places, map(len, texts), strict=True))
        windows = [window for place, text in zip(places, texts, strict=True) for window in self._windows(place, text)]
        empty = {place: _whole(requests[place], 0, 0.0) for place in places if not counts[place]}
        self._keep(kind, requests, empty, known)
        left, sums = dict(counts), dict.fromkeys(counts, 0.0)
        for call in self._calls(windows):
            for window, score in zip(call, self._score(call), strict=True):
                left[window.place] -= len(window.pair.continuation)
                sums[window.place] += score.logprob
            done = {window.place for window in call if not left[window.place]}
            fresh = {place: _whole(requests[place], counts[place], sums[place]) for place in sorted(done)}
            self._keep(kind, requests, fresh, known)
        return self._finish(kind, requests, known)

    def _windows(self, place: int, tokens: list[int]) -> list[_Pair]:
        windows = get_rolling_token_windows(tokens, self.prefix_token_id, self._context, context_len=1)
        pairs = [make_disjoint_window(window) for window in windows]
        return [_Pair(place, Pair(prefix=prefix, continuation=tokens), truncated=False) for prefix, tokens in pairs]

    # ---- generation -------------------------------------------------------------------------------------------

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """What follows each prompt, greedily, up to a stop string or the limit of tokens; in input order.

        Raises:
            UserError: a task asks for sampling, or for more tokens than the context holds.
        """
        kind = "generate_until"
        wanted = [_settings(request.args[1]) for request in requests]
        known = self._known(kind, requests)
        places = [place for place in range(len(requests)) if place not in known]
        texts = self._encoder.encode_all([requests[place].args[0] for place in places])
        wholes = {place: tokens or self._encoder.opening for place, tokens in zip(places, texts, strict=True)}
        prompts = {place: self._prompt(tokens, wanted[place]) for place, tokens in wholes.items()}
        for call in self._prompt_calls(prompts):
            found = self._engine.generate([prompts[place] for place in call])
            self.work += found.work
            fresh = {
                place: Answer(
                    tokens=generated.tokens,
                    n_bytes=len(generated.text.encode()),
                    text=generated.text,
                    stopped=generated.stopped,
                    truncated=len(prompts[place].tokens) < len(wholes[place]),
                )
                for place, generated in zip(call, found.generations, strict=True)
            }
            self._keep(kind, requests, fresh, known)
        return self._finish(kind, requests, known)

    def _prompt(self, tokens: Sequence[int], wanted: dict[str, Any]) -> Prompt:
        return Prompt(
            tokens=self._encoder.keep_last(tokens, self._context - wanted["max_gen_toks"]),
            stop=[string for string in wanted["until"] if string],
            max_tokens=wanted["max_gen_toks"],
        )

    def _prompt_calls(self, prompts: dict[int, Prompt]) -> Iterator[list[int]]:
        """The places of the prompts of each call, in lexicographic order."""
        call: list[int] = []
        tokens = 0
        for place in sorted(prompts, key=lambda place: prompts[place].tokens):
            prompt = prompts[place]
            if tokens >= GENERATING * self._tokens:
                yield call
                call, tokens = [], 0
            tokens += len(prompt.tokens) + prompt.max_tokens
            call.append(place)
        if call:
            yield call


def _settings(gen_kwargs: dict[str, Any]) -> dict[str, Any]:
    """The settings of a request to generate, as lm-eval reads them."""
    wanted: dict[str, Any] = normalize_gen_kwargs(gen_kwargs, MAX_GENERATED)
    if wanted["do_sample"]:
        raise UserError(
            "The task asks for sampled text, and engines generate greedily.", "generation_kwargs: do_sample: false"
        )
    return wanted


def _whole(request: Instance, tokens: int, logprob: float) -> Answer:
    """The answer to a whole text."""
    return Answer(tokens=tokens, n_bytes=len(request.args[0].encode()), logprob=logprob)
