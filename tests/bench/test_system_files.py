"""What systems say of themselves, read; and texts that say nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench.system_files import (
    parse_cpuinfo,
    parse_pressure,
    parse_quota,
    parse_sysctl,
    parse_throttled,
    parse_ticks,
)

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


def test_x86_flags_get_our_names_in_a_fixed_order() -> None:
    cpu = parse_cpuinfo("model name : X\nflags : sse amx_int8 avx512vbmi avx512f avx2\nflags : other\n")
    assert cpu.flags == ("amx_int8", "avx2", "avx512_vbmi", "avx512f")


def test_an_arm_core_is_called_by_its_numbers() -> None:
    assert parse_cpuinfo(RASPBERRY) == ("ARM 0x41 0xd05 0xd0b", ("dotprod", "fp16", "i8mm", "neon"))


def test_a_board_that_names_itself_is_called_by_its_name() -> None:
    assert parse_cpuinfo(RASPBERRY + "Model : Raspberry Pi 5\n").model == "Raspberry Pi 5"


def test_macos_flags_that_are_off_do_not_count() -> None:
    text = "machdep.cpu.brand_string: Apple M2\nhw.optional.arm.FEAT_SME: 0\nhw.optional.arm.FEAT_DotProd: 1\n"
    assert parse_sysctl(text) == ("Apple M2", ("dotprod",))


@pytest.mark.parametrize("text", ["", "full avg10=3.0", "some", "some avg10=", "some avg10=x"])
def test_pressure_that_is_not_there_is_none(text: str) -> None:
    assert parse_pressure(text) is None


@pytest.mark.parametrize("text", ["", "cpu", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"])
def test_ticks_that_are_not_there_are_none(text: str) -> None:
    assert parse_ticks(text) is None


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    assert parse_cpuinfo(text).model
    assert parse_sysctl(text).model is not None
    parse_pressure(text)
    parse_pressure(f"some {text}")
    parse_ticks(f"cpu {text}")
    parse_quota(text)
    parse_throttled(f"throttled_usec {text}")


@given(st.lists(st.integers(0, 2**40), min_size=8, max_size=10))
def test_ticks_sum_the_first_eight_columns(columns: list[int]) -> None:
    text = "cpu  " + " ".join(map(str, columns))
    assert parse_ticks(text) == (columns[7], sum(columns[:8]))
