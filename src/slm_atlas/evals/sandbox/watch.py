"""Starts a fresh Python for one program, reads what it prints and reports, and leaves nothing of it."""

from __future__ import annotations

import marshal
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from slm_atlas.evals.sandbox.filter import filter_for
from slm_atlas.evals.sandbox.verdict import Limits

CHILD = Path(__file__).with_name("child.py")
SYSTEM_FOLDERS = ("/usr", "/lib", "/lib32", "/lib64", "/nix/store", "/etc/ld.so.cache")
"""Where libraries lie that Python needs; those that exist are shown, read-only."""
DYNAMIC_USERS = range(61184, 65520)
"""User ids that belong to nobody (systemd draws from them too)."""
OURS = 3
"""Processes of ours that count among the program's: the program itself, its warden, and (but of root) the outer one."""
TAIL_BYTES = 4096
"""So much of the end of the output is kept."""
LAST_GASP_S = 2.0
"""How long a killed sandbox may take until nobody holds its pipes."""


class Report(msgspec.Struct):
    """What the warden says."""

    up: list[str] = []
    lacking: dict[str, str] = {}
    refused: str = ""
    status: int = 0
    cpu_s: float = 0.0
    said: bytes = b""


class Seen(msgspec.Struct):
    """What was seen of a sandbox from outside."""

    report: Report | None = None
    output: bytes = b""
    printed: int = 0
    wall_s: float = 0.0
    late: bool = False


def watch(program: str, limits: Limits, needed: tuple[str, ...], mark: bytes = b"") -> Seen:
    """Starts a sandbox and reads what it prints and reports, until it ends or is late; nothing of it is left."""
    start = time.perf_counter()
    report_end, child_end = os.pipe()
    order = _order(program, limits, needed, mark) | {"report": child_end}
    try:
        with _started(order, child_end) as process:
            os.close(child_end)
            child_end = -1
            seen = _read(process, report_end, start + limits.wall_s, limits.output_bytes)
    finally:
        os.close(report_end)
        if child_end >= 0:
            os.close(child_end)
    seen.wall_s = time.perf_counter() - start
    return seen


def _order(program: str, limits: Limits, needed: tuple[str, ...], mark: bytes) -> dict[str, Any]:
    """What the child is told; `marshal` writes it, which the same Python reads."""
    rlimits = {
        "CPU": limits.cpu_s,
        "AS": limits.memory_bytes,
        "NPROC": limits.processes + (OURS if os.geteuid() else OURS - 1),
        "FSIZE": limits.file_bytes,
        "NOFILE": limits.open_files,
        "CORE": 0,
    }
    return {
        "program": program,
        "mark": mark,
        "needed": needed,
        "user": secrets.choice(DYNAMIC_USERS),
        "readable": _readable(),
        "filter": filter_for(),
        "folder_bytes": limits.folder_bytes,
        "limits": rlimits,
    }


def _readable() -> list[str]:
    """The folders that are shown to a program: Python's own and the system's libraries, none inside another."""
    python = {sys.base_prefix, sys.base_exec_prefix}
    folders = [path for path in SYSTEM_FOLDERS if os.path.lexists(path)]
    return folders + sorted(one for one in python if not any(Path(one).is_relative_to(other) for other in folders))


@contextmanager
def _started(order: dict[str, Any], child_end: int) -> Iterator[subprocess.Popen[bytes]]:
    """A fresh Python in a session of its own, with nothing inherited; it and its group are dead afterwards."""
    python = getattr(sys, "_base_executable", sys.executable)
    with _folder(order["needed"]) as folder:
        with tempfile.TemporaryFile() as stdin:
            stdin.write(marshal.dumps(order))
            stdin.seek(0)
            process = subprocess.Popen(
                [python, "-I", "-S", str(CHILD)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={},
                pass_fds=(child_end,),
                start_new_session=True,
            )
        try:
            yield process
        finally:
            _end(process)
            _pipe(process).close()


def _folder(needed: tuple[str, ...]) -> AbstractContextManager[str]:
    """An empty folder where there is no root in memory, which has its own and leaves nothing even if we are killed."""
    if not needed or "files" in needed:
        return nullcontext("/")
    return tempfile.TemporaryDirectory(prefix="slm-sandbox-", ignore_cleanup_errors=True)


def _read(process: subprocess.Popen[bytes], report_end: int, deadline: float, most: int) -> Seen:
    """Reads until the report's pipe closes (only the outer process and the warden hold it) or a limit is reached."""
    seen, said = Seen(), b""
    output = _pipe(process)
    with selectors.DefaultSelector() as selector:
        selector.register(report_end, selectors.EVENT_READ)
        selector.register(output, selectors.EVENT_READ)
        while report_end in (key.fd for key in selector.get_map().values()):
            remaining = deadline - time.perf_counter()
            if remaining <= 0 or seen.printed > most:
                seen.late = remaining <= 0
                break
            for key, _ in selector.select(remaining):
                data = os.read(key.fd, 1 << 16)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fd == report_end:
                    said += data
                else:
                    _keep(seen, data)
    _end(process)
    _drain(seen, output)
    seen.report = _parse(said.decode()) if said else None
    return seen


def _parse(lines: str) -> Report:
    """The warden's report: a line a fact, its kind first."""
    report = Report()
    for line in lines.split("\n"):
        kind, _, fact = line.partition(" ")
        match kind:
            case "up":
                report.up.append(fact)
            case "lacking":
                layer, _, why = fact.partition(" ")
                report.lacking[layer] = why
            case "refused":
                report.refused = fact
            case "status":
                report.status = int(fact)
            case "cpu_s":
                report.cpu_s = float(fact)
            case "said":
                report.said = bytes.fromhex(fact)
    return report


def _pipe(process: subprocess.Popen[bytes]) -> BinaryIO:
    assert process.stdout is not None
    return process.stdout  # type: ignore[return-value]


def _keep(seen: Seen, data: bytes) -> None:
    seen.printed += len(data)
    seen.output = (seen.output + data)[-TAIL_BYTES:]


def _drain(seen: Seen, output: BinaryIO) -> None:
    """Reads what is left in the pipe until nobody holds its other end: then the last of its processes is gone."""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        until = time.perf_counter() + LAST_GASP_S
        while selector.select(max(0.0, until - time.perf_counter())):
            data = os.read(output.fileno(), 1 << 16)
            if not data:
                return
            _keep(seen, data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and its group, the warden among them, whose death ends its namespace."""
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
