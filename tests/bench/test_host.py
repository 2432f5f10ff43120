"""Facts and state of the machine, and files that are missing."""

from __future__ import annotations

import platform
from pathlib import Path

import msgspec
import psutil
import pytest

from slm_atlas.bench import host
from slm_atlas.bench.host import HostState, host_state
from slm_atlas.units import GIB, MIB


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class TestHost:
    def test_the_same_machine_has_the_same_id(self) -> None:
        assert host.describe_host() == host.describe_host()

    def test_the_id_depends_on_the_processor(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(platform, "system", lambda: "Linux")
        write(tmp_path, "proc/cpuinfo", "model name : A\nflags : avx2\n")
        first = host.describe_host(tmp_path)
        write(tmp_path, "proc/cpuinfo", "model name : A\nflags : avx2 fma\n")
        second = host.describe_host(tmp_path)
        assert (first.flags, second.flags) == ("avx2", "avx2 fma")
        assert first.id != second.id

    def test_the_id_does_not_depend_on_what_the_kernel_keeps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Memory:
            total = 16 * GIB - 300 * MIB

        monkeypatch.setattr(psutil, "virtual_memory", Memory)
        first = host.describe_host()
        Memory.total += 4096
        assert host.describe_host().id == first.id

    def test_a_system_that_says_nothing_is_unknown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for function in ("system", "machine", "processor", "release"):
            monkeypatch.setattr(platform, function, str)
        found = host.describe_host(tmp_path)
        assert (found.cpu, found.flags, found.arch, found.system) == ("unknown",) * 4
        assert found.cores >= 1

    def test_macos_asks_sysctl(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tool = tmp_path / "sysctl"
        tool.write_text("#!/bin/sh\necho 'machdep.cpu.brand_string: Apple M2'\necho 'hw.optional.AdvSIMD: 1'\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        found = host.describe_host()
        assert (found.cpu, found.flags) == ("Apple M2", "neon")

    def test_macos_without_sysctl_is_unknown(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(platform, "system", lambda: "Darwin")
        assert host.describe_host().cpu == "unknown"


class TestState:
    def test_reads_what_a_system_says(self, tmp_path: Path) -> None:
        write(tmp_path, "proc/pressure/cpu", "some avg10=1.21 avg60=0.41\n")
        write(tmp_path, "proc/stat", "cpu  1 1 1 1 1 1 1 9 5 5\n")
        write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "800000\n")
        write(tmp_path, "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq", "3000000\n")
        write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n")
        write(tmp_path, "sys/class/thermal/thermal_zone0/temp", "45000\n")
        write(tmp_path, "sys/class/thermal/thermal_zone1/temp", "-274000\n")
        state = host.host_state(tmp_path)
        assert (state.cpu_pressure, state.io_pressure) == (1.21, None)
        assert (state.steal_ticks, state.total_ticks) == (9, 16)
        assert (state.frequency_mhz, state.governor, state.temperature_c) == (3000.0, "powersave", 45.0)

    def test_what_a_system_does_not_say_is_none(self, tmp_path: Path) -> None:
        state = host.host_state(tmp_path)
        silent = (state.cpu_pressure, state.memory_pressure, state.steal_ticks, state.total_ticks, state.frequency_mhz)
        assert silent == (None,) * 5
        assert (state.governor, state.temperature_c) == (None, None)
        assert state.available_bytes > 0

    def test_a_state_can_be_stored_with_a_run(self) -> None:
        state = host.host_state()
        assert msgspec.convert(msgspec.to_builtins(state), HostState) == state


def test_threads_a_core_and_huge_pages_are_read(tmp_path: Path) -> None:
    assert (host_state(tmp_path).smt, host_state(tmp_path).huge_pages) == (None, None)
    for path, text in {
        "sys/devices/system/cpu/smt/active": "1\n",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    assert (host_state(tmp_path).smt, host_state(tmp_path).huge_pages) == (True, "always")


@pytest.mark.parametrize(
    ("path", "text", "turbo"),
    [
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "1\n", False),
        ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n", True),
        ("sys/devices/system/cpu/cpufreq/boost", "1\n", True),
        ("sys/devices/system/cpu/smt/active", "1\n", None),
    ],
)
def test_whether_the_clock_may_be_raised_is_read(tmp_path: Path, path: str, text: str, turbo: bool | None) -> None:
    write(tmp_path, path, text)
    assert host_state(tmp_path).turbo is turbo


def test_a_container_s_share_and_what_it_cost_are_read(tmp_path: Path) -> None:
    write(tmp_path, "sys/fs/cgroup/cpu.max", "150000 100000\n")
    write(tmp_path, "sys/fs/cgroup/cpu.stat", "usage_usec 9\nthrottled_usec 2500000\n")
    state = host_state(tmp_path)
    assert (state.quota_cores, state.throttled_s) == (1.5, 2.5)


def test_the_processors_own_sensors_count_where_there_are_no_zones(tmp_path: Path) -> None:
    write(tmp_path, "sys/class/hwmon/hwmon0/name", "nvme\n")
    write(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", "95000\n")
    assert host_state(tmp_path).temperature_c is None  # a disk's
    write(tmp_path, "sys/class/hwmon/hwmon1/name", "k10temp\n")
    write(tmp_path, "sys/class/hwmon/hwmon1/temp1_input", "61250\n")
    assert host_state(tmp_path).temperature_c == 61.25


@pytest.mark.parametrize(("flags", "clock"), [("fpu aperfmperf avx2", 3100.5), ("fpu avx2", None)])
def test_a_clock_without_rules_counts_where_the_processor_counts_it(
    tmp_path: Path, flags: str, clock: float | None
) -> None:
    cores = "".join(f"processor\t: {core}\ncpu MHz\t\t: {2100.5 + 1000 * core}\nflags\t: {flags}\n" for core in (0, 1))
    write(tmp_path, "proc/cpuinfo", cores)
    assert host_state(tmp_path).frequency_mhz == clock
