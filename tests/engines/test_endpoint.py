"""The client of OpenAI-compatible servers, against one of our own that behaves or misbehaves as it is told."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from slm_atlas.engines import Response, Worker
from slm_atlas.engines.client import KEY_VARIABLE
from slm_atlas.engines.endpoint import Endpoint
from slm_atlas.errors import EngineRefused, EngineTimeout

from .standin import GARBAGE, WORD_S, StandIn, standing_in

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def shared() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


@pytest.fixture
def server(shared: StandIn) -> StandIn:
    shared.asked.clear()
    shared.headers.clear()
    return shared


def asked(server: StandIn, name: str, *, prompt: str = "one two three", max_tokens: int = 6) -> Response:
    with Endpoint() as engine:
        engine.connect(name, server.url)
        return engine.respond(prompt, max_tokens=max_tokens)


def refusal(server: StandIn, name: str) -> str:
    with pytest.raises(EngineRefused) as caught:
        asked(server, name)
    assert "\n" not in caught.value.cause
    return caught.value.cause


class TestGoodServer:
    def test_times_and_counts(self, server: StandIn) -> None:
        found = asked(server, "good")
        assert (found.prompt_tokens, found.tokens, found.cached_tokens) == (3, 6, 0)
        assert (found.finish, found.counted) == ("length", "stream")
        assert len(found.gaps_s) == 5
        assert found.first_s >= WORD_S
        assert found.first_s + sum(found.gaps_s) >= 6 * WORD_S  # a busy machine delays, it never hastens
        assert 0 < found.client_s < found.first_s + sum(found.gaps_s)

    def test_it_says_what_it_is_and_how_it_was_asked(self, server: StandIn) -> None:
        with Endpoint() as engine:
            report = engine.connect("good", server.url)
        assert (report.api, report.listed, report.details["meta"]) == ("completions", True, {"n_params": 7})
        assert report.extras == ["cache_prompt", "ignore_eos", "stream_options"]
        assert 0 < report.noop_s < 1
        assert [body["max_tokens"] for body in server.asked] == [1]

    def test_a_server_without_completions_is_asked_to_chat(self, server: StandIn) -> None:
        found = asked(server, "chat-only")
        assert (found.prompt_tokens, found.tokens, len(found.gaps_s)) == (
            6,
            6,
            5,
        )  # the empty role chunk is no fragment
        assert server.asked[-1]["messages"] == [{"role": "user", "content": "one two three"}]

    def test_a_server_that_knows_fewer_fields_is_asked_with_fewer(self, server: StandIn) -> None:
        found = asked(server, "old")
        assert set(server.asked[-1]) == {"model", "prompt", "max_tokens", "temperature", "stream"}
        assert (found.counted, found.tokens) == ("repeat", 6)

    def test_fragments_of_several_tokens_are_counted_apart(self, server: StandIn) -> None:
        found = asked(server, "pairs")
        assert (found.tokens, len(found.gaps_s) + 1) == (6, 3)

    def test_a_server_that_does_not_count_in_the_stream_is_asked_again_for_its_counts(self, server: StandIn) -> None:
        found = asked(server, "uncounted")
        assert (found.counted, found.tokens, found.cached_tokens) == ("repeat", 6, None)
        assert server.asked[-1]["stream"] is False

    def test_what_an_engine_for_servers_does_not_do_is_refused(self) -> None:
        with Endpoint() as engine, pytest.raises(EngineRefused, match="'endpoint' does not time a prefill"):
            engine.prefill([1])


class TestBadServer:
    def test_nobody_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with Endpoint() as engine, pytest.raises(EngineRefused, match=f"no server answers at {url}: .*refused"):
            engine.connect("m", url)

    def test_an_address_that_cannot_be_one(self) -> None:
        with Endpoint() as engine, pytest.raises(EngineRefused, match="is not the address of a server"):
            engine.connect("m", "http://no..where/v1")

    def test_no_such_path(self, server: StandIn) -> None:
        with Endpoint() as engine, pytest.raises(EngineRefused, match=r"404 .*no such path; a URL ends with /v1"):
            engine.connect("good", server.url.removesuffix("/v1"))

    def test_not_http(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening, Endpoint() as engine:
            import threading

            def babble() -> None:
                connection, _ = listening.accept()
                connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")
                connection.close()

            thread = threading.Thread(target=babble)
            thread.start()
            with pytest.raises(EngineRefused, match="does not speak HTTP"):
                engine.connect("m", f"http://127.0.0.1:{listening.getsockname()[1]}")
            thread.join()

    def test_a_status_with_a_body(self, server: StandIn) -> None:
        assert refusal(server, "busy") == "the server answered 503 Service Unavailable: Loading model"

    def test_no_stream(self, server: StandIn) -> None:
        assert "sent text/html instead of a stream" in refusal(server, "html")

    def test_garbage(self, server: StandIn) -> None:
        assert "what is no completion" in refusal(server, "garbage")

    @pytest.mark.parametrize("name", sorted(GARBAGE))
    def test_garbage_of_every_kind(self, server: StandIn, name: str) -> None:
        assert "the server sent what is no completion" in refusal(server, name)

    def test_half_an_event(self, server: StandIn) -> None:
        assert "what is no completion" in refusal(server, "half")

    def test_an_answer_without_end(self, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("slm_atlas.engines.client._MOST_BYTES", 4 * 2**20)
        assert refusal(server, "endless") == "the server sent more than 4 MiB in one answer"

    def test_a_server_that_broke(self, server: StandIn) -> None:
        expected = "the server answered 500 Internal Server Error: CUDA error: out of memory"
        assert refusal(server, "broken") == expected

    def test_a_server_that_moved_is_not_followed(self, server: StandIn) -> None:
        cause = refusal(server, "moved")
        assert "says 301: the server is at http://elsewhere.example/v1/completions; give that URL" in cause

    def test_an_error_in_the_stream(self, server: StandIn) -> None:
        assert refusal(server, "error") == "the server broke its answer off: out of memory"

    @pytest.mark.parametrize("name", ["cut", "cut-chunk"])
    def test_closed_in_the_middle(self, server: StandIn, name: str) -> None:
        assert "in the middle" in refusal(server, name)

    def test_a_stall_is_a_timeout_and_ends_at_the_deadline(self, server: StandIn) -> None:
        start = time.monotonic()
        with Worker("endpoint", deadline_s=2.0) as worker:
            worker.connect("stall", server.url)
            with pytest.raises(EngineTimeout, match="no answer within 2 s during respond"):
                worker.respond("one", max_tokens=6)
        assert time.monotonic() - start < 8

    def test_the_key_is_sent_and_never_told(self, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(KEY_VARIABLE, "s3cret")
        cause = refusal(server, "locked")
        assert server.headers[-1]["Authorization"] == "Bearer s3cret"
        assert "s3cret" not in cause
        assert "bad key Bearer ***" in cause
        assert KEY_VARIABLE in cause
