"""The memory a run can have: the tightest of the system's, the control groups' and the user's limits."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from slm_atlas.bench.room import Room, room
from slm_atlas.units import MIB

V2 = {"limit": "memory.max", "used": "memory.current", "cache": "inactive_file {0}\nactive_file 0\nfile 9999999999\n"}
V1 = {
    "limit": "memory.limit_in_bytes",
    "used": "memory.usage_in_bytes",
    "cache": "total_inactive_file {0}\ntotal_active_file 0\ninactive_file 9999999999\n",
}


def group(folder: Path, names: dict[str, str], *, limit: object, used: int, cache: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names["limit"]).write_text(f"{limit}\n")
    (folder / names["used"]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(names["cache"].format(cache))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("9:name=systemd:/\n4:memory:/box\n0::/box/mine\n")
    return tmp_path


def test_without_groups_it_is_what_the_system_has(tmp_path: Path) -> None:
    found = room(root=tmp_path)
    assert found.what == "are available"
    assert 0 < found.bytes <= psutil.virtual_memory().total


@pytest.mark.parametrize(("names", "folder"), [(V2, "sys/fs/cgroup/box/mine"), (V1, "sys/fs/cgroup/memory/box")])
def test_a_group_leaves_its_limit_less_what_is_used_and_cannot_be_dropped(
    root: Path, names: dict[str, str], folder: str
) -> None:
    group(root / folder, names, limit=100 * MIB, used=70 * MIB, cache=30 * MIB)
    assert room(root=root) == Room(60 * MIB, "are left in the control group")


def test_the_group_around_it_may_be_tighter(root: Path) -> None:
    group(root / "sys/fs/cgroup/box/mine", V2, limit=100 * MIB, used=10 * MIB)
    group(root / "sys/fs/cgroup/box", V2, limit=50 * MIB, used=20 * MIB)
    assert room(root=root).bytes == 30 * MIB


def test_in_a_container_the_mount_is_its_own_group(root: Path) -> None:
    group(root / "sys/fs/cgroup", V2, limit=40 * MIB, used=10 * MIB)
    assert room(root=root).bytes == 30 * MIB


@pytest.mark.parametrize("limit", ["max", 2**63 - 4096])
def test_no_limit_is_no_limit(root: Path, limit: object) -> None:
    names, folder = (V2, "box/mine") if limit == "max" else (V1, "memory/box")
    group(root / "sys/fs/cgroup" / folder, names, limit=limit, used=10 * MIB)
    assert room(root=root).what == "are available"


def test_a_group_that_is_full_leaves_nothing(root: Path) -> None:
    group(root / "sys/fs/cgroup/box/mine", V2, limit=10 * MIB, used=12 * MIB)
    assert room(root=root).bytes == 0


def test_the_users_limit_counts_too(root: Path) -> None:
    group(root / "sys/fs/cgroup/box/mine", V2, limit=40 * MIB, used=0)
    assert room(30 * MIB, root=root) == Room(30 * MIB, "are allowed (--memory-limit)")
    assert room(50 * MIB, root=root).bytes == 40 * MIB
