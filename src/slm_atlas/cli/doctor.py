"""`slm doctor`: checks the machine, the engine and the installation, and says what mends each problem."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import click
import msgspec

from slm_atlas import catalog
from slm_atlas.bench import read_calibration
from slm_atlas.bench.disturbing import MAX_STEAL_SHARE, noise
from slm_atlas.bench.host import HostState, describe_host, host_state
from slm_atlas.bench.system_files import UNKNOWN
from slm_atlas.cli.output import json_option, print_json, print_table, say
from slm_atlas.engines import EngineInfo, Worker
from slm_atlas.errors import EngineError
from slm_atlas.evals.sandbox import MEND, Layers, layers
from slm_atlas.home import ENVIRONMENT_VARIABLE, home
from slm_atlas.store.records import Host
from slm_atlas.studies.lock import measured_by
from slm_atlas.units import GIB, MIB, format_bytes

ENGINE = "llama-cpp-python==0.3.36"
"""The release of the engine's bindings that pyproject.toml names (a test compares them)."""

INSTALL_ENGINE = f"CMAKE_ARGS='-DGGML_NATIVE=ON' pip install --force-reinstall --no-deps --no-cache-dir '{ENGINE}'"
"""Compiles the engine anew, for this processor."""

REPAIR_ENGINE = f"CXXFLAGS='-fno-tree-dse -fno-dse' {INSTALL_ENGINE}"
"""The same, keeping what GCC would wrongly remove from llama.cpp's AMX kernels (see tools/lean_llama.cmake)."""

ENGINE_DEADLINE_S = 60.0
"""Loading the engine takes about a second; a cold disk makes it ten."""

BUILD_FLAGS = {
    **{flag: flag.upper() for flag in ("avx", "avx2", "fma", "f16c", "bmi2", "avx_vnni", "neon", "dotprod", "sve")},
    **{flag: flag.upper() for flag in ("avx512_vbmi", "avx512_vnni", "avx512_bf16", "amx_int8")},
    **{"avx512f": "AVX512", "i8mm": "MATMUL_INT8", "fp16": "FP16_VA"},
}
"""Our name of an instruction set, and the one in llama.cpp's system info."""

MIN_DISK_BYTES = 3 * GIB
"""The quick study writes less than 1 GiB; a 3B model at Q4_K_M is 2 GiB."""
MIN_MEMORY_BYTES = 2 * GIB
"""A 1B model at Q4_K_M takes about 1 GiB while it runs."""

MAX_SWAP_BYTES = 256 * MIB
"""Idle programs' pages of some days' uptime; more says that memory was short."""

SLOW_GOVERNORS = ("conservative", "powersave")
"""Rules that raise the clock late, or not at all."""


class Extra(NamedTuple):
    """An optional part of the installation."""

    modules: tuple[str, ...]
    """What it installs."""
    purpose: str
    """What it is for."""
    missed: bool = False
    """The demo does not work without it."""


EXTRAS = {
    "eval": Extra(("lm_eval",), "slm eval, and the quick study", missed=True),
    "endpoint": Extra(("aiohttp", "requests", "tenacity"), "slm eval endpoint:NAME@URL"),
    "hf": Extra(("huggingface_hub",), "models named hf:owner/repo/file.gguf, slm results hub"),
    "transformers": Extra(("torch", "transformers", "accelerate"), "slm eval --engine torch, slm bench transformers:"),
    "parquet": Extra(("pyarrow",), "slm results export NAME.parquet"),
    "ray": Extra(("ray",), "studies on several machines"),
    "dev": Extra(("hypothesis", "mypy", "pytest", "ruff"), "make test, make check"),
}
"""The extras of pyproject.toml that bring something of their own."""


class Status(StrEnum):
    """What a check found, best first."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    section: str
    """machine, engine, extras, home or noise."""
    name: str
    """What was looked at."""
    status: Status
    """Whether it is as it should be."""
    found: str
    """What was found."""
    fix: str | None = None
    """The command, or the change, that mends it; None where nothing needs mending."""

    @property
    def advice(self) -> str:
        """What to do about it, in a line."""
        return f"{'optional' if self.status is Status.OK else self.status}: {self.section} {self.name}: {self.fix}"


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """All that `slm doctor` found."""

    status: Status
    """The worst of the checks."""
    host: Host
    """The machine."""
    state: HostState
    """How it is doing."""
    checks: tuple[Check, ...]
    """What was looked at."""


@click.command(epilog="Example: slm doctor --json")
@json_option
@click.pass_context
def command(ctx: click.Context, json: bool) -> None:
    """Check the machine, the engine and the installation.

    Says what is there, what is missing or noisy, and the command that mends it. Exit code 1 when something does not
    work.
    """
    found = diagnose()
    if json:
        print_json(found)
    else:
        _print(found)
    ctx.exit(1 if found.status is Status.PROBLEM else 0)


def diagnose() -> Diagnosis:
    """Look at everything; takes about two seconds, most of it spent on the engine."""
    before = host_state()
    engine = probe_engine()
    state = host_state()
    host = describe_host()
    checks = (
        *check_machine(host, state),
        *check_engine(engine, host.flags.split()),
        *([] if isinstance(engine, str) else [check_run(try_engine()), check_calibration(host, engine)]),
        *check_other_engines(),
        check_sandbox(layers()),
        *check_extras(),
        *check_home(home()),
        *check_noise(before, state),
        *check_others(measured_by()),
    )
    status = max((check.status for check in checks), key=list(Status).index)
    return Diagnosis(status=status, host=host, state=state, checks=checks)


def probe_engine() -> EngineInfo | str:
    """The engine's description of itself, or why there is none.

    It is asked in a worker: native code compiled for another processor ends the process that loads it.
    """
    try:
        with Worker(deadline_s=ENGINE_DEADLINE_S) as engine:
            return engine.describe()
    except EngineError as error:
        return _told(error)


def try_engine() -> str | None:
    """Run a tiny forged model at several quantizations; what went wrong, or None.

    An engine may load and describe itself, and still die in its first matrix product (see tools/lean_llama.cmake).
    """
    from slm_atlas.anatomy import Quantization
    from slm_atlas.engines import LoadSettings
    from slm_atlas.models.forge import Order, forge

    tiny = msgspec.structs.replace(catalog.get("smollm-135m").architecture, layers=1, vocab=1024)
    with tempfile.TemporaryDirectory() as folder:
        for quantization in (Quantization.Q4_K_M, Quantization.Q8_0, Quantization.Q4_0, Quantization.F16):
            path = forge(Order("Tiny", tiny, quantization), Path(folder) / f"{quantization}.gguf")
            try:
                with Worker(deadline_s=ENGINE_DEADLINE_S) as engine:
                    engine.load(LoadSettings(path=str(path), context=256))
                    engine.prefill(list(range(1, 51)))
            except EngineError as error:
                return f"{quantization}: {_told(error)}"
    return None


def _told(error: EngineError) -> str:
    return ": ".join([error.cause, *error.log_tail.splitlines()[-1:]])


def check_machine(host: Host, state: HostState) -> list[Check]:
    """The processor, its clock and the memory."""
    cores = f"{host.cores} core{'s' if host.cores > 1 else ''}"
    memory = f"{format_bytes(state.available_bytes)} of {format_bytes(host.memory_bytes)} available"
    little = state.available_bytes < MIN_MEMORY_BYTES
    checks = [
        _check("machine", "processor", f"{host.cpu}, {cores} to use, {host.arch}"),
        _check("machine", "instruction sets", host.flags),
        _check("machine", "system", f"{host.system}, Python {host.python}"),
        _check("machine", "memory", memory, "close other programs, or measure small models" if little else None),
    ]
    return [*checks, *_clock(state), *_cores(host, state), *_swap(state)]


def _clock(state: HostState) -> list[Check]:
    """What decides how fast the processor runs; nothing where the system does not say, as in most virtual machines."""
    checks = []
    if state.governor:
        fix = "sudo cpupower frequency-set --governor performance" if state.governor in SLOW_GOVERNORS else None
        checks.append(_check("machine", "clock governor", state.governor, fix))
    if state.turbo is not None:
        found = "on: short runs may be faster than long ones" if state.turbo else "off"
        checks.append(_check("machine", "turbo", found))
    return checks


def _cores(host: Host, state: HostState) -> list[Check]:
    """What makes a core less than a core: siblings, a container's share, other virtual machines."""
    checks = []
    if state.smt is not None:
        fix = "slm bench --threads knee --pin finds out how many threads are worth while" if state.smt else None
        found = "on: two threads share a core" if state.smt else "off: each thread has a core"
        checks.append(_check("machine", "SMT", found, fix, Status.OK))
    if state.quota_cores is not None:
        found = f"this container is given {state.quota_cores:g} cores' worth of time"
        whole = state.quota_cores >= state.logical_cores
        fix = f"give it whole cores instead (--cpuset-cpus, not --cpus), or --threads {host.cores}"
        checks.append(_check("machine", "CPU quota", found, None if whole else fix))
    if state.steal_ticks and state.total_ticks:
        share = state.steal_ticks / state.total_ticks
        fix = "measure when the neighbours are idle, or on a machine of your own"
        found = f"other virtual machines took {share:.1%} of the time since boot"
        checks.append(_check("machine", "stolen time", found, fix if share > MAX_STEAL_SHARE else None))
    return checks


def _swap(state: HostState) -> list[Check]:
    """Memory that lies on the disk already: reading it back would be timed as the model's."""
    used = state.swap_used_bytes
    fix = "close other programs; then sudo swapoff -a && sudo swapon -a"
    return [_check("machine", "swap", f"{format_bytes(used)} used", fix if used > MAX_SWAP_BYTES else None)]


def check_engine(engine: EngineInfo | str, flags: list[str]) -> list[Check]:
    """Whether the engine loads, and whether it was compiled for this processor.

    Args:
        engine: what `probe_engine` gave.
        flags: the processor's instruction sets, as `Host.flags` names them.
    """
    if isinstance(engine, str):
        return [_check("engine", "llama.cpp", f"does not load: {engine}", INSTALL_ENGINE, Status.PROBLEM)]
    version = _check("engine", engine.name, engine.version)
    unused = unused_flags(flags, engine.build)
    if flags == [UNKNOWN]:
        return [version, _check("engine", "build", engine.build)]
    if unused:
        found = f"leaves instruction sets of this processor unused: {' '.join(unused)}"
        return [version, _check("engine", "build", found, INSTALL_ENGINE)]
    return [version, _check("engine", "build", "uses this processor's instruction sets")]


def check_run(complaint: str | None) -> Check:
    """Whether the engine computes; takes what `try_engine` gave."""
    if complaint is None:
        return _check("engine", "trial", "runs a tiny model at four quantizations")
    return _check("engine", "trial", f"fails: {complaint}", REPAIR_ENGINE, Status.PROBLEM)


def check_calibration(host: Host, engine: EngineInfo) -> Check:
    """Whether it was measured what this machine can do with this build of the engine."""
    known = read_calibration(host.id, engine.text)
    if known is None:
        found = "not done: costs are checked against a rough measurement"
        return _check("engine", "calibration", found, "slm calibrate", Status.OK)
    extent = "quick" if known.quick else "full"
    found = f"{extent}, {known.measured_at}, {len(known.figures)} figures{'' if known.calm else ', disturbed'}"
    return _check("engine", "calibration", found, None if known.calm else "slm calibrate --again", Status.OK)


def check_other_engines() -> list[Check]:
    """What runs models beside llama.cpp: installed or not, neither is missed."""
    absent = [module for module in EXTRAS["transformers"].modules if find_spec(module) is None]
    found = f"not installed: {', '.join(absent)}" if absent else "runs transformers:ID"
    fix = "pip install 'slm-atlas[transformers]'" if absent else None
    return [
        _check("engine", "transformers", found, fix, Status.OK),
        _check("engine", "endpoint", "runs endpoint:NAME@URL, any OpenAI-compatible server; nothing to install"),
    ]


def check_sandbox(found: Layers) -> Check:
    """What holds a program that a model wrote (coding tasks, `slm eval --allow-code`)."""
    return _check("machine", "sandbox", found.describe(), MEND if found.missing else None, Status.OK)


def unused_flags(flags: list[str], build: str) -> list[str]:
    """The instruction sets that the processor has and llama.cpp could use, but was not compiled for.

    >>> unused_flags(["avx2", "avx512f", "bmi2"], "CPU : AVX2 = 1 | AVX512 = 0 | BMI2 = 1 | ")
    ['avx512f']
    """
    used = set(re.findall(r"(\w+) = 1\b", build))
    return [flag for flag in flags if flag in BUILD_FLAGS and BUILD_FLAGS[flag] not in used]


def check_extras() -> list[Check]:
    """Which optional parts are installed."""
    checks = []
    for name, extra in EXTRAS.items():
        absent = [module for module in extra.modules if find_spec(module) is None]
        found = f"{'not ' if absent else ''}installed ({extra.purpose})"
        status = Status.WARNING if absent and extra.missed else Status.OK
        checks.append(_check("extras", name, found, f"pip install 'slm-atlas[{name}]'" if absent else None, status))
    return checks


def check_home(folder: Path) -> list[Check]:
    """Whether the home folder can be written, and the room on its disk; nothing is written."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    fix = f"export {ENVIRONMENT_VARIABLE}=FOLDER, with a folder on a disk that has room and that you may write"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        return [_check("home", "folder", f"{folder} cannot be written", fix, Status.PROBLEM)]
    free = shutil.disk_usage(there).free
    room = _check("home", "free disk", format_bytes(free), fix if free < MIN_DISK_BYTES else None)
    return [_check("home", "folder", str(folder)), room]


def check_noise(before: HostState, now: HostState) -> list[Check]:
    """What would make a measurement doubtful now."""
    found = noise(before, now)
    if not found:
        return [_check("noise", "now", "quiet")]
    fix = "`top` shows what runs: stop it, or measure later"
    return [_check("noise", "now", sentence, fix) for sentence in found]


def check_others(other: str | None) -> list[Check]:
    """Whether another measurement runs on this machine, in whatever home folder."""
    if other is None:
        return [_check("noise", "measurements", "none is running")]
    return [_check("noise", "measurements", f"one is running ({other})", "wait for it: two would measure each other")]


def _check(section: str, name: str, found: str, fix: str | None = None, status: Status | None = None) -> Check:
    """A check; what needs a fix is a warning unless told otherwise."""
    status = status or (Status.WARNING if fix else Status.OK)
    return Check(section=section, name=name, status=status, found=found, fix=fix)


def _print(diagnosis: Diagnosis) -> None:
    rows = [(check.section, check.name, check.status, check.found) for check in diagnosis.checks]
    print_table(("", "Check", "Status", "Found"), rows)
    for fix in dict.fromkeys(check.advice for check in diagnosis.checks if check.fix):
        say(fix)
