"""A file of the hub is downloaded whole or not at all; its header is read alone; what fails is told in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import pytest

from slm_atlas.errors import MissingExtra, UserError
from slm_atlas.models import locate
from slm_atlas.models.shape import file_header

from . import hub

MIB = 2**20
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server() -> Iterator[hub.Hub]:
    with hub.serving() as running:
        yield running


@pytest.fixture
def big(tiny_model: Path) -> Iterator[hub.Hub]:
    """Serves a model whose weights are as large as those of a large one, nearly: 8 MB follow the header."""
    with hub.serving(tiny_model.read_bytes() + bytes(8 * MIB)) as running:
        yield running


def ask(url: str, folder: Path, *models: str, **environment: str) -> list[dict[str, Any]]:
    """What a fresh process says that fetches models one after another, or reads headers (see `hub.main`)."""
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(folder), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, str(hub.__file__), *models],
        env=kept | settings | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- whole files --------------------------------------------------------------------------------------------------


def test_a_file_of_the_hub_is_downloaded_once_and_then_served_offline(server: hub.Hub, tmp_path: Path) -> None:
    model = "hf:owner/repo/sub/x.gguf"
    (found, again) = ask(server.url, tmp_path, model, model)
    assert found["origin"] == model
    assert Path(found["path"]).read_bytes() == hub.CONTENT
    assert Path(found["path"]).is_relative_to(tmp_path)
    assert again == found
    assert sum(line.startswith("GET") and "/resolve/" in line for line in server.asked) == 1
    assert ask(NOWHERE, tmp_path, model) == [found]


def test_what_the_hub_refuses_is_told_in_one_line(server: hub.Hub, tmp_path: Path) -> None:
    said = ask(
        server.url,
        tmp_path,
        "hf:owner/repo/absent.gguf",
        "hf:private/repo/x.gguf",
        "hf:gated/repo/x.gguf",
        "hf:broken/repo/x.gguf",
        "hf:portal/repo/x.gguf",
        "hf:owner/re--po/x.gguf",
        "hf:owner/repo/../../x.gguf",
    )
    assert [reply["error"] for reply in said] == ["UserError"] * 3 + ["OfflineError"] * 2 + ["UserError"] * 2
    assert all("\n" not in reply["message"] for reply in said)
    starts = [
        "The model hub shows no file absent.gguf in owner/repo.",
        "The model hub shows no file x.gguf in private/repo.",
        "gated/repo asks you to accept its terms first.",
        "Cannot download hf:broken/repo/x.gguf: ",
        "Cannot download hf:portal/repo/x.gguf: ",
        "'owner/re--po' is not the name of a repository.",
        "'hf:owner/repo/../../x.gguf' does not name a file.",
    ]
    for reply, start in zip(said, starts, strict=True):
        assert reply["message"].startswith(start)
    assert list(tmp_path.rglob("*.gguf")) == []


def test_a_hub_that_is_down_is_told_soon(tmp_path: Path) -> None:
    started = time.monotonic()
    (reply,) = ask(NOWHERE, tmp_path, "hf:owner/repo/x.gguf")
    assert time.monotonic() - started < 5
    assert reply["error"] == "OfflineError"
    assert reply["message"].startswith("Cannot download hf:owner/repo/x.gguf: the model hub does not answer.")


def test_the_library_told_to_stay_offline_is_told(server: hub.Hub, tmp_path: Path) -> None:
    (reply,) = ask(server.url, tmp_path, "hf:owner/repo/x.gguf", HF_HUB_OFFLINE="1")
    assert reply["error"] == "OfflineError"
    assert server.asked == []


@pytest.mark.slow
def test_a_download_cut_short_leaves_nothing_that_looks_whole(server: hub.Hub, tmp_path: Path) -> None:
    (reply,) = ask(server.url, tmp_path, "hf:cut/repo/x.gguf")
    assert reply["error"] == "OfflineError"
    assert "\n" not in reply["message"]
    assert list(tmp_path.rglob("*.gguf")) == []


@pytest.mark.parametrize("text", ["", "owner", "owner/repo", "owner/repo/", "/repo/x.gguf", "owner//x.gguf"])
def test_what_names_no_file_of_the_hub_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"hf:OWNER/REPO/FILE.gguf"):
        locate(f"hf:{text}")


def test_without_its_library_the_hub_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtra, match=r"needs the extra 'hf'. Try: pip install 'slm-atlas\[hf\]'"):
        locate("hf:owner/repo/x.gguf")


# ---- headers alone ------------------------------------------------------------------------------------------------


def test_of_a_header_no_more_than_a_piece_is_asked_for(big: hub.Hub, tmp_path: Path, tiny_model: Path) -> None:
    (said,) = ask(big.url, tmp_path, "--headers", "hf:owner/repo/sub/x.gguf")
    expected = file_header(str(tiny_model))[1]
    assert said == {"name": "sub/x.gguf", "architecture": "llama", "data_offset": expected.data_offset}
    assert [line.split()[0] for line in big.asked if "/resolve/" in line] == ["HEAD", "GET"]
    assert big.sent_bytes == MIB < len(big.content)
    assert list(tmp_path.rglob("*.gguf")) == []


def test_a_long_header_is_read_piece_by_piece(tmp_path: Path) -> None:
    """As a large vocabulary makes it."""
    writer = gguf.GGUFWriter(tmp_path / "long.gguf", "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a token of some length"] * 100_000)
    writer.add_uint32("llama.block_count", 7)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    content = (tmp_path / "long.gguf").read_bytes()
    with hub.serving(content + bytes(8 * MIB)) as server:
        (said,) = ask(server.url, tmp_path / "hub", "--headers", "hf:owner/repo/x.gguf")
        assert said["architecture"] == "llama"
        assert 2 * MIB < len(content) < server.sent_bytes <= len(content) + MIB


def test_a_file_smaller_than_a_piece_is_read(server: hub.Hub, tmp_path: Path, tiny_model: Path) -> None:
    server.content = tiny_model.read_bytes()
    (said,) = ask(server.url, tmp_path, "--headers", "hf:owner/repo/x.gguf")
    assert said["architecture"] == "llama"


def test_a_file_that_is_kept_elsewhere_is_followed(big: hub.Hub, tmp_path: Path) -> None:
    (said,) = ask(big.url, tmp_path, "--headers", "hf:moved/repo/x.gguf")
    assert said["architecture"] == "llama"
    assert big.asked[-1].startswith("GET /kept/")
    assert big.sent_bytes == MIB


def test_a_hub_that_knows_no_parts_is_told_and_not_read_to_the_end(big: hub.Hub, tmp_path: Path) -> None:
    (said,) = ask(big.url, tmp_path, "--headers", "hf:whole/repo/x.gguf")
    assert said == {
        "error": "OfflineError",
        "message": "The hub gives hf:whole/repo/x.gguf as a whole only. Try: hf download whole/repo x.gguf",
    }
    assert big.sent_bytes < len(big.content)


def test_what_the_hub_refuses_of_a_header_is_told_in_one_line(big: hub.Hub, tmp_path: Path) -> None:
    models = {
        "hf:owner/repo/absent.gguf": "UserError: The model hub shows no file absent.gguf in owner/repo.",
        "hf:private/repo/x.gguf": "UserError: The model hub shows no file x.gguf in private/repo.",
        "hf:gated/repo/x.gguf": "UserError: gated/repo asks you to accept its terms first. Try: hf auth login",
        "hf:broken/repo/x.gguf": "OfflineError: Cannot download hf:broken/repo/x.gguf: ",
        "hf:cut/repo/x.gguf": "OfflineError: Cannot download hf:cut/repo/x.gguf: the model hub does not answer.",
        "hf:owner/re--po/x.gguf": "UserError: 'owner/re--po' is not the name of a repository.",
        "hf:owner/repo": "UserError: 'hf:owner/repo' does not name a file.",
    }
    for start, said in zip(models.values(), ask(big.url, tmp_path, "--headers", *models), strict=True):
        assert f"{said['error']}: {said['message']}".startswith(start)
        assert "\n" not in said["message"]


def test_what_is_no_model_is_told(server: hub.Hub, tmp_path: Path) -> None:
    server.content = b"<html>" * 1000
    (said,) = ask(server.url, tmp_path, "--headers", "hf:owner/repo/x.gguf")
    assert said["error"] == "UnusableModel"
    assert said["message"].startswith("hf:owner/repo/x.gguf is not a whole GGUF file: it does not begin with GGUF.")


def test_a_header_cannot_be_read_offline(server: hub.Hub, tmp_path: Path) -> None:
    for url, environment in ((NOWHERE, {}), (server.url, {"HF_HUB_OFFLINE": "1"})):
        (said,) = ask(url, tmp_path, "--headers", "hf:owner/repo/x.gguf", **environment)
        assert said["error"] == "OfflineError"
        assert said["message"].startswith("Cannot download hf:owner/repo/x.gguf: the model hub does not answer.")
    assert server.asked == []
