"""An unfinished file is hidden, gone when its writer is, and never taken from a writer that lives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from slm_atlas.models.unfinished import SUFFIX, finish, unfinished

HOLD = """if True:
    import sys, time
    from pathlib import Path
    from slm_atlas.models.unfinished import unfinished
    with unfinished(Path(sys.argv[1])) as part:
        part.write_bytes(b"half")
        print(part, flush=True)
        time.sleep(60)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writer(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)


def part_of(child: subprocess.Popen[str]) -> Path:
    assert child.stdout is not None
    return Path(child.stdout.readline().strip())


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x.gguf"
    with unfinished(path) as part:
        part.write_bytes(b"all of it")
        assert not path.exists()
        assert (part.parent, part.name[0], part.name.endswith(SUFFIX)) == (path.parent, ".", True)
        finish(part, path)
    assert path.read_bytes() == b"all of it"
    assert names(path.parent) == ["x.gguf"]


def test_an_error_leaves_nothing_and_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), unfinished(path) as part:
        part.write_bytes(4)  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x.gguf"]


def test_what_a_killed_writer_left_goes_with_the_next_and_a_living_one_keeps_its_file(tmp_path: Path) -> None:
    with writer(tmp_path / "a.gguf") as killed, writer(tmp_path / "b.gguf") as alive:
        left, kept = part_of(killed), part_of(alive)
        killed.kill()
        killed.wait()
        assert left.exists()
        (tmp_path / ".another's.part").touch()
        with unfinished(tmp_path / "c.gguf"):
            assert not left.exists()
            assert kept.read_bytes() == b"half"
        alive.kill()
    assert names(tmp_path) == [".another's.part", kept.name]
