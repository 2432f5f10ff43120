"""The machine a measurement runs on: what it is, how it is doing, and what makes its numbers doubtful.

Reading and parsing are apart: every `parse_*` function takes the text of a file. What a system does not say is None
(or "unknown" in a `Host`); Linux says most, macOS some.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from slm_atlas.engines.process import usable_cores
from slm_atlas.store.records import Host
from slm_atlas.units import MIB, format_bytes, format_seconds

UNKNOWN = "unknown"
ROOT = Path("/")

_X86 = "avx avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_int8 amx_tile bmi2 f16c fma"
_ARM = "bf16 i8mm sme sve sve2"
_RENAMED = {
    **{"avx512vbmi": "avx512_vbmi", "asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16"},  # Linux
    **{"AdvSIMD": "neon", "FEAT_DotProd": "dotprod", "FEAT_FP16": "fp16"},  # macOS, as `sysctl hw.optional` has them
    **{"FEAT_I8MM": "i8mm", "FEAT_BF16": "bf16", "FEAT_SME": "sme", "avx1_0": "avx", "avx2_0": "avx2"},
}
FLAGS = {name: name for name in f"{_X86} {_ARM}".split()} | _RENAMED
"""The instruction sets that matter to kernels: the system's name of each, and ours."""

MEMORY_STEP_BYTES = 64 * MIB
"""A kernel keeps a little more or less for itself from boot to boot; a host's memory is rounded so that it stays the
same host."""

MAX_STEAL_SHARE = 0.01
"""Of the processor's time. On a quiet machine a run differs from its repetition by 1 or 2 %; this is of that order."""
MIN_STEAL_TICKS = 5
"""A tick is 10 ms: fewer say more of the clock than of the neighbours."""
MAX_FOREIGN_SHARE = 0.05
"""Of the processor's time, that other programs took while a run was made: more than two runs of one model differ by."""
MIN_FOREIGN_S = 0.1
"""Ten ticks: the system's count of one core may be off by a tick or two."""
MAX_CPU_PRESSURE = 10.0
"""Percent of the last 10 s in which some thread waited for a core. Our own threads are no more than the cores, so they
wait only for someone else's."""
MAX_MEMORY_PRESSURE = 1.0
"""Percent of the last 10 s in which some thread waited for memory: none does while there is enough."""
MAX_LOAD_PER_CORE = 1.25
"""Our own threads fill the cores, a load of one a core; the margin is for the parent process and the kernel."""
MAX_SWAP_GROWTH_BYTES = 16 * MIB
"""An idle program's pages may leave at any time; more than this means that memory ran short."""
MAX_FREQUENCY_DROP = 0.10
"""Clocks wander by a few percent; a tenth is a limit of heat or power."""
MAX_QUOTA_SHARE = 0.01
"""Of a run's time, that some of its threads were kept from running since a container's share was used up."""
MAX_TEMPERATURE_C = 85.0
"""Small boards slow down from 80 to 85 degrees, laptops from about 95."""

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


class Cpu(NamedTuple):
    """What the system says of the processor."""

    model: str
    """Its name."""
    flags: tuple[str, ...]
    """The instruction sets that matter to kernels, sorted."""


class Ticks(NamedTuple):
    """Time since boot, of all cores, in the kernel's ticks (10 ms)."""

    steal: int
    """Taken by another virtual machine."""
    total: int
    """All."""


def parse_cpuinfo(text: str) -> Cpu:
    r"""The processor, from the text of /proc/cpuinfo.

    An ARM core has no name there; it is called by its numbers.

    >>> parse_cpuinfo("model name\t: A CPU\nflags\t\t: fpu avx2 fma\n")
    Cpu(model='A CPU', flags=('avx2', 'fma'))
    """
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), []).append(value.strip())
    numbers = [*fields.get("CPU implementer", [])[:1], *dict.fromkeys(fields.get("CPU part", []))]
    names = fields.get("model name") or fields.get("Model") or ([f"ARM {' '.join(numbers)}"] if numbers else [UNKNOWN])
    flags = (fields.get("flags") or fields.get("Features") or [""])[0].split()
    return Cpu(names[0], _known(flags))


def parse_sysctl(text: str) -> Cpu:
    r"""The processor, from what `sysctl machdep.cpu.brand_string hw.optional` prints on macOS.

    >>> parse_sysctl("machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_I8MM: 1\n")
    Cpu(model='Apple M2', flags=('i8mm',))
    """
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    flags = [key.rpartition(".")[2] for key, value in fields.items() if value.strip() == "1"]
    return Cpu(fields.get("machdep.cpu.brand_string", UNKNOWN), _known(flags))


def parse_pressure(text: str) -> float | None:
    r"""The share of the last 10 s in which some thread waited, in percent, from a file of /proc/pressure.

    >>> parse_pressure("some avg10=1.21 avg60=0.41 avg300=3.14 total=59535171\nfull avg10=0.00 total=0")
    1.21
    """
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "some":
            return _number(dict(pair.partition("=")[::2] for pair in rest.split()).get("avg10"))
    return None


def parse_ticks(text: str) -> Ticks | None:
    r"""Stolen and total time, from /proc/stat; its columns: user nice system idle iowait irq softirq steal.

    >>> parse_ticks("cpu  100 0 20 800 0 0 0 80 7 0\ncpu0 1 2 3")
    Ticks(steal=80, total=1000)
    """
    words = text.split("\n", 1)[0].split()
    if len(words) < 9 or words[0] != "cpu" or not all(word.isdigit() for word in words[1:9]):
        return None
    counts = [int(word) for word in words[1:9]]  # guest time, which follows, is part of user time
    return Ticks(counts[7], sum(counts))


def parse_choice(text: str) -> str | None:
    """The chosen one of the kernel's choices, which stands in brackets.

    >>> parse_choice("always [madvise] never"), parse_choice("")
    ('madvise', None)
    """
    chosen = [word for word in text.split() if word.startswith("[") and word.endswith("]")]
    return chosen[0][1:-1] if chosen else None


def parse_quota(text: str) -> float | None:
    """Cores' worth of time that a control group is given, from its file cpu.max; None where it has no limit.

    >>> parse_quota("150000 100000"), parse_quota("max 100000")
    (1.5, None)
    """
    quota, _, period = text.strip().partition(" ")
    return int(quota) / int(period) if quota.isdecimal() and period.isdecimal() and int(period) else None


def parse_throttled(text: str) -> float | None:
    r"""Seconds that a control group's threads waited for its next share, from its file cpu.stat.

    >>> parse_throttled("usage_usec 900\nnr_throttled 2\nthrottled_usec 250000")
    0.25
    """
    fields = dict(line.partition(" ")[::2] for line in text.splitlines())
    microseconds = _number(fields.get("throttled_usec"))
    return None if microseconds is None else microseconds / 1e6


def parse_clocks(text: str) -> list[float]:
    r"""The cores' clocks in MHz, from the text of /proc/cpuinfo; none where the kernel does not count them.

    Without the flag `aperfmperf` (on virtual machines, mostly) what stands there is a constant.

    >>> parse_clocks("cpu MHz\t: 2600.5\nflags\t: fpu aperfmperf\n"), parse_clocks("cpu MHz\t: 2600\nflags\t: fpu\n")
    ([2600.5], [])
    """
    fields = [(key.strip(), value.strip()) for key, _, value in (line.partition(":") for line in text.splitlines())]
    if not any(key == "flags" and "aperfmperf" in value.split() for key, value in fields):
        return []
    values = (_number(value) for key, value in fields if key == "cpu MHz")
    return [value for value in values if value is not None]


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


def noise(before: HostState, after: HostState) -> list[str]:
    """What makes a measurement between two moments doubtful, a sentence each; empty when nothing does."""
    return disturbances(before, after) + unrest(after)


def disturbances(before: HostState, after: HostState) -> list[str]:
    """What took the machine from a run between two moments, a sentence each: a run to be repeated.

    Only what was counted from the one moment to the other: load and pressure look back, to what was before the run.
    """
    found = (check(before, after) for check in (_foreign, _steal, _quota, _swap, _frequency))
    return [sentence for sentence in found if sentence]


def unrest(state: HostState) -> list[str]:
    """What would make a measurement at this moment doubtful, a sentence each."""
    found = []
    if (state.cpu_pressure or 0) > MAX_CPU_PRESSURE:
        found.append(f"Threads waited for a core in {state.cpu_pressure:.0f} % of the last 10 s: other programs run.")
    if (state.load_1min or 0) > MAX_LOAD_PER_CORE * state.logical_cores:
        found.append(f"The load of the last minute is {state.load_1min:.1f} on {state.logical_cores} cores.")
    if (state.memory_pressure or 0) > MAX_MEMORY_PRESSURE:
        found.append(f"Threads waited for memory in {state.memory_pressure:.0f} % of the last 10 s: memory is short.")
    if (state.temperature_c or 0) > MAX_TEMPERATURE_C:
        found.append(f"The hottest sensor shows {state.temperature_c:.0f} °C: the processor may slow itself down.")
    if state.on_battery:
        found.append("The machine runs from its battery: the processor may be slowed to save power.")
    return found


def _foreign(before: HostState, after: HostState) -> str | None:
    busy, own = _passed(before.busy_s, after.busy_s), _passed(before.own_s, after.own_s)
    elapsed = _passed(before.clock_s, after.clock_s)
    if busy is None or own is None or not elapsed:
        return None
    foreign, whole = busy - own, elapsed * after.logical_cores
    if foreign < MIN_FOREIGN_S or foreign <= MAX_FOREIGN_SHARE * whole:
        return None
    return f"Other programs took {min(foreign / whole, 1):.0%} of the processor's time."


def _quota(before: HostState, after: HostState) -> str | None:
    waited, elapsed = _passed(before.throttled_s, after.throttled_s), _passed(before.clock_s, after.clock_s)
    if waited is None or not elapsed or waited <= MAX_QUOTA_SHARE * elapsed:
        return None
    return f"Threads waited {format_seconds(waited)} because the container's share of the processor was used up."


def _passed(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def stolen_share(before: HostState, after: HostState) -> float | None:
    """The share of the processor's time that other virtual machines took between two moments; None: it is not said."""
    stolen = _passed(before.steal_ticks, after.steal_ticks)
    total = _passed(before.total_ticks, after.total_ticks)
    return stolen / total if stolen is not None and total else None


def _steal(before: HostState, after: HostState) -> str | None:
    stolen, share = _passed(before.steal_ticks, after.steal_ticks), stolen_share(before, after)
    if stolen is None or share is None or stolen < MIN_STEAL_TICKS or share <= MAX_STEAL_SHARE:
        return None
    return f"Another virtual machine took {100 * share:.1f} % of the processor's time (steal)."


def _swap(before: HostState, after: HostState) -> str | None:
    growth = after.swap_used_bytes - before.swap_used_bytes
    if growth <= MAX_SWAP_GROWTH_BYTES:
        return None
    return f"{format_bytes(growth)} of memory went to swap: memory ran short."


def _frequency(before: HostState, after: HostState) -> str | None:
    if before.frequency_mhz is None or after.frequency_mhz is None:
        return None
    if after.frequency_mhz >= (1 - MAX_FREQUENCY_DROP) * before.frequency_mhz:
        return None
    return f"The processor's clock fell from {before.frequency_mhz:.0f} to {after.frequency_mhz:.0f} MHz."


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


def _known(flags: list[str]) -> tuple[str, ...]:
    return tuple(sorted({FLAGS[flag] for flag in flags if flag in FLAGS}))


def _read(path: Path) -> str:
    """The text of one of the system's files; empty where it has none, or keeps it to itself."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _numbers(paths: Iterable[Path]) -> list[float]:
    values = (_number(_read(path)) for path in paths)
    return [value for value in values if value is not None]


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
