"""The processor's caches, read off a made-up system."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slm_atlas.bench.caches import MEMORY, Cache, caches, level_of, parse_cpu_list
from slm_atlas.units import KIB, MIB

SIZES = st.lists(st.integers(1, 2**40), min_size=1, max_size=4)


def write(root: Path, index: int, **texts: str) -> None:
    folder = root / f"sys/devices/system/cpu/cpu0/cache/index{index}"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(f"{text}\n")


def test_data_caches_are_found_small_to_large(tmp_path: Path) -> None:
    write(tmp_path, 3, level="3", type="Unified", size="32768K", shared_cpu_list="0-15")
    write(tmp_path, 0, level="1", type="Data", size="48K", shared_cpu_list="0,8")
    write(tmp_path, 1, level="1", type="Instruction", size="32K", shared_cpu_list="0")
    assert caches(tmp_path) == (
        Cache(level=1, size_bytes=48 * KIB, shared_by=2),
        Cache(level=3, size_bytes=32 * MIB, shared_by=16),
    )


@pytest.mark.parametrize("size", ["", "many", "-1K"])
def test_a_cache_that_is_not_told_is_left_out(tmp_path: Path, size: str) -> None:
    write(tmp_path, 0, level="1", type="Data", size=size, shared_cpu_list="0")
    write(tmp_path, 2, level="2", type="Unified", shared_cpu_list="0")
    assert caches(tmp_path) == ()


def test_a_system_without_them_has_none(tmp_path: Path) -> None:
    assert caches(tmp_path) == ()
    assert level_of(1, 1, ()) is None


@given(st.sets(st.integers(0, 500)))
def test_a_list_of_cores_is_counted(cores: set[int]) -> None:
    assert parse_cpu_list(",".join(map(str, sorted(cores)))) == len(cores)


@given(st.integers(0, 500), st.integers(0, 500))
def test_a_range_of_cores_is_counted(first: int, more: int) -> None:
    assert parse_cpu_list(f"{first}-{first + more}\n") == more + 1


@given(SIZES, st.integers(1, 2**42), st.integers(1, 64))
def test_a_working_set_lies_in_the_smallest_cache_that_holds_it(sizes: list[int], working_set: int, cores: int) -> None:
    found = [Cache(level=n, size_bytes=size, shared_by=cores) for n, size in enumerate(sorted(sizes), start=1)]
    level = level_of(working_set, cores, found)
    holding = [f"L{cache.level}" for cache in found if working_set <= cache.size_bytes]
    assert level == (holding[0] if holding else MEMORY)


def test_private_caches_add_up() -> None:
    private = Cache(level=2, size_bytes=MIB, shared_by=1)
    assert level_of(2 * MIB, 1, [private]) == MEMORY
    assert level_of(2 * MIB, 2, [private]) == "L2"
