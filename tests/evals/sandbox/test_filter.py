"""The filter of system calls: its numbers are the kernel's, and it answers as written (run by a small BPF machine)."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.evals.sandbox import filter as calls

HEADERS = {
    "x86_64": (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm/unistd_64.h")),
    "aarch64": (Path("/usr/include/asm-generic/unistd.h"),),
}
EPERM, ENOSYS = calls.ERRNO | 1, calls.ERRNO | 38


def answer(program: bytes, number: int, argument: int = 0, audit: int = 0xC000003E) -> int:
    """What a filter answers to a call, by the kernel's rules (<linux/filter.h>)."""
    data = struct.pack("=IIQ6Q", number, audit, 0, argument, *[0] * 5)
    steps, place, loaded = list(struct.iter_unpack("=HBBI", program)), 0, 0
    while True:
        code, if_true, if_false, value = steps[place]
        place += 1
        match code:
            case 0x20:
                (loaded,) = struct.unpack_from("=I", data, value)
            case 0x15:
                place += if_true if loaded == value else if_false
            case 0x35:
                place += if_true if loaded >= value else if_false
            case 0x45:
                place += if_true if loaded & value else if_false
            case 0x06:
                return int(value)
            case _:
                raise AssertionError(f"instruction {code:#x}")


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_numbers_are_the_kernels(machine: str) -> None:
    header = next((path for path in HEADERS[machine] if path.exists()), None)
    if header is None:
        pytest.skip("no kernel headers on this machine")
    told = {name: int(number) for name, number in re.findall(r"define __NR3?2?6?4?_?(\w+) (\d+)", header.read_text())}
    column = calls.MACHINES[machine].column
    ours = {name: numbers[column] for name, numbers in calls.DENIED.items()}
    ours |= {"clone": calls.CLONE[column], "clone3": calls.CLONE3, "socket": calls.SOCKET[column]}
    assert {name: told[name] for name in ours if name in told} == {name: ours[name] for name in ours if name in told}
    assert len(ours.keys() & told.keys()) >= len(ours) - 3  # older headers lack the newest calls


@pytest.mark.parametrize("machine", calls.MACHINES)
def test_it_denies_what_it_lists_and_allows_the_rest(machine: str) -> None:
    audit, column = calls.MACHINES[machine]
    program = calls.filter_for(machine)
    denied = {numbers[column] for numbers in calls.DENIED.values()}
    for number in range(500):
        expected = EPERM if number in denied or number == calls.SOCKET[column] else calls.ALLOW
        assert answer(program, number, audit=audit) == (ENOSYS if number == calls.CLONE3 else expected), number


@given(flags=st.integers(0, 2**32 - 1), family=st.integers(0, 50))
def test_arguments_are_looked_at(flags: int, family: int) -> None:
    program = calls.filter_for("x86_64")
    assert answer(program, calls.CLONE[0], flags) == (EPERM if flags & calls.NEW_NAMESPACES else calls.ALLOW)
    assert answer(program, calls.SOCKET[0], family) == (calls.ALLOW if family == 1 else EPERM)


def test_other_ways_of_calling_are_refused() -> None:
    program = calls.filter_for("x86_64")
    assert answer(program, 0, audit=0x40000003) == calls.KILL_PROCESS  # 32-bit calls
    assert answer(program, 0x40000000 + 41) == ENOSYS  # x32
    assert calls.filter_for("vax") == b""
