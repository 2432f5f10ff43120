"""What hostile programs try: each test shows that a property is held by the layers in force, and names the layer.

A program under test prints what it found, and the test looks at that and at the machine from outside.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from slm_atlas.evals.sandbox import Limits, Outcome, Verdict, layers, run
from slm_atlas.units import GIB, MIB

SHORT = Limits(cpu_s=1, wall_s=0.6)
"""For programs that never end; those that must be seen through have the usual limits."""


def needs(layer: str) -> pytest.MarkDecorator:
    """Skips where the kernel has no such layer, saying why."""
    here = layers()
    return pytest.mark.skipif(layer not in here.in_force, reason=f"{layer}: {here.lacking.get(layer)}")


isolated = pytest.mark.skipif(bool(layers().missing), reason=f"no isolation here: {layers().describe()}")
pytestmark = isolated


def answered(program: str, limits: Limits | None = None) -> str:
    """What a program printed that ran to its end."""
    verdict = run(program, limits)
    assert verdict.outcome is Outcome.PASSED, verdict
    return verdict.output.strip()


def failed(program: str, limits: Limits | None = None) -> str:
    verdict = run(program, limits)
    assert verdict.outcome is Outcome.FAILED, verdict
    return verdict.reason


def marked(name: str) -> list[psutil.Process]:
    """Living processes that named themselves so."""
    return [one for one in psutil.process_iter(["name", "status"]) if one.info["name"] == name]


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for a hostile process that no other test's has (the kernel keeps 15 letters)."""
    return f"evil-{os.getpid()}"[:15]


def naming(name: str) -> str:
    """Code that names the process and its children, so that they are found from outside."""
    return f"import ctypes, os, time\nctypes.CDLL(None).prctl(15, b'{name}', 0, 0, 0)\n"


# ---- load -----------------------------------------------------------------------------------------------------------


@needs("limits")
def test_a_fork_bomb_is_held_and_dies(name: str) -> None:
    bomb = "while True:\n    try:\n        os.fork()\n    except OSError:\n        pass"
    most, verdict = watched(lambda: run(naming(name) + bomb, SHORT), name)
    assert verdict.outcome is Outcome.TIMED_OUT
    assert 1 < most <= 1 + Limits().processes
    assert not marked(name)


def watched(action: Callable[[], Verdict], name: str) -> tuple[int, Verdict]:
    """The most processes of a name that lived at once while something ran."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        future, most = pool.submit(action), 0
        while not future.done():
            most = max(most, len(marked(name)))
            time.sleep(0.02)
    return most, future.result()


@needs("limits")
def test_threads_count_as_processes() -> None:
    program = "import threading, time\nfor _ in range(100): threading.Thread(target=time.sleep, args=(9,)).start()"
    assert "can't start new thread" in failed(program)


@needs("limits")
def test_a_memory_bomb_is_out_of_memory() -> None:
    assert run("x = bytearray(4 << 30)").outcome is Outcome.MEMORY
    assert run("x = []\nwhile True: x.append(bytes(1 << 24))").outcome is Outcome.MEMORY


@needs("limits")
def test_an_endless_loop_is_killed_for_its_processor_time() -> None:
    verdict = run("while True: pass", Limits(cpu_s=1))
    assert verdict.outcome is Outcome.TIMED_OUT
    assert "processor" in verdict.reason
    assert verdict.wall_s < Limits().wall_s


@pytest.mark.slow
@needs("limits")
def test_who_ignores_the_signal_of_the_limit_is_killed_a_second_later() -> None:
    verdict = run("import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass", Limits(cpu_s=1))
    assert verdict.outcome is Outcome.TIMED_OUT
    assert "processor" in verdict.reason


def test_who_sleeps_is_killed_by_the_clock() -> None:
    verdict = run("import time\ntime.sleep(60)", SHORT)
    assert (verdict.outcome, verdict.reason) == (Outcome.TIMED_OUT, "0.6 s on the clock")
    assert verdict.wall_s < 5


def test_who_stops_himself_is_killed_by_the_clock() -> None:
    assert run("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", SHORT).outcome is Outcome.TIMED_OUT


def test_endless_output_is_cut_and_its_end_kept() -> None:
    reason = failed("while True: print('x' * 1000)", Limits(output_bytes=1 * MIB))
    assert reason == f"printed more than {MIB} bytes"
    verdict = run("print('a' * 100_000)\nprint('the end')")
    assert verdict.outcome is Outcome.PASSED
    assert verdict.output.endswith("a\nthe end\n")
    assert len(verdict.output) <= 4096


def test_output_that_is_not_utf8_is_replaced() -> None:
    assert answered("import os\nos.write(1, b'\\xff\\xfe ok')").endswith("ok")


@needs("limits")
def test_a_file_has_a_largest_size_and_so_have_all_together() -> None:
    assert "too large" in failed("open('f', 'wb').write(bytes(32 << 20))")
    many = "for n in range(100): open(str(n), 'wb').write(bytes(4 << 20))"
    assert "No space left" in failed(many)


@needs("limits")
def test_recursion_without_an_end_fails() -> None:
    assert failed("def f(): f()\nf()").startswith("RecursionError")
    deep = "import sys\nsys.setrecursionlimit(10**9)\n"
    natively = "class A:\n  def __getattr__(self, n): return getattr(self, 'x')\nA().x"
    assert run(deep + natively).outcome in (Outcome.FAILED, Outcome.MEMORY)


@needs("limits")
def test_open_files_are_limited() -> None:
    assert "Too many open files" in failed("kept = [open('/dev/null') for _ in range(1000)]")


@needs("calls")
def test_memory_outside_the_limits_is_not_given() -> None:
    assert "Operation not permitted" in failed("import os\nos.memfd_create('x')")
    shmget = "import ctypes\nassert ctypes.CDLL(None).shmget(0, 1 << 30, 0o1600) >= 0"
    assert failed(shmget) == "AssertionError"


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def secret() -> Iterator[Path]:
    """A file in the home folder."""
    path = Path.home() / f".slm-test-secret-{os.getpid()}"
    path.write_text("secret")
    yield path
    path.unlink()


@needs("files")
def test_the_home_folder_is_not_there(secret: Path) -> None:
    assert failed(f"print(open({str(secret)!r}).read())").startswith("FileNotFoundError")


@needs("files")
def test_nothing_is_there_but_python_and_the_systems_libraries() -> None:
    found = set(answered("import os\nprint(*os.listdir('/'))").split())
    python = Path(sys.base_prefix).parts[1]
    assert found <= {"dev", "etc", "lib", "lib32", "lib64", "nix", "tmp", "usr", python}
    gone = [
        "/proc",
        "/sys",
        "/etc/passwd",
        "/etc/hostname",
        "/var",
        "/run",
        str(Path(__file__)),
        "/dev/vda",
        "/dev/kmsg",
    ]
    assert answered(f"import os\nprint(*[p for p in {gone} if os.path.exists(p)])") == ""


@needs("files")
def test_nothing_outside_its_folder_is_written(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    places = ["/x", "/usr/x", "/lib/x", "/dev/x", f"{sys.base_prefix}/x", os.__file__, str(victim)]
    program = f"""
written = []
for place in {places}:
    try:
        open(place, "r+" if place.endswith(".py") else "w").write("x")
        written.append(place)
    except OSError:
        pass
print(*written)
"""
    assert answered(program) == ""
    assert victim.read_text() == "whole"


@needs("files")
def test_what_it_writes_is_gone(tmp_path: Path) -> None:
    before = set(Path("/tmp").iterdir())
    name = f"left-behind-{os.getpid()}"
    assert (
        answered(f"open('{name}', 'w').write('x')\nopen('/tmp/{name}2', 'w')\nimport os\nprint(os.getcwd())") == "/tmp"
    )
    assert not [path for path in set(Path("/tmp").iterdir()) - before if name in path.name]
    assert answered("import os\nprint(os.listdir('.'))") == "[]"


@needs("files")
def test_no_way_back_to_the_old_root() -> None:
    climb = "import os\nfor _ in range(64): os.chdir('..')\nprint(*os.listdir('.'))"
    assert "proc" not in answered(climb).split()
    assert failed("import os\nos.chroot('.')").startswith("PermissionError")


def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        look = (
            "import os\nfor fd in range(1024):\n  try: os.fstat(fd)\n  except OSError: continue\n  print(fd, end=' ')"
        )
        assert answered(look) == "0 1 2 3"
    assert "hunter2" not in answered(
        "import os, sys\nprint(dict(os.environ), sys.argv, sys.path, vars(sys.modules['__main__']))"
    )
    assert failed("input()").startswith("EOFError")


# ---- network --------------------------------------------------------------------------------------------------------


@needs("calls")
def test_there_are_no_sockets_but_within_the_program() -> None:
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_VSOCK", "AF_PACKET", "AF_ALG"):
        kind = "SOCK_RAW" if family in ("AF_NETLINK", "AF_PACKET") else "SOCK_STREAM"
        assert failed(f"import socket\nsocket.socket(socket.{family}, socket.{kind})").startswith("PermissionError")
    assert answered("import socket\na, b = socket.socketpair()\na.send(b'x')\nprint(b.recv(1))") == "b'x'"


@needs("network")
def test_this_machines_own_servers_are_not_reached_even_without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slm_atlas.evals.sandbox.parent.layers", lambda: without("calls"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()
        reason = failed(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)")
    assert "unreachable" in reason
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind(f"\0slm-{os.getpid()}")
        abstract.listen()
        reason = failed(f"import socket\nsocket.socket(socket.AF_UNIX).connect('\\0slm-{os.getpid()}')")
    assert reason.startswith("ConnectionRefusedError")


def without(layer: str) -> object:
    """The layers in force but one: what the others hold alone."""
    from msgspec.structs import replace

    here = layers()
    return replace(here, in_force=tuple(name for name in here.in_force if name != layer))


# ---- other processes ------------------------------------------------------------------------------------------------


@needs("processes")
def test_a_signal_to_all_reaches_nobody_outside() -> None:
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        run("import os\nos.kill(-1, 9)")
        for pid in (bystander.pid, os.getpid(), os.getppid()):
            run(f"import os\nos.kill({pid}, 9)")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


@needs("processes")
def test_parent_and_warden_take_no_signals() -> None:
    signals = "for n in range(1, 65):\n  if n not in (32, 33): os.kill(1, n)\n"
    assert answered(f"import os, time\nassert os.getppid() == 1\n{signals}time.sleep(0.1)\nprint('alive')") == "alive"
    assert failed("import os\nos.kill(0, 9)") == "killed by SIGKILL"


@needs("processes")
def test_a_daemon_does_not_outlive_its_program(name: str) -> None:
    daemon = "if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    os.closerange(0, 64)\n    time.sleep(60)\n"
    most, verdict = watched(lambda: run(naming(name) + daemon + "  os._exit(0)\ntime.sleep(0.3)"), name)
    assert verdict.outcome is Outcome.PASSED
    assert most >= 2
    assert not marked(name)


@needs("processes")
def test_zombies_and_orphans_are_cleared() -> None:
    generation = (
        "  if os.fork() == 0:\n    if os.fork() == 0: os._exit(0)\n    os._exit(0)\n  os.wait()\n  time.sleep(0.01)\n"
    )
    assert answered(f"import os, time\nfor _ in range(30):\n{generation}print('done')") == "done"
    assert "Resource temporarily" in failed("import os\nfor _ in range(30):\n  if os.fork() == 0: os._exit(0)")


@needs("processes")
def test_nothing_is_left_when_we_are_killed(name: str) -> None:
    code = f"from slm_atlas.evals.sandbox import run\nrun({naming(name) + 'time.sleep(60)'!r})"
    start = time.time()
    host = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    until(lambda: bool(marked(name)))
    host.kill()
    host.wait()
    until(lambda: not marked(name))
    assert {path for path in Path("/tmp").glob("slm-sandbox-*") if path.stat().st_mtime >= start} == set()


def until(condition: Callable[[], bool], deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "never happened"
        time.sleep(0.02)


@needs("calls")
def test_the_warden_cannot_be_looked_into() -> None:
    attach = "import ctypes\nassert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0"
    assert failed(attach) == "AssertionError"
    for call in ("unshare(0x10000000)", "setns(0, 0)", "mount(0, 0, 0, 0, 0)", "syscall(425, 1, 0)"):
        assert failed(f"import ctypes\nassert ctypes.CDLL(None).{call} >= 0") == "AssertionError"


@needs("privileges")
def test_it_has_no_privileges_and_gets_none() -> None:
    program = """
import ctypes, os
libc = ctypes.CDLL(None)
header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert libc.capget(header, data) == 0
print(list(data), libc.prctl(39, 0, 0, 0, 0), 0 in (os.getuid(), os.geteuid(), os.getgid()), os.getgroups() == [0])
"""
    assert answered(program) == "[0, 0, 0, 0, 0, 0] 1 False False"
    assert "Errno" in failed("import os\nos.setuid(0)")  # not permitted, or a user that is not known there


# ---- passing without passing the tests -------------------------------------------------------------------------------

TESTS = "\nassert answer() == 42\n"


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import os; os._exit(0)", "exited with 0 before its end"),
        ("import os; os._exit(42)", "exited with 42 before its end"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("import os; os.abort()", "killed by SIGABRT"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("class Odd(BaseException):\n  def __str__(self): 1 / 0\nraise Odd", "Odd"),
        ("raise ValueError('two\\nlines')", "ValueError: two"),
        ("import os; os.fork() and (os.wait(), os._exit(0))\ndef answer(): return 42", "exited with 0 before its end"),
        ("import os; os.closerange(0, 99)\ndef answer(): return 42", "exited with 0 before its end"),
        ("def answer(): return 41", "AssertionError"),
        ("", "NameError: name 'answer' is not defined"),
        ("def answer(:", "SyntaxError: invalid syntax (<program>, line 1)"),
        ("x = '\ud800'", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800' in position 5"),
        ("\0", "SyntaxError: source code string cannot contain null bytes"),
    ],
)
def test_what_does_not_reach_the_end_of_its_tests_fails(cheat: str, reason: str) -> None:
    assert failed(cheat + TESTS).replace("ValueError: source", "SyntaxError: source").startswith(reason)


@pytest.mark.parametrize(
    "printing",
    [
        "print('passed')",
        "import os; os.write(3, b'\\0' * 16)",
        "import os; os.write(3, b'{}')",
        "import os; os.write(3, b'x' * 9999)",
    ],
)
def test_the_mark_cannot_be_guessed(printing: str) -> None:
    run_ = run(f"{printing}\nimport os; os._exit(0)")
    assert run_.outcome is Outcome.FAILED


def test_what_was_written_in_the_marks_place_spoils_it() -> None:
    assert run("import os; os.write(3, b'x')").outcome is Outcome.FAILED


def test_what_children_raise_is_theirs() -> None:
    program = "import os\nif os.fork() == 0:\n    raise ValueError\nos.wait()"
    assert run(program).outcome is Outcome.PASSED


def test_replaced_modules_do_not_matter() -> None:
    program = """
import builtins, os, sys
os.write = os._exit = sys.exit = builtins.print = builtins.open = None
builtins.BaseException = builtins.Exception = type("Other", (), {})
sys.stdout = sys.stderr = None
sys.modules.clear()
"""
    assert run(program).outcome is Outcome.PASSED
    assert failed(program + "assert False").startswith("AssertionError")


def test_an_honest_program_passes_whatever_it_prints_or_leaves_running() -> None:
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\nprint('ok')"
    verdict = run(thread + "\ndef answer(): return 42" + TESTS)
    assert (verdict.outcome, verdict.output, verdict.reason) == (Outcome.PASSED, "ok\n", "")
    assert verdict.wall_s < 5


def test_the_limits_are_those_asked_for() -> None:
    look = "import resource as r\nprint(*[r.getrlimit(x)[0] for x in (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_CORE)])"
    assert answered(look, Limits(memory_bytes=2 * GIB, cpu_s=7)) == f"{2 * GIB} 7 0"
