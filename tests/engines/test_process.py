"""What the operating system says of a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.engines import process


@given(st.text())
def test_any_text_is_a_share_or_none(text: str) -> None:
    share = process.parse_cpu_max(text)
    assert share is None or share >= 1


def test_a_containers_share_limits_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpu.max"
    monkeypatch.setattr(process, "_CPU_MAX", file)
    free = process.usable_cores()
    assert free == len(os.sched_getaffinity(0))
    file.write_text("100000 100000\n")
    assert process.usable_cores() == 1
    file.write_text("max 100000\n")
    assert process.usable_cores() == free


def test_the_peak_is_no_less_than_what_is_held() -> None:
    assert process.peak_resident_bytes() >= process.resident_bytes() * 0.99 > 0
