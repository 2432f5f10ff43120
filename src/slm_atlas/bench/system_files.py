"""What the system's files say of the processor and of how busy it is: each `parse_*` takes the text of one."""

from __future__ import annotations

from typing import NamedTuple

UNKNOWN = "unknown"

_X86 = "avx avx2 avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 amx_bf16 amx_int8 amx_tile bmi2 f16c fma"
_ARM = "bf16 i8mm sme sve sve2"
_RENAMED = {
    **{"avx512vbmi": "avx512_vbmi", "asimd": "neon", "asimddp": "dotprod", "asimdhp": "fp16"},  # Linux
    **{"AdvSIMD": "neon", "FEAT_DotProd": "dotprod", "FEAT_FP16": "fp16"},  # macOS, as `sysctl hw.optional` has them
    **{"FEAT_I8MM": "i8mm", "FEAT_BF16": "bf16", "FEAT_SME": "sme", "avx1_0": "avx", "avx2_0": "avx2"},
}
FLAGS = {name: name for name in f"{_X86} {_ARM}".split()} | _RENAMED
"""The instruction sets that matter to kernels: the system's name of each, and ours."""


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
            return number(dict(pair.partition("=")[::2] for pair in rest.split()).get("avg10"))
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
    microseconds = number(fields.get("throttled_usec"))
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
    values = (number(value) for key, value in fields if key == "cpu MHz")
    return [value for value in values if value is not None]


def _known(flags: list[str]) -> tuple[str, ...]:
    return tuple(sorted({FLAGS[flag] for flag in flags if flag in FLAGS}))


def number(text: str | None) -> float | None:
    """The number that a text is; None where it is none."""
    try:
        return float(text) if text else None
    except ValueError:
        return None
