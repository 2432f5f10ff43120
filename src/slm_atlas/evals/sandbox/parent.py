"""The outer side of the sandbox: which layers there are, and how a program in them ended."""

from __future__ import annotations

import functools
import os
import secrets
import signal
import sys

from slm_atlas.evals.sandbox.layers import LAYERS, Layers
from slm_atlas.evals.sandbox.verdict import Limits, Outcome, Verdict
from slm_atlas.evals.sandbox.watch import TAIL_BYTES, Seen, watch


def run(program: str, limits: Limits | None = None, *, isolated: bool = True) -> Verdict:
    """Runs a Python program, its tests included, in a sandbox of the layers in force.

    Args:
        program: the text; it passes when its last line is reached.
        limits: what it may use.
        isolated: refuse where an essential layer is lacking. Without, the program runs with those there are (on a
            machine that may be lost); as root it is refused even so.
    """
    reason = _objection(isolated)
    if reason:
        return Verdict(outcome=Outcome.REFUSED, reason=reason)
    return _run(program, limits or Limits(), layers().in_force)


@functools.cache
def layers() -> Layers:
    """The layers of this machine, found by putting them up once around an empty program."""
    if os.name != "posix":
        return Layers(in_force=(), lacking=dict.fromkeys(LAYERS, "needs Linux"))
    report = watch("", Limits(), ()).report
    if report is None or report.refused:
        reason = report.refused if report else "the sandbox does not start"
        return Layers(in_force=(), lacking=dict.fromkeys(LAYERS, reason))
    absent = "needs Linux" if sys.platform != "linux" else "not put up"
    up = tuple(name for name in LAYERS if name in report.up)
    lacking = {name: report.lacking.get(name, absent) for name in LAYERS if name not in up}
    return Layers(in_force=up, lacking=lacking)


def _objection(isolated: bool) -> str:
    """Why no program runs here; empty where one may."""
    here = layers()
    if not here.in_force:
        return next(iter(here.lacking.values()))
    if not here.missing:
        return ""
    if isolated:
        return f"no isolation on this machine: {here.missing[0]}: {here.lacking[here.missing[0]]}"
    return "as root and without isolation, a program could do anything" if os.geteuid() == 0 else ""


def _run(program: str, limits: Limits, needed: tuple[str, ...]) -> Verdict:
    mark = secrets.token_bytes(16)
    seen = watch(program, limits, needed, mark)
    outcome, reason = _judge(seen, mark, limits)
    output = seen.output[-TAIL_BYTES:].decode(errors="replace")
    return Verdict(outcome=outcome, reason=reason, wall_s=seen.wall_s, output=output)


def _judge(seen: Seen, mark: bytes, limits: Limits) -> tuple[Outcome, str]:
    """How a program ended, and why. It passed only if it said its mark, nothing else, and exited with 0."""
    report = seen.report
    if seen.printed > limits.output_bytes:
        return Outcome.FAILED, f"printed more than {limits.output_bytes} bytes"
    if seen.late:
        return Outcome.TIMED_OUT, f"{limits.wall_s:g} s on the clock"
    if report is None:
        return Outcome.FAILED, "ended its own sandbox"
    if report.refused:
        return Outcome.REFUSED, report.refused
    code = os.waitstatus_to_exitcode(report.status)
    if code == 0 and report.said == mark:
        return Outcome.PASSED, ""
    said = report.said.decode(errors="replace") if report.said != mark else ""
    if code == -signal.SIGXCPU or (code < 0 and report.cpu_s >= limits.cpu_s):
        return Outcome.TIMED_OUT, f"{limits.cpu_s} s of processor time"
    if said.startswith("MemoryError"):
        return Outcome.MEMORY, said
    return Outcome.FAILED, said or (f"killed by {_signal(-code)}" if code < 0 else f"exited with {code} before its end")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
