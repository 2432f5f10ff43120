"""The worker: answers as the engine does, and each way to fail is an outcome with its cause."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from slm_atlas.engines import Conversion, Engine, LoadSettings, Worker
from slm_atlas.engines import worker as worker_module
from slm_atlas.engines.fake import Fake
from slm_atlas.errors import EngineCrashed, EngineRefused, EngineTimeout, MissingExtra, Outcome, UserError
from waiting import wait_until

from .asking import generate, score

OK = LoadSettings(path="fake:ok", context=64, threads=1)
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("fake") as worker:
        worker.load(OK)
        yield worker


@pytest.fixture
def hanging() -> Iterator[Worker]:
    """A worker whose prefill never ends."""
    with Worker("fake", deadline_s=20) as worker:
        worker.load(LoadSettings(path="fake:hang"))
        yield worker


def soon(action: Callable[[], object], delay_s: float = 0.2) -> None:
    """Do something while this thread waits for the engine."""
    timer = threading.Timer(delay_s, action)
    timer.daemon = True
    timer.start()


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has asked after yet (a zombie) has."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# ---- it is an engine ----------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Engine], object]] = {
    "describe": lambda engine: engine.describe(),
    "load": lambda engine: msgspec.structs.replace(engine.load(OK), cores=None),  # a worker adds where it may run
    "memory": lambda engine: engine.memory(),
    "tokenize": lambda engine: engine.tokenize("hello ä", special=True),
    "detokenize": lambda engine: engine.detokenize([104, 105]),
    "begin_of_text": lambda engine: engine.begin_of_text(),
    "prefill": lambda engine: engine.prefill(range(7)),
    "decode": lambda engine: engine.decode((1, 2, 3)),
    "score": lambda engine: score(engine, [97], [(98, 99), (120,)]),
    "generate": lambda engine: generate(engine, [97], max_tokens=9, stop=("f",)),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_gives_what_the_engine_itself_gives(worker: Worker, name: str) -> None:
    there, here = CALLS[name](worker), CALLS[name](Fake())
    assert there == here
    assert type(there) is type(here)


def test_large_messages_pass(worker: Worker) -> None:
    text = "abcdefgh" * 100_000
    assert worker.detokenize(worker.tokenize(text)) == text


def test_an_unknown_engine_is_the_users_error() -> None:
    with pytest.raises(UserError, match="no engine 'vllm'"):
        Worker("vllm")


def test_a_file_is_written_there_as_it_is_here(worker: Worker, tmp_path: Path) -> None:
    def conversion(name: str) -> Conversion:
        return Conversion(source="ok/m.gguf", target=str(tmp_path / name), file_type=7, metadata={"x.y": "Q4_1, ä"})

    worker.quantize(conversion("there.gguf"))
    Fake().quantize(conversion("here.gguf"))
    assert (tmp_path / "there.gguf").read_bytes() == (tmp_path / "here.gguf").read_bytes()


# ---- it fails in four ways ----------------------------------------------------------------------------------------


def test_a_refusal_leaves_the_engine_alive(worker: Worker) -> None:
    with pytest.raises(EngineRefused, match="refuses to load") as caught:
        worker.load(LoadSettings(path="fake:refuse"))
    assert caught.value.outcome is Outcome.REFUSED
    assert worker.load(OK).context == 64


def test_an_abort_is_a_crash() -> None:
    with Worker("fake") as worker:
        worker.load(LoadSettings(path="fake:abort"))
        with pytest.raises(EngineCrashed, match="aborted \\(SIGABRT\\) during prefill") as caught:
            worker.prefill([1])
        assert caught.value.outcome is Outcome.CRASHED
        with pytest.raises(EngineCrashed):
            worker.prefill([1])  # and stays one


def test_a_kill_from_outside_is_a_crash_that_suggests_why(hanging: Worker) -> None:
    soon(lambda: os.kill(hanging.pid, signal.SIGKILL))
    with pytest.raises(EngineCrashed, match="SIGKILL; the system may be out of memory"):
        hanging.prefill([1])


def test_a_death_between_calls_is_a_crash() -> None:
    with Worker("fake") as worker:
        os.kill(worker.pid, signal.SIGTERM)
        assert wait_until(lambda: gone(worker.pid))
        with pytest.raises(EngineCrashed, match="SIGTERM during decode"):
            worker.decode([1] * 100_000)


def test_a_bug_in_the_child_is_a_crash_whose_log_ends_with_the_traceback() -> None:
    with Worker("fake") as worker:
        with pytest.raises(EngineCrashed, match="exited with status 1") as caught:
            worker.detokenize([300])  # no byte
        assert caught.value.log_tail.splitlines()[-1].startswith("ValueError")
        assert len(caught.value.log_tail.splitlines()) <= 20


def test_a_hang_ends_at_its_deadline_and_the_parent_does_not_work_meanwhile() -> None:
    with Worker("fake", deadline_s=1.0) as worker:
        worker.load(LoadSettings(path="fake:hang"))
        start, worked_s = time.monotonic(), time.process_time()
        with pytest.raises(EngineTimeout, match="no answer within 1 s during prefill") as caught:
            worker.prefill([1])
        assert time.process_time() - worked_s < 0.1
    assert caught.value.outcome is Outcome.TIMEOUT
    assert 1.0 <= time.monotonic() - start < 5
    assert gone(worker.pid)


@pytest.mark.slow
def test_a_deadline_that_is_met_does_not_count_against_the_next_call() -> None:
    with Worker("fake", deadline_s=1.0) as worker:
        end = time.monotonic() + 1.2
        while time.monotonic() < end:
            worker.prefill([1])


# ---- it leaves nothing behind -------------------------------------------------------------------------------------


def test_closing_twice_does_no_harm() -> None:
    worker = Worker("fake")
    worker.close()
    worker.close()
    assert gone(worker.pid)
    assert worker.log_tail() == ""


def test_an_interrupt_ends_a_child_that_is_deep_in_a_call(hanging: Worker) -> None:
    soon(lambda: os.kill(os.getpid(), signal.SIGINT))
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        hanging.prefill([1])
    hanging.close()
    assert time.monotonic() - start < 5
    assert gone(hanging.pid)


@linux
def test_a_parent_killed_with_9_takes_the_child_with_it() -> None:
    code = (
        "from slm_atlas.engines import LoadSettings, Worker\n"
        "worker = Worker('fake')\n"
        "worker.load(LoadSettings(path='fake:hang'))\n"
        "print(worker.pid, flush=True)\n"
        "worker.prefill([1])\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.1)  # it is in prefill now
        assert not gone(pid)
        parent.kill()
    assert wait_until(lambda: gone(pid))


@linux
def test_eight_workers_leave_no_file_open_and_no_zombie() -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before, children = open_files(), {child.pid for child in psutil.Process().children()}
    for number in range(8):
        with Worker("fake") as worker:
            if number % 4 == 1:
                os.kill(worker.pid, signal.SIGKILL)
            if number % 4 == 2:
                with pytest.raises(EngineRefused):
                    worker.load(LoadSettings(path="fake:refuse"))
    assert open_files() == before
    assert {child.pid for child in psutil.Process().children()} == children


@linux
def test_a_worker_that_does_not_start_leaves_nothing() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(EngineTimeout, match="during start"):
        Worker("fake", deadline_s=0.001)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_engine_that_is_not_installed_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "find_spec", lambda _: None)
    with pytest.raises(MissingExtra, match=r"The engine transformers .*pip install 'slm-atlas\[transformers\]'"):
        Worker("transformers")
