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

from slm_atlas.engines import Generations, Pair, Prompt, Scores
from slm_atlas.engines.fake import LIKELY, Fake
from slm_atlas.errors import UserError
from slm_atlas.evals import Answer, Told
from slm_atlas.evals.lm import MAX_GENERATED, EngineLM

HIT = math.log(LIKELY)
MISS = math.log((1 - LIKELY) / 255)


class Recording(Fake):
    """Keeps what it was asked to read; merges `: C` into one token where told to."""

    def __init__(self, *, merges: bool = False) -> None:
        super().__init__()
        self.merges = merges
        self.scored: list[list[tuple[list[int], list[int]]]] = []
        self.generated: list[tuple[list[int], int, tuple[str, ...]]] = []
        self.tokenized: list[str] = []

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        self.tokenized.append(text)
        return list(text.replace(": C", "\x80").encode("latin-1")) if self.merges else super().tokenize(text)

    def score(self, pairs: Sequence[Pair]) -> Scores:
        self.scored.append([(pair.prefix, pair.continuation) for pair in pairs])
        return super().score(pairs)

    def generate(self, prompts: Sequence[Prompt]) -> Generations:
        self.generated += [(prompt.tokens, prompt.max_tokens, tuple(prompt.stop)) for prompt in prompts]
        return super().generate(prompts)


class Kept:
    """Keeps answers in a dictionary."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.calls: list[int] = []

    def get(self, kind: str, arguments: tuple[Any, ...]) -> Answer | None:
        return self.answers.get(repr((kind, arguments)))

    def put(self, told: Sequence[Told]) -> None:
        self.calls.append(len(told))
        self.answers |= {repr((one.kind, one.arguments)): one.answer for one in told}


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
    assert lm.work.computed == len(branches)
    assert lm.work.asked == 2 * sum(map(len, contexts))


def test_the_engine_gets_all_requests_in_lexicographic_order_in_one_call() -> None:
    engine = Recording()
    loglikelihood(EngineLM(engine, context=64), ("two", " x"), ("one", " y"), ("two", " z"))
    assert engine.scored == [[([*b"one"], [*b" y"]), ([*b"two"], [*b" x"]), ([*b"two"], [*b" z"])]]


def test_calls_are_bounded_and_keep_the_choices_of_a_context_together() -> None:
    engine = Recording()
    pairs = [(context, choice) for context in ("aaaa", "aabb", "bbbb", "cccc") for choice in ("x", "yy", "zzz")]
    scores = loglikelihood(EngineLM(engine, context=64, tokens=8), *pairs)
    assert [[len(prefix) for prefix, _ in call] for call in engine.scored] == [[4] * 6, [4] * 6]
    assert scores == loglikelihood(EngineLM(Fake(), context=64), *pairs)


def test_a_text_is_tokenized_once() -> None:
    engine = Recording()
    lm = EngineLM(engine, context=64)
    loglikelihood(lm, ("q", "a"), ("q", "b"), ("q", "a"))
    assert sorted(engine.tokenized[2:]) == ["q", "qa", "qb"]  # after the two that tell what the tokenizer adds


def test_a_token_that_spans_the_join_is_scored_with_all_choices_after_the_same_prefix() -> None:
    engine = Recording(merges=True)
    lm = EngineLM(engine, context=64)
    assert lm._encode_pair("Answer:", " C") == ([*b"Answer:"], [])  # what lm-eval itself would score
    scores = loglikelihood(lm, ("Answer:", " A"), ("Answer:", " C"), ("Reply:", " A"))
    assert engine.scored == [[([*b"Answer"], [*b": A"]), ([*b"Answer"], [0x80]), ([*b"Reply:"], [*b" A"])]]
    assert scores == [(3 * MISS, False), (MISS, False), (2 * MISS, False)]
    assert lm.spanned == 1


def test_a_context_too_long_loses_its_beginning_and_choices_keep_one_prefix() -> None:
    engine = Recording()
    lm = EngineLM(engine, context=8)
    loglikelihood(lm, ("abcdefgh", "ij"), ("abcdefgh", "xyz"), ("abc", "d"))
    # As lm-eval's `hf` for the longest choice: the last token of all is predicted, not read.
    assert engine.scored == [[([*b"abc"], [*b"d"]), ([*b"cdefgh"], [*b"ij"]), ([*b"cdefgh"], [*b"xyz"])]]
    assert lm.truncated == 1


def test_what_remains_after_truncation_scores_as_it_would_alone() -> None:
    short = EngineLM(Fake(), context=8)
    assert loglikelihood(short, ("abcdefgh", "ijk")) == loglikelihood(EngineLM(Fake(), context=64), ("cdefgh", "ijk"))


def test_a_continuation_that_fills_the_context_is_a_users_error() -> None:
    with pytest.raises(UserError, match="leaves 0 tokens for the prompt"):
        loglikelihood(EngineLM(Fake(), context=4), ("abc", "defgh"))


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
    assert (lm.work.computed, lm.work.asked) == (len("shots b") + 1 + len("zero a"), 20)


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


def test_progress_is_told_after_each_call() -> None:
    told: list[tuple[int, int]] = []
    lm = EngineLM(Fake(), context=64, tokens=1, on_progress=lambda done, total: told.append((done, total)))
    loglikelihood(lm, ("b", "c"), ("a", "b"), ("b", "d"))
    generate(lm, ("a", {"max_gen_toks": 1}))
    lm.loglikelihood_rolling(instances("loglikelihood_rolling", ("ab",), ("cd",)))
    assert told == [(1, 3), (3, 3), (1, 1), (2, 2)]


def all_kinds(lm: EngineLM) -> list[Any]:
    """One request of each kind and one more."""
    settings = {"max_gen_toks": 2, "until": ["c"]}
    return [
        generate(lm, ("a", settings)),
        lm.loglikelihood_rolling(instances("loglikelihood_rolling", ("b",))),
        loglikelihood(lm, ("b", "cé"), ("z", "a")),
    ]


def test_each_call_s_answers_are_kept_so_that_a_killed_run_loses_one_call_at_most() -> None:
    class Dying(Fake):
        def score(self, pairs: Sequence[Pair]) -> Scores:
            if pairs[0].prefix[0] == ord("z"):
                raise KeyboardInterrupt
            return super().score(pairs)

    lm, answers = EngineLM(Dying(), context=64, tokens=1, answers=(kept := Kept())), kept.answers
    hooked: dict[str, Any] = {}
    hook = CacheHook(None)
    hook.dbdict = hooked
    lm.set_cache_hook(hook)
    with pytest.raises(KeyboardInterrupt):
        all_kinds(lm)
    settings = {"max_gen_toks": 2, "until": ["c"]}
    mixed = sum([HIT, MISS, MISS])
    wanted: list[tuple[str, tuple[Any, ...], object, Answer]] = [
        ("generate_until", ("a", settings), "b", Answer(tokens=2, n_bytes=1, text="b", stopped=True)),
        ("loglikelihood_rolling", ("b",), MISS, Answer(tokens=1, n_bytes=1, logprob=MISS)),
        ("loglikelihood", ("b", "cé"), (mixed, False), Answer(tokens=3, n_bytes=3, logprob=mixed, greedy=False)),
    ]
    assert answers == {repr((kind, arguments)): answer for kind, arguments, _, answer in wanted}
    assert hooked == {hash_args(kind, arguments): told for kind, arguments, told, _ in wanted}


def test_what_was_answered_is_not_asked_again() -> None:
    answers, engine = Kept(), Recording()
    first = all_kinds(EngineLM(Fake(), context=64, answers=answers))
    again = EngineLM(engine, context=64, answers=answers)
    assert all_kinds(again) == first
    assert (engine.scored, engine.generated, again.reused, again.work.computed) == ([], [], 4, 0)


def test_what_was_counted_of_a_kept_answer_still_counts() -> None:
    answers = Kept()
    for _ in range(2):
        lm = EngineLM(Recording(merges=True), context=8, answers=answers)
        loglikelihood(lm, ("abcdefghijk", "x"), ("abcdefghijk", "y"), ("is:", " C"))
        assert (lm.truncated, lm.spanned) == (1, 1)


def test_what_lm_eval_asks_of_a_template_model() -> None:
    lm = EngineLM(Fake(), context=64)
    assert (lm.eot_token_id, lm.prefix_token_id) == (0, 0)
    assert lm.tok_encode("hi") == lm.tok_encode("hi", add_special_tokens=False) == [*b"hi"]
