"""Facts and state of the machine: parsing what systems say, missing files, and what counts as noise."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench import host
from slm_atlas.bench.host import HostState, disturbances, host_state, noise
from slm_atlas.units import GIB, MIB

RASPBERRY = """\
processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp i8mm
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 1
Features\t: fp asimd
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 2
CPU part\t: 0xd0b
"""

QUIET = HostState(
    logical_cores=4,
    load_1min=1.0,
    cpu_pressure=0.5,
    memory_pressure=0.0,
    io_pressure=0.0,
    steal_ticks=100,
    total_ticks=10_000,
    swap_used_bytes=GIB,
    available_bytes=8 * GIB,
    frequency_mhz=3000.0,
    governor="performance",
    temperature_c=60.0,
    on_battery=False,
)
SILENT = HostState(
    logical_cores=4,
    load_1min=None,
    cpu_pressure=None,
    memory_pressure=None,
    io_pressure=None,
    steal_ticks=None,
    total_ticks=None,
    swap_used_bytes=GIB,
    available_bytes=8 * GIB,
    frequency_mhz=None,
    governor=None,
    temperature_c=None,
    on_battery=None,
)


def later(**changes: object) -> HostState:
    """The quiet machine a second of four cores later, changed."""
    return msgspec.structs.replace(QUIET, **{"total_ticks": 10_400, **changes})


COUNTED = msgspec.structs.replace(QUIET, clock_s=50.0, busy_s=100.0, own_s=10.0, throttled_s=0.0)


def four_seconds_later(**changes: object) -> HostState:
    """Four seconds of four cores later: 5 s of work, all of it our own."""
    counted = {"clock_s": 54.0, "busy_s": 105.0, "own_s": 15.0, "total_ticks": 10_400}
    return msgspec.structs.replace(COUNTED, **(counted | changes))


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


class TestParsing:
    def test_x86_flags_get_our_names_in_a_fixed_order(self) -> None:
        cpu = host.parse_cpuinfo("model name : X\nflags : sse amx_int8 avx512vbmi avx512f avx2\nflags : other\n")
        assert cpu.flags == ("amx_int8", "avx2", "avx512_vbmi", "avx512f")

    def test_an_arm_core_is_called_by_its_numbers(self) -> None:
        assert host.parse_cpuinfo(RASPBERRY) == ("ARM 0x41 0xd05 0xd0b", ("dotprod", "fp16", "i8mm", "neon"))

    def test_a_board_that_names_itself_is_called_by_its_name(self) -> None:
        assert host.parse_cpuinfo(RASPBERRY + "Model : Raspberry Pi 5\n").model == "Raspberry Pi 5"

    def test_macos_flags_that_are_off_do_not_count(self) -> None:
        text = "machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_SME: 0\nhw.optional.arm.FEAT_DotProd: 1\n"
        assert host.parse_sysctl(text) == ("Apple M2", ("dotprod",))

    @pytest.mark.parametrize("text", ["", "full avg10=3.0", "some", "some avg10=", "some avg10=x"])
    def test_pressure_that_is_not_there_is_none(self, text: str) -> None:
        assert host.parse_pressure(text) is None

    @pytest.mark.parametrize("text", ["", "cpu", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"])
    def test_ticks_that_are_not_there_are_none(self, text: str) -> None:
        assert host.parse_ticks(text) is None

    @given(st.text())
    def test_no_text_breaks_a_parser(self, text: str) -> None:
        assert host.parse_cpuinfo(text).model
        assert host.parse_sysctl(text).model is not None
        host.parse_pressure(text)
        host.parse_pressure(f"some {text}")
        host.parse_ticks(f"cpu {text}")
        host.parse_quota(text)
        host.parse_throttled(f"throttled_usec {text}")

    @given(st.lists(st.integers(0, 2**40), min_size=8, max_size=10))
    def test_ticks_sum_the_first_eight_columns(self, columns: list[int]) -> None:
        text = "cpu  " + " ".join(map(str, columns))
        assert host.parse_ticks(text) == (columns[7], sum(columns[:8]))


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


class TestNoise:
    def test_a_quiet_machine_has_none(self) -> None:
        assert noise(QUIET, later()) == []

    def test_a_silent_system_has_none(self) -> None:
        assert noise(SILENT, SILENT) == noise(SILENT, QUIET) == noise(QUIET, SILENT) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"steal_ticks": 108}, "2.0 % of the processor's time (steal)"),
            ({"cpu_pressure": 14.2}, "waited for a core in 14 %"),
            ({"memory_pressure": 3.0}, "waited for memory"),
            ({"load_1min": 6.2}, "load of the last minute is 6.2 on 4 cores"),
            ({"swap_used_bytes": GIB + 100 * MIB}, "100.0 MiB of memory went to swap"),
            ({"frequency_mhz": 2600.0}, "fell from 3000 to 2600 MHz"),
            ({"temperature_c": 92.0}, "92 °C"),
            ({"on_battery": True}, "battery"),
        ],
    )
    def test_each_disturbance_is_one_sentence(self, change: dict[str, object], words: str) -> None:
        (sentence,) = noise(QUIET, later(**change))
        assert words in sentence

    @pytest.mark.parametrize(
        "change",
        [
            {"steal_ticks": 104},  # 1 % of the time
            {"cpu_pressure": 10.0},
            {"load_1min": 4.3},  # our own threads and a little
            {"swap_used_bytes": 0},  # less than before
            {"frequency_mhz": 2750.0},
            {"frequency_mhz": 4000.0},
        ],
    )
    def test_what_is_within_the_limits_is_not_noise(self, change: dict[str, object]) -> None:
        assert noise(QUIET, later(**change)) == []

    def test_a_few_stolen_ticks_of_a_short_run_are_the_clock(self) -> None:
        assert noise(QUIET, later(steal_ticks=104, total_ticks=10_040)) == []

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"busy_s": 106.6}, "Other programs took 10% of the processor's time"),
            ({"throttled_s": 0.3}, "waited 300 ms because the container's share"),
            ({"steal_ticks": 108}, "steal"),
            ({"swap_used_bytes": GIB + 100 * MIB}, "swap"),
            ({"frequency_mhz": 2600.0}, "clock fell"),
        ],
    )
    def test_what_took_the_machine_from_a_run_is_a_reason_to_repeat_it(
        self, change: dict[str, object], words: str
    ) -> None:
        (sentence,) = disturbances(COUNTED, four_seconds_later(**change))
        assert words in sentence

    @pytest.mark.parametrize(
        "change",
        [
            {},
            {"busy_s": 105.0 + 0.05 * 16},  # what a desktop does beside
            {"busy_s": 104.0},  # less than our own: counted in ticks
            {"load_1min": 9.0, "cpu_pressure": 80.0, "memory_pressure": 5.0},  # they look back, to before the run
            {"temperature_c": 92.0, "on_battery": True},  # the clock says whether that slowed it
            {"own_s": None, "busy_s": 120.0},
        ],
    )
    def test_what_may_not_have_touched_the_run_is_none(self, change: dict[str, object]) -> None:
        assert disturbances(COUNTED, four_seconds_later(**change)) == []

    def test_our_own_children_are_not_other_programs(self) -> None:
        code = "import time\nwhile time.process_time() < 0.4: pass"
        before = host_state()
        subprocess.run([sys.executable, "-c", code], check=True)
        after = host_state()
        assert before.own_s is not None
        assert after.own_s is not None
        assert after.own_s - before.own_s > 0.2

    def test_another_program_is_not_our_own(self) -> None:
        before = host_state()
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            time.sleep(0.8)
            after = host_state()
            other.kill()
        values = (before.busy_s, after.busy_s, before.own_s, after.own_s)
        busy, busy_after, own, own_after = (value or 0.0 for value in values)
        assert (busy_after - busy) - (own_after - own) > 0.2

    def test_all_disturbances_are_told(self) -> None:
        assert len(noise(QUIET, later(cpu_pressure=50.0, load_1min=9.0, on_battery=True))) == 3


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
