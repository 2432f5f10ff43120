"""Our engines as an lm-eval model: exact log probabilities, input order, shared reading, truncation, stop strings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.api.instance import Instance
from lm_eval.api.model import CacheHook, hash_args

from slm_atlas.engines import Generation, Score
from slm_atlas.engines.fake import LIKELY, Fake
from slm_atlas.errors import UserError
from slm_atlas.evals.lm import MAX_GENERATED, EngineLM

HIT = math.log(LIKELY)
MISS = math.log((1 - LIKELY) / 255)


class Recording(Fake):
    """Keeps what it was asked to read; merges `: C` into one token where told to."""

    def __init__(self, *, merges: bool = False) -> None:
        super().__init__()
        self.merges = merges
        self.scored: list[tuple[list[int], list[list[int]]]] = []
        self.generated: list[tuple[list[int], int, tuple[str, ...]]] = []

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        return list(text.replace(": C", "\x80").encode("latin-1")) if self.merges else super().tokenize(text)

    def score(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
        self.scored.append((list(prefix), [list(tokens) for tokens in continuations]))
        return super().score(prefix, continuations)

    def generate(self, prompt: Sequence[int], *, max_tokens: int, stop: Sequence[str] = ()) -> Generation:
        self.generated.append((list(prompt), max_tokens, tuple(stop)))
        return super().generate(prompt, max_tokens=max_tokens, stop=stop)


def instances(kind: Any, *arguments: tuple[Any, ...]) -> list[Instance]:
    return [Instance(request_type=kind, doc={}, arguments=args, idx=0) for args in arguments]


def loglikelihood(lm: EngineLM, *pairs: tuple[str, str]) -> list[tuple[float, bool]]:
    return list(lm.loglikelihood(instances("loglikelihood", *pairs)))


def generate(lm: EngineLM, *prompts: tuple[str, dict[str, Any]]) -> list[str]:
    return list(lm.generate_until(instances("generate_until", *prompts)))


def test_log_probabilities_are_exact() -> None:
    scores = loglikelihood(EngineLM(Fake(), context=64), ("a", "bc"), ("a", "bd"), ("a", "xx"), ("", "a"))
    assert scores == [(2 * HIT, True), (HIT + MISS, False), (2 * MISS, False), (MISS, False)]


def test_a_space_before_the_continuation_counts_as_its_first_token() -> None:
    assert loglikelihood(EngineLM(Fake(), context=64), ("a ", "ab"), ("a", " ab")) == [(2 * MISS + HIT, False)] * 2


PAIRS = [(context, choice) for context in ("q", "qr", "pq", "") for choice in ("rs", "r", "zz", "st")]


@given(st.permutations(PAIRS))
def test_results_come_in_the_order_of_the_requests(pairs: list[tuple[str, str]]) -> None:
    lm = EngineLM(Fake(), context=64)
    alone = {pair: loglikelihood(lm, pair)[0] for pair in PAIRS}
    assert loglikelihood(lm, *pairs) == [alone[pair] for pair in pairs]


@given(st.lists(st.text("ab", min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_each_branch_of_the_tree_of_contexts_is_read_once_in_whatever_order_requests_come(contexts: list[str]) -> None:
    lm = EngineLM(Fake(), context=64)
    loglikelihood(lm, *((context, choice) for choice in ("c", "d") for context in contexts))
    branches = {context[:end] for context in contexts for end in range(1, len(context) + 1)}
    assert lm.prefill.read == len(branches)
    assert lm.prefill.naive == 2 * sum(map(len, contexts))


def test_choices_of_one_context_are_one_call_to_the_engine() -> None:
    engine = Recording()
    loglikelihood(EngineLM(engine, context=64), ("two", " x"), ("one", " y"), ("two", " z"))
    assert engine.scored == [([*b"one"], [[*b" y"]]), ([*b"two"], [[*b" x"], [*b" z"]])]


def test_many_continuations_of_one_context_are_several_calls() -> None:
    engine = Recording()
    scores = loglikelihood(EngineLM(engine, context=64), *(("", "a" * length) for length in range(1, 41)))
    assert [len(continuations) for _, continuations in engine.scored] == [32, 8]
    assert [logprob for logprob, _ in scores] == pytest.approx([MISS * length for length in range(1, 41)])


def test_a_token_that_spans_the_join_is_scored_with_all_choices_after_the_same_prefix() -> None:
    engine = Recording(merges=True)
    lm = EngineLM(engine, context=64)
    assert lm._encode_pair("Answer:", " C") == ([*b"Answer:"], [])  # what lm-eval itself would score
    scores = loglikelihood(lm, ("Answer:", " A"), ("Answer:", " C"), ("Reply:", " A"))
    assert engine.scored == [([*b"Answer"], [[*b": A"], [0x80]]), ([*b"Reply:"], [[*b" A"]])]
    assert scores == [(3 * MISS, False), (MISS, False), (2 * MISS, False)]
    assert lm.spanned == 1


def test_a_context_too_long_loses_its_beginning_and_choices_keep_one_prefix() -> None:
    engine = Recording()
    lm = EngineLM(engine, context=8)
    loglikelihood(lm, ("abcdefgh", "ij"), ("abcdefgh", "xyz"), ("abc", "d"))
    assert engine.scored == [([*b"abc"], [[*b"d"]]), ([*b"defgh"], [[*b"ij"], [*b"xyz"]])]
    assert lm.truncated == 1


def test_what_remains_after_truncation_scores_as_it_would_alone() -> None:
    short = EngineLM(Fake(), context=8)
    assert loglikelihood(short, ("abcdefgh", "ijk")) == loglikelihood(EngineLM(Fake(), context=64), ("defgh", "ijk"))


def test_a_continuation_that_fills_the_context_is_a_users_error() -> None:
    with pytest.raises(UserError, match="leaves 0 tokens for the prompt"):
        loglikelihood(EngineLM(Fake(), context=4), ("abc", "defg"))


def test_generation_ends_before_a_stop_string_or_at_the_limit() -> None:
    lm = EngineLM(Fake(), context=512)
    texts = generate(
        lm,
        ("a", {"until": ["e"], "max_gen_toks": 20}),
        ("a", {"until": "gh", "max_gen_toks": 20}),
        ("a", {"until": ["", "\n"], "max_gen_toks": 3}),
        ("w", {"until": []}),
    )
    assert texts == ["bcd", "bcdef", "bcd", "xyz"]


def test_a_limit_is_read_by_its_aliases_and_defaults_to_lm_evals() -> None:
    engine = Recording()
    generate(EngineLM(engine, context=512), ("a", {"max_new_tokens": 7}), ("b", {"until": "z", "temperature": 0}))
    assert engine.generated == [([*b"a"], 7, ()), ([*b"b"], MAX_GENERATED, ("z",))]


def test_a_prompt_leaves_room_for_what_is_generated() -> None:
    engine = Recording()
    lm = EngineLM(engine, context=8)
    generate(lm, ("abcdefgh", {"max_gen_toks": 3}))
    assert engine.generated == [([*b"defgh"], 3, ())]
    assert lm.truncated == 1


def test_prompts_are_generated_from_in_an_order_that_shares_and_answered_in_their_own() -> None:
    lm = EngineLM(Fake(), context=64)
    settings = {"max_gen_toks": 1}
    assert generate(lm, *((prompt, settings) for prompt in ("shots d", "zero a", "shots b"))) == ["e", "b", "c"]
    assert (lm.prefill.read, lm.prefill.naive) == (len("shots b") + 1 + len("zero a"), 20)


@pytest.mark.parametrize("settings", [{"do_sample": True, "temperature": 0.7}, {"temperature": 0.7}])
def test_sampling_is_refused_before_anything_is_generated(settings: dict[str, Any]) -> None:
    engine = Recording()
    with pytest.raises(UserError, match=r"sampled text.*do_sample: false"):
        generate(EngineLM(engine, context=64), ("a", {"max_gen_toks": 1}), ("b", settings))
    assert engine.generated == []


@pytest.mark.parametrize("context", [64, 5, 2])
def test_a_rolling_log_probability_predicts_each_token_once_whatever_the_windows(context: int) -> None:
    lm = EngineLM(Fake(), context=context)
    texts = ["abcdefghij", "aab", ""]
    found = lm.loglikelihood_rolling(instances("loglikelihood_rolling", *((text,) for text in texts)))
    # The fake engine looks at one token before, so windows do not change its answer.
    assert found == pytest.approx([MISS + 9 * HIT, 2 * MISS + HIT, 0.0])


def test_progress_counts_each_request() -> None:
    told: list[tuple[int, int]] = []
    lm = EngineLM(Fake(), context=64, on_progress=lambda done, total: told.append((done, total)))
    loglikelihood(lm, ("b", "c"), ("a", "b"), ("b", "d"))
    generate(lm, ("a", {"max_gen_toks": 1}))
    lm.loglikelihood_rolling(instances("loglikelihood_rolling", ("ab",), ("cd",)))
    assert told == [(1, 3), (2, 3), (3, 3), (1, 1), (1, 2), (2, 2)]


def test_each_answer_is_kept_as_soon_as_it_is_there_so_that_a_killed_run_resumes() -> None:
    class Dying(Fake):
        def score(self, prefix: Sequence[int], continuations: Sequence[Sequence[int]]) -> list[Score]:
            if prefix[0] == ord("z"):
                raise KeyboardInterrupt
            return super().score(prefix, continuations)

    lm = EngineLM(Dying(), context=64)
    kept: dict[str, Any] = {}
    hook = CacheHook(None)
    hook.dbdict = kept
    lm.set_cache_hook(hook)
    settings = {"max_gen_toks": 1}
    generate(lm, ("a", settings))
    lm.loglikelihood_rolling(instances("loglikelihood_rolling", ("b",)))
    with pytest.raises(KeyboardInterrupt):
        loglikelihood(lm, ("z", "a"), ("b", "c"))
    assert kept == {
        hash_args("generate_until", ("a", settings)): "b",
        hash_args("loglikelihood_rolling", ("b",)): MISS,
        hash_args("loglikelihood", ("b", "c")): (HIT, True),
    }


def test_what_lm_eval_asks_of_a_template_model() -> None:
    lm = EngineLM(Fake(), context=64)
    assert (lm.eot_token_id, lm.prefix_token_id) == (0, 0)
    assert lm.tok_encode("hi") == lm.tok_encode("hi", add_special_tokens=False) == [*b"hi"]
