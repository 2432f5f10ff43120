"""What the operating system counted of a process, read off made-up systems and off this one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.engines import LoadSettings, Usage, Worker
from slm_atlas.engines.usage import group_peak, parse_groups, parse_smaps, usage, weights_resident

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
NAMES = st.text(st.characters(codec="ascii", categories=("L", "N"), include_characters=" .-"), min_size=1).map(
    lambda name: f"/models/x{name}x.gguf"
)


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def smaps(*mappings: tuple[str, int]) -> str:
    return "".join(
        f"7f00-7f10 r--s 00000000 fe:00 42                 {path}\nSize:  900 kB\nRss:   {kib} kB\nPss:  7 kB\n"
        for path, kib in mappings
    )


class TestSmaps:
    @given(NAMES, st.lists(st.integers(0, 2**40), min_size=1, max_size=5), st.integers(0, 2**40))
    def test_all_mappings_of_the_file_count_and_no_other(self, path: str, kib: list[int], other: int) -> None:
        text = smaps(("/lib/libc.so", other), *((path, size) for size in kib), ("", other), ("[heap]", other))
        assert parse_smaps(text, path) == 1024 * sum(kib)

    @given(st.text())
    def test_any_text_is_a_size_or_none(self, text: str) -> None:
        assert (parse_smaps(text, "/x") or 0) >= 0

    def test_a_file_that_was_deleted_meanwhile_counts(self) -> None:
        assert parse_smaps(smaps(("/x.gguf (deleted)", 3)), "/x.gguf") == 3 * 1024

    def test_what_is_not_mapped_has_a_reason(self, tmp_path: Path) -> None:
        write(tmp_path, "proc/self/smaps", smaps(("/other", 3)))
        assert "copied" in str(weights_resident("/x.gguf", tmp_path).reason)
        assert "no model" in str(weights_resident("", tmp_path).reason)
        assert "cannot be read" in str(weights_resident("/x.gguf", tmp_path / "none").reason)


class TestGroups:
    def test_version_2(self, tmp_path: Path) -> None:
        write(tmp_path, "proc/self/cgroup", "0::/user.slice/x\n")
        write(tmp_path, "sys/fs/cgroup/user.slice/x/memory.peak", "4096\n")
        assert group_peak(tmp_path).value == 4096

    def test_version_1(self, tmp_path: Path) -> None:
        write(tmp_path, "proc/self/cgroup", "9:cpu,memory:/a/b\n0::/\n")
        write(tmp_path, "sys/fs/cgroup/memory/a/b/memory.max_usage_in_bytes", "8192")
        assert group_peak(tmp_path).value == 8192

    def test_a_container_sees_its_own_group_as_the_root(self, tmp_path: Path) -> None:
        write(tmp_path, "proc/self/cgroup", "0::/docker/1234\n")
        write(tmp_path, "sys/fs/cgroup/memory.peak", "77")
        assert group_peak(tmp_path).value == 77

    @pytest.mark.parametrize("peak", [None, "max", ""])
    def test_none_has_a_reason(self, tmp_path: Path, peak: str | None) -> None:
        assert "cannot be read" in str(group_peak(tmp_path).reason)
        write(tmp_path, "proc/self/cgroup", "0::/\n")
        if peak is not None:
            write(tmp_path, "sys/fs/cgroup/memory.peak", peak)
        assert "no memory peak" in str(group_peak(tmp_path).reason)

    @given(st.text())
    def test_any_text_is_groups_or_none(self, text: str) -> None:
        assert all(len(pair) == 2 for pair in parse_groups(text))


def test_elsewhere_what_is_not_said_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    found = usage("/x.gguf")
    assert found.weights_resident_bytes.reason == found.group_peak_bytes.reason == "darwin does not say"
    assert found.minor_faults.value is not None


@linux
def test_every_reading_is_a_number_or_a_reason() -> None:
    found = usage("")
    readings = [getattr(found, name) for name in Usage.__struct_fields__]
    assert all((reading.value is None) != (reading.reason is None) for reading in readings)


@linux
@pytest.mark.engine
@pytest.mark.parametrize("mmap", [True, False])
def test_the_real_engine_tells_its_mapped_weights(tiny_model: Path, mmap: bool) -> None:
    with Worker(deadline_s=60) as worker:
        worker.load(LoadSettings(path=str(tiny_model), context=64, threads=1, mmap=mmap))
        worker.prefill([1, 2, 3])
        found = worker.memory().usage
    assert (found.minor_faults.value or 0) > 0
    assert (found.weights_resident_bytes.value is not None) == mmap
    if mmap:
        assert 0 < (found.weights_resident_bytes.value or 0) <= tiny_model.stat().st_size + 4096
