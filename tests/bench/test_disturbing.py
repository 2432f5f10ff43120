"""What counts as a disturbance, and what does not."""

from __future__ import annotations

import subprocess
import sys
import time

import msgspec
import pytest

from slm_atlas.bench.disturbing import disturbances, noise
from slm_atlas.bench.host import HostState, host_state
from slm_atlas.units import GIB, MIB

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


def test_a_quiet_machine_has_none() -> None:
    assert noise(QUIET, later()) == []


def test_a_silent_system_has_none() -> None:
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
def test_each_disturbance_is_one_sentence(change: dict[str, object], words: str) -> None:
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
def test_what_is_within_the_limits_is_not_noise(change: dict[str, object]) -> None:
    assert noise(QUIET, later(**change)) == []


def test_a_few_stolen_ticks_of_a_short_run_are_the_clock() -> None:
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
def test_what_took_the_machine_from_a_run_is_a_reason_to_repeat_it(change: dict[str, object], words: str) -> None:
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
def test_what_may_not_have_touched_the_run_is_none(change: dict[str, object]) -> None:
    assert disturbances(COUNTED, four_seconds_later(**change)) == []


def test_our_own_children_are_not_other_programs() -> None:
    code = "import time\nwhile time.process_time() < 0.4: pass"
    before = host_state()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = host_state()
    assert before.own_s is not None
    assert after.own_s is not None
    assert after.own_s - before.own_s > 0.2


def test_another_program_is_not_our_own() -> None:
    before = host_state()
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.8)
        after = host_state()
        other.kill()
    values = (before.busy_s, after.busy_s, before.own_s, after.own_s)
    busy, busy_after, own, own_after = (value or 0.0 for value in values)
    assert (busy_after - busy) - (own_after - own) > 0.2


def test_all_disturbances_are_told() -> None:
    assert len(noise(QUIET, later(cpu_pressure=50.0, load_1min=9.0, on_battery=True))) == 3
