"""The model side of lm-eval: its requests, answered by one of our engines.

What lm-eval's own models do not do: what prompts share is read once. Requests with one context are scored together,
and contexts are taken in the lexicographic order of their tokens. That order is a walk of the tree of their prefixes,
so an engine that keeps nothing but its last prompt reads each branch once, in whatever order the requests came.

Importing this module imports lm-eval (extra `eval`); `slm_atlas.evals` does so only when an evaluation runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from slm_atlas.engines import Engine, Score
from slm_atlas.errors import UserError
from slm_atlas.evals.tokens import Encoder, PrefillCount

MAX_GENERATED = 256
"""Tokens generated where a task gives no limit: lm-eval's own default."""
_BATCH = 32  # continuations of one call: progress keeps moving, and no call nears a worker's deadline

OnProgress = Callable[[int, int], None]
"""Called after each request with the number done and the number of all."""


class _Pair(NamedTuple):
    """One thing to score: lm-eval's (arguments, context tokens, continuation tokens)."""

    args: tuple[str, str] | None
    prefix: list[int]
    continuation: list[int]


class _Prompt(NamedTuple):
    """One thing to generate."""

    tokens: list[int]
    stop: list[str]
    max_tokens: int


class EngineLM(TemplateLM):  # type: ignore[misc]
    """An engine with a model loaded, as an lm-eval model.

    A prompt too long for the context loses its beginning (begin-of-text stays); `truncated` counts them. `spanned`
    counts the contexts whose last token reached into a continuation. `prefill` counts the tokens read.

    Args:
        engine: the engine; its model must have a tokenizer.
        context: tokens the engine's KV cache holds, as granted when the model was loaded.
        on_progress: told of each request done.
    """

    def __init__(self, engine: Engine, *, context: int, on_progress: OnProgress | None = None) -> None:
        super().__init__()
        self._engine = engine
        self._context = context
        self._on_progress = on_progress or (lambda done, total: None)
        self._encoder = Encoder(engine)
        self.prefill = PrefillCount()
        self.truncated = 0
        self.spanned = 0

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self._engine.end_of_text()

    @property
    def prefix_token_id(self) -> int:
        """The token before an empty context: begin-of-text where the tokenizer adds one, else end-of-text."""
        return self._encoder.opening[-1]

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: object) -> list[int]:
        """Tokens of a text; see `Encoder` for what is added."""
        return self._encoder.encode(string, begin=add_special_tokens is not False)

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """Log probability of each continuation after its context, and whether it is the greedy one; in input order."""
        places_by_context: dict[str, list[int]] = defaultdict(list)
        for place, request in enumerate(requests):
            places_by_context[request.args[0]].append(place)
        pairs: dict[int, _Pair] = {}
        for context, places in places_by_context.items():
            split = self._encoder.split(context, [requests[place].args[1] for place in places])
            self.spanned += split.spans
            for place, tokens in zip(places, split.continuations, strict=True):
                pairs[place] = _Pair(requests[place].args, split.prefix, tokens)
        return self._loglikelihood_tokens([pairs[place] for place in range(len(requests))])

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[tuple[str, str] | None, list[int], list[int]]], **_: object
    ) -> list[tuple[float, bool]]:
        pairs = [_Pair(*request) for request in requests]
        results: dict[int, tuple[float, bool]] = {}
        for place, score in self._score(pairs):
            results[place] = (score.logprob, score.greedy)
            if pairs[place].args is not None:
                self.cache_hook.add_partial("loglikelihood", pairs[place].args, results[place])
            self._on_progress(len(results), len(pairs))
        return [results[place] for place in range(len(pairs))]

    def _score(self, pairs: Sequence[_Pair]) -> Iterator[tuple[int, Score]]:
        """Each pair's place and score, as they come."""
        places_by_prefix: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, pair in enumerate(pairs):
            places_by_prefix[tuple(pair.prefix)].append(place)
        for tokens in sorted(places_by_prefix):
            places = places_by_prefix[tokens]
            # One prefix for all continuations of a context, even where a short one leaves more room.
            prefix = self._fit(tokens, max(len(pairs[place].continuation) for place in places))
            for first in range(0, len(places), _BATCH):
                batch = places[first : first + _BATCH]
                continuations = [pairs[place].continuation for place in batch]
                self.prefill.add(prefix, continuations)
                yield from zip(batch, self._engine.score(prefix, continuations), strict=True)

    def _fit(self, tokens: Sequence[int], n_after: int) -> list[int]:
        fitting = self._encoder.keep_last(tokens, self._context - n_after)
        self.truncated += len(fitting) < len(tokens)
        return fitting

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = True) -> list[float]:
        """Log probability of each whole text, read in windows of the context as lm-eval cuts them; in input order."""
        results = []
        for request in requests:
            (text,) = request.args
            results.append(sum(score.logprob for _, score in self._score(self._windows(text))))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, results[-1])
            self._on_progress(len(results), len(requests))
        return results

    def _windows(self, text: str) -> list[_Pair]:
        # One less than the context: the engine wants room for the token predicted last, too.
        windows = get_rolling_token_windows(
            self._encoder.encode(text, begin=False), self.prefix_token_id, self._context - 1, context_len=1
        )
        return [_Pair(None, *make_disjoint_window(window)) for window in windows]

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = True) -> list[str]:
        """What follows each prompt, greedily, up to a stop string or the limit of tokens; in input order.

        Raises:
            UserError: a task asks for sampling, or for more tokens than the context holds.
        """
        prompts = [self._prompt(*request.args) for request in requests]
        results: dict[int, str] = {}
        for place in sorted(range(len(prompts)), key=lambda place: prompts[place].tokens):
            prompt = prompts[place]
            self.prefill.add(prompt.tokens, [prompt.tokens[:1]])
            found = self._engine.generate(prompt.tokens, max_tokens=prompt.max_tokens, stop=prompt.stop)
            results[place] = found.text
            self.cache_hook.add_partial("generate_until", requests[place].args, found.text)
            self._on_progress(len(results), len(prompts))
        return [results[place] for place in range(len(prompts))]

    def _prompt(self, text: str, gen_kwargs: dict[str, Any]) -> _Prompt:
        wanted = normalize_gen_kwargs(gen_kwargs, MAX_GENERATED)
        if wanted["do_sample"]:
            raise UserError(
                "The task asks for sampled text, and engines generate greedily.", "generation_kwargs: do_sample: false"
            )
        tokens = self._encoder.encode(text) or self._encoder.opening
        stop = [string for string in wanted["until"] if string]
        return _Prompt(self._fit(tokens, wanted["max_gen_toks"]), stop, wanted["max_gen_toks"])
