"""The machine a measurement runs on: what it is, and how it is doing.

What a system does not say is None (or "unknown" in a `Host`); Linux says most, macOS some.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec
import psutil

from slm_atlas.bench.system_files import (
    UNKNOWN,
    Cpu,
    number,
    parse_choice,
    parse_clocks,
    parse_cpuinfo,
    parse_pressure,
    parse_quota,
    parse_sysctl,
    parse_throttled,
    parse_ticks,
)
from slm_atlas.engines.process import usable_cores
from slm_atlas.store.records import Host
from slm_atlas.units import MIB

ROOT = Path("/")

MEMORY_STEP_BYTES = 64 * MIB
"""A kernel keeps a little more or less for itself from boot to boot; a host's memory is rounded so that it stays the
same host."""

CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "soc_thermal")
"""Sensors of processors, by the names of their drivers; those of disks and cards say nothing of the clock."""


class HostState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a machine is doing at a moment; None where the system does not say."""

    logical_cores: int
    """Cores of the whole machine, over which the load is spread."""
    load_1min: float | None
    """Mean number of threads that ran or wanted to in the last minute."""
    cpu_pressure: float | None
    """Percent of the last 10 s in which some thread waited for a core (PSI)."""
    memory_pressure: float | None
    """Percent of the last 10 s in which some thread waited for memory (PSI)."""
    io_pressure: float | None
    """Percent of the last 10 s in which some thread waited for a disk (PSI)."""
    steal_ticks: int | None
    """Time another virtual machine took, of all cores, since boot."""
    total_ticks: int | None
    """All time, of all cores, since boot."""
    swap_used_bytes: int
    """Memory that was moved to disk."""
    available_bytes: int
    """Memory a program can still get without swapping."""
    frequency_mhz: float | None
    """Clock of the fastest core."""
    governor: str | None
    """The rule by which the system picks the clock."""
    temperature_c: float | None
    """The hottest sensor, in degrees Celsius."""
    on_battery: bool | None
    """The machine runs from its battery."""
    smt: bool | None = None
    """Two threads share a core, so that as many threads as logical cores may be slower than half of them."""
    huge_pages: str | None = None
    """Whether large pages are used for ordinary memory (transparent huge pages): always, madvise or never."""
    clock_s: float | None = None
    """Seconds of a clock that is never set, to tell how long it is from one moment to another."""
    busy_s: float | None = None
    """Time all cores worked since boot, for whatever program."""
    own_s: float | None = None
    """The part of it that was this process's, and its children's that have ended."""
    throttled_s: float | None = None
    """Time the threads of this control group waited because its share of the processor was used up."""
    turbo: bool | None = None
    """The processor may raise its clock for as long as heat and power allow."""
    quota_cores: float | None = None
    """Cores' worth of time that a container is given; None: no limit."""


def describe_host(root: Path = ROOT) -> Host:
    """The machine, as far as its speed depends on it.

    Args:
        root: where the system's files are.
    """
    cpu = _cpu(root)
    facts = {
        "cpu": cpu.model,
        "arch": platform.machine() or UNKNOWN,
        "cores": usable_cores(),
        "flags": " ".join(cpu.flags) or UNKNOWN,
        "memory_bytes": round(psutil.virtual_memory().total / MEMORY_STEP_BYTES) * MEMORY_STEP_BYTES,
        "system": f"{platform.system()} {platform.release()}".strip() or UNKNOWN,
        "python": platform.python_version(),
    }
    identity = hashlib.sha256(msgspec.json.encode(facts, order="sorted")).hexdigest()[:12]
    return msgspec.convert({"id": identity, **facts}, Host)


def host_state(root: Path = ROOT) -> HostState:
    """How the machine is doing now; reads a few small files, and takes about a millisecond.

    Args:
        root: where the system's files are.
    """
    pressure = root / "proc/pressure"
    ticks = parse_ticks(_read(root / "proc/stat"))
    cpus = root / "sys/devices/system/cpu"
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    return HostState(
        logical_cores=os.cpu_count() or 1,
        load_1min=_load(),
        cpu_pressure=parse_pressure(_read(pressure / "cpu")),
        memory_pressure=parse_pressure(_read(pressure / "memory")),
        io_pressure=parse_pressure(_read(pressure / "io")),
        steal_ticks=ticks.steal if ticks else None,
        total_ticks=ticks.total if ticks else None,
        swap_used_bytes=int(psutil.swap_memory().used),
        available_bytes=int(psutil.virtual_memory().available),
        frequency_mhz=max(_clocks_mhz(root), default=None),
        governor=_read(cpus / "cpu0/cpufreq/scaling_governor").strip() or None,
        temperature_c=max((value for value in _temperatures_c(root) if 0 < value < 150), default=None),
        on_battery=None if battery is None else battery.power_plugged is False,
        smt={"1": True, "0": False}.get(_read(cpus / "smt/active").strip()),
        huge_pages=parse_choice(_read(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        clock_s=time.monotonic(),
        busy_s=_busy(),
        own_s=_own(),
        throttled_s=parse_throttled(_read(root / "sys/fs/cgroup/cpu.stat")),
        turbo=_turbo(cpus),
        quota_cores=parse_quota(_read(root / "sys/fs/cgroup/cpu.max")),
    )


def _clocks_mhz(root: Path) -> list[float]:
    """The cores' clocks: of the system's rule for them, else as the processor counts them."""
    khz = _numbers((root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return [value / 1000 for value in khz] or parse_clocks(_read(root / "proc/cpuinfo"))


def _temperatures_c(root: Path) -> list[float]:
    """What the thermal zones show, and the processor's own sensors (AMD's are no zones)."""
    zones = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    chips = [
        folder for folder in (root / "sys/class/hwmon").glob("hwmon*") if _read(folder / "name").strip() in CPU_SENSORS
    ]
    sensors = [path for folder in chips for path in folder.glob("temp*_input")]
    return [value / 1000 for value in _numbers([*zones, *sensors])]


def _cpu(root: Path) -> Cpu:
    if platform.system() == "Darwin":
        return parse_sysctl(_sysctl())
    cpu = parse_cpuinfo(_read(root / "proc/cpuinfo"))
    return cpu if cpu.model != UNKNOWN else cpu._replace(model=platform.processor() or UNKNOWN)


def _sysctl() -> str:
    command = ["sysctl", "machdep.cpu.brand_string", "hw.optional"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))


def _own() -> float | None:
    """None on Windows, which does not count the time of children that have ended."""
    return None if os.name == "nt" else sum(os.times()[:4])


def _turbo(cpus: Path) -> bool | None:
    allowed = {"0": True, "1": False}.get(_read(cpus / "intel_pstate/no_turbo").strip())
    return allowed if allowed is not None else {"1": True, "0": False}.get(_read(cpus / "cpufreq/boost").strip())


def _load() -> float | None:
    try:
        return float(psutil.getloadavg()[0])
    except OSError:
        return None


def _read(path: Path) -> str:
    """The text of one of the system's files; empty where it has none, or keeps it to itself."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _numbers(paths: Iterable[Path]) -> list[float]:
    values = (number(_read(path)) for path in paths)
    return [value for value in values if value is not None]
