"""Which cores threads are pinned to, on processors made of files; and that a real engine's threads stay there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from slm_atlas.engines import LoadSettings, Worker, cores

LINUX = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux lets a process choose its cores")


def machine(root: Path, siblings: list[str], *, capacity: list[int] | None = None, slow: str = "") -> Path:
    """The files of a processor: a line of siblings for each logical core."""
    for number, line in enumerate(siblings):
        folder = root / f"sys/devices/system/cpu/cpu{number}"
        (folder / "topology").mkdir(parents=True)
        (folder / "topology/thread_siblings_list").write_text(f"{line}\n")
        if capacity:
            (folder / "cpu_capacity").write_text(f"{capacity[number]}\n")
    if slow:
        (root / "sys/devices/cpu_atom").mkdir(parents=True)
        (root / "sys/devices/cpu_atom/cpus").write_text(f"{slow}\n")
    return root


def test_each_physical_core_gets_one_thread_before_any_gets_two(tmp_path: Path) -> None:
    assert cores.ranked(range(4), machine(tmp_path, ["0,2", "1,3", "0,2", "1,3"])) == [0, 1, 2, 3]
    assert cores.ranked(range(4), machine(tmp_path / "adjacent", ["0-1", "0-1", "2-3", "2-3"])) == [0, 2, 1, 3]


def test_fast_cores_before_slow_ones_and_those_before_siblings(tmp_path: Path) -> None:
    hybrid = machine(tmp_path / "hybrid", ["0-1", "0-1", "2", "3"], slow="2-3")
    assert cores.ranked(range(4), hybrid) == [0, 2, 3, 1]
    phone = machine(tmp_path / "phone", ["0", "1", "2", "3"], capacity=[400, 400, 1024, 1024])
    assert cores.ranked(range(4), phone) == [2, 3, 0, 1]


def test_a_system_that_says_nothing_has_cores_that_are_alike(tmp_path: Path) -> None:
    assert cores.ranked([5, 3], tmp_path) == [3, 5]


def test_where_a_process_cannot_choose_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores.affinity() is None
    assert cores.choose_cores(1) == cores.NOT_HERE


@LINUX
def test_more_threads_than_cores_are_not_pinned() -> None:
    usable = len(os.sched_getaffinity(0))
    assert cores.choose_cores(usable + 1) == f"{usable + 1} threads and {usable} cores"
    assert sorted(cores.choose_cores(usable)) == sorted(os.sched_getaffinity(0))


@LINUX
@pytest.mark.engine
def test_the_real_engine_s_threads_stay_on_their_cores(tiny_model: Path) -> None:
    chosen = cores.choose_cores(len(os.sched_getaffinity(0)))
    assert isinstance(chosen, list)
    with Worker("llamacpp", cores=chosen) as engine:
        load = engine.load(LoadSettings(path=str(tiny_model), threads=len(chosen)))
        engine.prefill([1, 2, 3])
        tasks = Path(f"/proc/{engine.pid}/task").iterdir()
        allowed = [_allowed(task / "status") for task in tasks]
    assert load.cores == sorted(chosen)
    for core in chosen:
        assert [core] in allowed  # one thread at least has this core alone


def _allowed(status: Path) -> list[int]:
    line = next(line for line in status.read_text().splitlines() if line.startswith("Cpus_allowed_list:"))
    return cores.parse_list(line.split(":")[1])
