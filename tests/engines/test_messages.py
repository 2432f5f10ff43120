"""Frames: what is sent arrives, and what is cut short is the other side's death."""

from __future__ import annotations

from io import BytesIO

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.engines import Conversion, LoadSettings, Pair, Prompt
from slm_atlas.engines import messages as msg

TOKENS = st.lists(st.integers(0, 2**31 - 1), max_size=20)
TEXT = st.text(max_size=20)
CONVERSIONS = st.builds(
    Conversion,
    file_type=st.integers(0, 100),
    threads=st.integers(0, 100),
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
)
REQUESTS = st.one_of(
    st.builds(msg.Start, engine=TEXT, memory_limit_bytes=st.none() | st.integers(0, 2**50)),
    st.builds(msg.Load, settings=st.builds(LoadSettings, path=TEXT, context=st.integers(0, 2**20))),
    st.builds(msg.Memory),
    st.builds(msg.Tokenize, text=TEXT, special=st.booleans()),
    st.builds(msg.Detokenize, tokens=TOKENS),
    st.builds(msg.BeginOfText),
    st.builds(msg.Prefill, tokens=TOKENS),
    st.builds(msg.Decode, tokens=TOKENS),
    st.builds(msg.TokenizeAll, texts=st.lists(TEXT, max_size=3), special=st.booleans()),
    st.builds(msg.ScoreAll, pairs=st.lists(st.builds(Pair, prefix=TOKENS, continuation=TOKENS), max_size=3)),
    st.builds(
        msg.Generate,
        prompts=st.lists(
            st.builds(Prompt, tokens=TOKENS, max_tokens=st.integers(0, 100), stop=st.lists(TEXT, max_size=3)),
            max_size=3,
        ),
    ),
    st.builds(msg.Quantize, conversion=CONVERSIONS),
)


def sent(*messages: msg.Request | msg.Reply) -> bytes:
    stream = BytesIO()
    for message in messages:
        msg.write_frame(stream, message)
    return stream.getvalue()


@given(st.lists(REQUESTS, max_size=4))
def test_requests_arrive_as_they_were_sent(requests: list[msg.Request]) -> None:
    stream = BytesIO(sent(*requests))
    for request in requests:
        body = msg.read_frame(stream)
        assert body is not None
        assert msgspec.msgpack.decode(body, type=msg.Request) == request
    assert msg.read_frame(stream) is None


@given(REQUESTS, st.data())
def test_a_frame_cut_short_anywhere_is_none(request: msg.Request, data: st.DataObject) -> None:
    frame = sent(request)
    kept = data.draw(st.integers(0, len(frame) - 1))
    assert msg.read_frame(BytesIO(frame[:kept])) is None


@pytest.mark.parametrize("result", [1.5, [1, 2], "ä", None, {"name": "fake", "version": "1", "build": ""}])
def test_replies_carry_any_result(result: object) -> None:
    body = msg.read_frame(BytesIO(sent(msg.Done(result=msgspec.Raw(msgspec.msgpack.encode(result))))))
    assert body is not None
    reply = msgspec.msgpack.decode(body, type=msg.Reply)
    assert isinstance(reply, msg.Done)
    assert msgspec.msgpack.decode(reply.result) == result
