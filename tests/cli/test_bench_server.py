"""`slm bench` of a model behind a server: numbers, and failures that are told, kept and cost nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engines.standin import StandIn, standing_in
from slm_atlas import home
from slm_atlas.engines.client import KEY_VARIABLE
from slm_atlas.store import Store
from slm_atlas.studies import run

from .atlas import document, slm, wrong

SHORT = ("--runs", 1, "--prompt", 12, "--generate", 4)


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with standing_in() as server:
        yield server


def test_the_models_name_asks_for_the_engine(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "s3cret")
    (row,) = document("bench", f"endpoint:good@{server.url}", *SHORT)["rows"]
    assert row["engine"].startswith("endpoint | 1")
    assert (row["params"], row["quantization"], row["forged"]) == (None, "unknown", False)
    assert row["metrics"]["prompt_tokens"]["value"] == 12
    assert row["metrics"]["decode_tokens_per_s"]["value"] < 1000
    assert not {"peak_rss_bytes", "prefill_s", "decode_s"} & set(row["metrics"])
    assert set(row["settings"]) == {"n_prompt", "n_gen", "repetitions", "protocol"}
    with Store(home.store_path()) as store:
        (stored,) = store.runs()
    assert "not applied" in stored.notes["absent"]["gate"]
    assert stored.notes["server"]["api"] == "completions"
    assert b"s3cret" not in home.store_path().read_bytes()
    result = slm("bench", f"endpoint:good@{server.url}", *SHORT)
    assert "First token" in result.stdout
    assert "all was measured before" in result.stderr
    assert slm("report", "--output", home.home() / "page").exit_code == 0


def test_bad_servers_are_recorded_and_the_good_one_is_measured(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "REQUEST_DEADLINE_S", 2.0)
    bad = {
        "busy": "refused: the server answered 503 Service Unavailable: Loading model",
        "garbage": "refused: the server sent what is no completion",
        "cut": "refused: the server ended its answer in the middle",
        "stall": "timeout: no answer within 2 s",
        "cached": "rejected: the server answered from its prompt cache: 12 of 12",
    }
    result = slm("bench", *(f"endpoint:{name}@{server.url}" for name in (*bad, "good")), *SHORT)
    assert result.exit_code == 0
    for cause in bad.values():
        assert cause in result.stderr
    with Store(home.store_path()) as store:
        assert sorted(str(run.outcome) for run in store.runs()) == [
            "ok", "refused", "refused", "refused", "rejected", "timeout",
        ]  # fmt: skip


def test_what_a_server_does_not_say_is_told(server: StandIn) -> None:
    result = slm("bench", f"endpoint:uncounted@{server.url}", *SHORT)
    assert "the prompt cache is not checkable" in result.stderr
    assert "Decode tok/s" in result.stdout  # counted by a repetition that gave the same text


def test_nobody_there_is_a_recorded_refusal() -> None:
    result = slm("bench", "endpoint:m@http://127.0.0.1:9/v1", *SHORT)
    assert result.exit_code == 1
    assert "refused: no server answers at http://127.0.0.1:9/v1" in result.stderr


def test_what_servers_cannot_be_asked_is_one_line(server: StandIn) -> None:
    name = f"endpoint:good@{server.url}"
    assert "different engines" in wrong("bench", name, "smollm-135m")
    assert "leave --quant out" in wrong("bench", name, "--quant", "F16")
    assert "endpoint:" in wrong("bench", "smollm-135m", "--engine", "endpoint")
