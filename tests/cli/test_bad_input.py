"""Broken files and a full disk: one line where there is nothing else to do, a recorded failure where there is."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from anatomy.shapes import llama
from slm_atlas import home
from slm_atlas.anatomy import Quantization
from slm_atlas.errors import Outcome
from slm_atlas.models.forge import Order, forge
from slm_atlas.models.header import read_header
from slm_atlas.store import Store

from .atlas import slm, wrong

FAKE = ("--engine", "fake", "--runs", 1)
SHORT = ("--runs", 1, "--prompt", 8, "--generate", 4, "--threads", 1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "good.gguf"
    return forge(Order("Tiny", llama(), Quantization.Q4_K_M), path).read_bytes()


def field(whole: bytes, key: str, number: int) -> bytes:
    """The file with another number of 32 bits under a key."""
    place = whole.index(struct.pack("<Q", len(key)) + key.encode()) + 8 + len(key) + 4
    return whole[:place] + struct.pack("<I", number) + whole[place + 4 :]


def extents(whole: bytes, name: str, *extents: int) -> bytes:
    """The file with a tensor of other extents."""
    place = whole.index(struct.pack("<Q", len(name)) + name.encode()) + 8 + len(name) + 4
    return whole[:place] + struct.pack("<QQ", *extents) + whole[place + 16 :]


def unreadable(whole: bytes, header_bytes: int) -> dict[str, bytes]:
    """What is seen to be broken before any engine."""
    query = "blk.0.attn_q.weight"
    return {
        "cut in its counts": whole[:20],
        "cut in its metadata": whole[:200],
        "cut in its list of tensors": whole[: header_bytes - 100],
        "cut after its header": whole[:header_bytes],
        "cut in its weights": whole[: (header_bytes + len(whole)) // 2],
        "2^60 tensors": whole[:8] + struct.pack("<Q", 2**60) + whole[16:],
        "2^60 keys": whole[:16] + struct.pack("<Q", 2**60) + whole[24:],
        "a text of 2^60 bytes": whole[:24] + struct.pack("<Q", 2**60) + whole[32:],
        "no rows": extents(whole, query, 256, 0),
        "a number of rows below zero": extents(whole, query, 256, 2**64 - 256),
        "more weights than numbers": extents(whole, query, 2**63, 2**63),
        "a page of the web": b"<html>Not found</html>",
        "nothing": b"",
    }


ABSURD = {
    "llama.attention.head_count": (0,),
    "llama.block_count": (0, 2**31),
    "llama.embedding_length": (2**32 - 1,),
}
"""Numbers under keys that only the engine takes offence at."""


def test_a_broken_file_is_one_line_to_every_command(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(whole)
    for what, content in unreadable(whole, read_header(path).data_offset).items():
        path.write_bytes(content)
        for command in (("bench", path, *FAKE), ("eval", path, "--engine", "fake"), ("models", "show", path)):
            assert str(path) in wrong(*command), what
    with Store(home.store_path()) as store:
        assert store.runs() == []


@pytest.mark.engine
def test_a_study_of_broken_files_records_each_and_measures_the_rest(whole: bytes, tmp_path: Path) -> None:
    """In the real engine: whatever a header claims, the one good file among them has its numbers."""
    good, cut = tmp_path / "good.gguf", tmp_path / "cut.gguf"
    good.write_bytes(whole)
    cut.write_bytes(whole[:-100])
    lies = {f"{key}={number}": field(whole, key, number) for key, numbers in ABSURD.items() for number in numbers}
    lies["lemur"] = whole.replace(b"llama", b"lemur")
    paths = [tmp_path / f"{number}.gguf" for number in range(len(lies))]
    for path, content in zip(paths, lies.values(), strict=True):
        path.write_bytes(content)
    result = slm("bench", *paths, cut, good, *SHORT, "--json")
    assert result.exit_code == 0
    rows = json.loads(result.stdout)["rows"]
    assert [row["n_runs"] for row in rows if not row["failures"]] == [1]
    causes = [failure["cause"] for row in rows for failure in row["failures"]]
    assert len(causes) == len(lies) + 1
    assert all(cause and "\n" not in cause and "no reason" not in cause for cause in causes)
    assert sum(f"{cut} is cut short: 100 bytes" in cause for cause in causes) == 1
    assert sum("unknown model architecture: 'lemur'" in cause for cause in causes) == 1
    assert [path.name for path in home.home().iterdir()] == ["atlas.sqlite"]


def test_a_file_that_was_mended_is_measured_though_it_failed_before(whole: bytes, tmp_path: Path) -> None:
    good, other = tmp_path / "good.gguf", tmp_path / "other.gguf"
    good.write_bytes(whole)
    other.write_bytes(whole[:-1])
    assert "other.gguf is cut short: 1 bytes" in slm("bench", good, other, *FAKE).stderr
    other.write_bytes(whole + b"\0" * 32)
    assert "1 of 2 runs to do" in slm("bench", good, other, *FAKE).stderr


SMALL_DISK = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4 * 2**20, 4 * 2**20))
from slm_atlas.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files cannot be limited there")
def test_a_disk_that_fills_up_while_one_model_is_forged_does_not_stop_the_others(whole: bytes, tmp_path: Path) -> None:
    good = tmp_path / "good.gguf"
    good.write_bytes(whole)
    command = [sys.executable, "-c", SMALL_DISK, "bench", "smollm-135m", str(good), *map(str, FAKE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    (said,) = {line for line in done.stderr.splitlines() if line.startswith("smollm-135m: refused")}
    assert "Cannot write" in said
    assert "File too large" in said
    with Store(home.store_path()) as store:
        assert sorted(str(run.outcome) for run in store.runs()) == [Outcome.OK, Outcome.REFUSED]
    assert list((home.models_dir() / "forged").iterdir()) == []


def test_sizes_of_nothing_are_one_line(tiny_model: Path) -> None:
    for option in ("--prompt", "--context", "--micro-batch", "--memory-limit", "--disk", "--precision", "--runs"):
        for value in ("0", "-1"):
            assert f"Invalid value for '{option}'" in wrong("bench", tiny_model, option, value, *FAKE[:2])
    for option in ("--generate", "--depth", "--threads"):
        assert f"Invalid value for '{option}'" in wrong("bench", tiny_model, option, "-1", *FAKE)
    assert "Invalid value for '--context'" in wrong("bench", tiny_model, "--context", "1T", *FAKE)
    assert "$.context" in wrong("bench", tiny_model, "--sweep", "context=0,512", *FAKE)
    assert "no KV cache type 'q3'" in wrong("bench", tiny_model, "--sweep", "kv-type=f16,q3", *FAKE)
    for command in (("estimate", "smollm-135m"), ("profile", tiny_model), ("models", "compare", "smollm-135m")):
        assert "Invalid value for '--context'" in wrong(*command, "--context", "0")
    assert "Invalid value for '--context'" in wrong("eval", tiny_model, "--context", "0")
    assert "Invalid value for '--seed'" in wrong("forge", "smollm-135m", "--seed", "-1")
    assert not home.models_dir().exists()
