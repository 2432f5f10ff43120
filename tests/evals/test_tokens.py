"""Tokens of contexts and continuations: begin-of-text once, no empty continuation, fair cuts, honest counts."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from slm_atlas.engines.fake import Fake
from slm_atlas.errors import UserError
from slm_atlas.evals.tokens import Encoder, Split, shared

BEGIN, END, MERGED = 1, 2, 300


class Marking(Fake):
    """Adds begin-of-text and end-of-text; `<s>` in a text is begin-of-text."""

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        if not special:
            return list(text.encode())
        return [BEGIN, *list(text.replace("<s>", chr(BEGIN)).encode()), END]


class Merging(Fake):
    """Some pairs of characters are one token, so that a token may span a join."""

    pairs = (": ", " C", "ab", "bb", "ca")

    def tokenize(self, text: str, *, special: bool = False) -> list[int]:
        tokens, place = [], 0
        while place < len(text):
            pair = text[place : place + 2]
            if pair in self.pairs:
                tokens.append(MERGED + self.pairs.index(pair))
                place += 2
            else:
                tokens.append(ord(text[place]))
                place += 1
        return tokens


def split(engine: Fake, context: str, continuations: list[str]) -> Split:
    return Encoder(engine).split({context: continuations})[context]


def test_begin_of_text_stands_once_and_end_of_text_never() -> None:
    encoder = Encoder(Marking())
    assert encoder.encode("hi") == [BEGIN, *b"hi"]
    assert encoder.encode("<s>hi") == [BEGIN, *b"hi"]
    assert encoder.encode("hi", begin=False) == [*b"hi"]


def test_without_begin_of_text_nothing_is_added() -> None:
    assert Encoder(Fake()).encode("hi") == [*b"hi"]


@pytest.mark.parametrize(("engine", "opening"), [(Marking(), BEGIN), (Fake(), Fake().begin_of_text())])
def test_an_empty_context_is_begin_of_text_or_else_end_of_text(engine: Fake, opening: int) -> None:
    for context in ("", " "):
        found = split(engine, context, ["hi"])
        assert found.prefix == [opening]
        assert found.continuations == [list((context + "hi").encode())]


def test_a_context_that_spells_out_begin_of_text_gets_no_second() -> None:
    assert split(Marking(), "<s>ctx", [" a"]) == ([BEGIN, *b"ctx"], [[*b" a"]], False)


def test_spaces_that_end_a_context_belong_to_the_continuation() -> None:
    assert split(Fake(), "x: ", ["yes"]) == ([*b"x:"], [[*b" yes"]], False)


def test_where_a_token_spans_the_join_the_cut_moves_back_for_all_continuations() -> None:
    found = split(Merging(), "Is it a", ["bacus", "lso"])  # `ab` is one token
    assert found.spans
    assert found.prefix == [*b"Is it "]
    assert found.continuations == [[MERGED + 2, ord("a"), ord("c"), *b"us"], [*b"also"]]


def test_an_empty_continuation_is_refused() -> None:
    with pytest.raises(UserError, match=r"'a question:' is empty"):
        split(Fake(), "a question:", [" yes", ""])


TEXT = st.text("abc: C", min_size=1, max_size=12)


@given(context=TEXT, continuations=st.lists(TEXT, min_size=1, max_size=4))
def test_a_split_is_never_empty_and_together_is_the_one_tokenization(context: str, continuations: list[str]) -> None:
    engine = Merging()
    found = split(engine, context, continuations)
    opening = [] if context.strip() else [engine.begin_of_text()]
    assert found.prefix
    assert all(found.continuations)
    for text, tokens in zip(continuations, found.continuations, strict=True):
        whole = [*opening, *engine.tokenize(context + text)]
        assert (found.prefix + tokens) in (whole, [engine.begin_of_text(), *whole])


@given(context=TEXT, continuations=st.lists(TEXT, min_size=1, max_size=4))
def test_where_no_token_spans_the_join_the_split_is_lm_evals(context: str, continuations: list[str]) -> None:
    from slm_atlas.evals.lm import EngineLM

    lm = EngineLM(Merging(), context=64)
    assume(context.strip())
    found = split(Merging(), context, continuations)
    assume(not found.spans)
    expected = [lm._encode_pair(context, continuation) for continuation in continuations]
    assert [(found.prefix, tokens) for tokens in found.continuations] == expected


def test_what_does_not_fit_loses_its_beginning_but_not_begin_of_text() -> None:
    assert Encoder(Marking()).keep_last([BEGIN, *b"abcdef"], 4) == [BEGIN, *b"def"]
    assert Encoder(Fake()).keep_last([*b"abcdef"], 4) == [*b"cdef"]
    assert Encoder(Fake()).keep_last([*b"abc"], 3) == [*b"abc"]


@pytest.mark.parametrize("room", [1, 0, -3])
def test_no_room_is_a_users_error(room: int) -> None:
    with pytest.raises(UserError, match=rf"leaves {max(room, 0)} tokens"):
        Encoder(Marking()).keep_last([BEGIN, *b"abcdef"], room)


def test_shared_of_equal_sequences_is_their_length() -> None:
    assert shared([1, 2], [1, 2]) == 2
    assert shared([], [1]) == 0
