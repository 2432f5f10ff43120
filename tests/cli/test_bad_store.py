"""A store that is empty, foreign, damaged, newer, full of failures or of markup: clear words, and nothing lost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from report.measured import HOST, MODELS, REAL, study
from report.test_site import HOSTILE, Page
from slm_atlas.errors import Outcome
from slm_atlas.insights.frame import Dataset
from slm_atlas.store import RunKind, Store

from .atlas import slm, wrong

READING = [
    ("report",),
    ("report", "--paper"),
    ("results", "list"),
    ("results", "show", "x"),
    ("results", "export", "x.csv"),
    ("results", "export", "x.parquet"),
    ("results", "export", "x.jsonl"),
    ("results", "cite"),
    ("results", "hub", "x"),
    ("insights",),
    ("choose", "--memory", "4GiB"),
]


def stored(folder: Path, dataset: Dataset) -> Path:
    path = folder / "atlas.sqlite"
    with Store(path) as store:
        for artifact in dataset.artifacts.values():
            store.add_artifact(artifact)
        for host in dataset.hosts.values():
            store.add_host(host)
        for run in dataset.runs:
            store.record(run, dataset.samples[run.key])
    return path


def changed(dataset: Dataset, **changes: Any) -> Dataset:
    """With other runs, of an engine that is not the fake one."""
    given = {"engine": "llamacpp | llama.cpp 1 | CPU"} | changes
    runs = [msgspec.structs.replace(run, **given) for run in dataset.runs]
    samples = {run.key: dataset.samples[run.key] if run.outcome is Outcome.OK else [] for run in runs}
    return dataset._replace(runs=runs, samples=samples)


def _newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")


def _foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE bookmarks (address TEXT)")


def _damaged(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3)
        file.write(b"\xff" * (size // 3))


def _other(path: Path) -> None:
    path.write_text("GGUF, perhaps, but not SQLite. " * 500)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [(_newer, "newer"), (_foreign, "another program"), (_damaged, "damaged"), (_other, "not a SQLite")],
)
def test_a_store_that_cannot_be_read_is_one_line_to_every_command_and_stays_as_it_is(
    own_home: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], words: str
) -> None:
    path = stored(own_home, changed(study()))
    monkeypatch.chdir(own_home)
    spoil(path)
    before = path.read_bytes()
    for command in READING:
        assert words in wrong(*command), command
    assert path.read_bytes() == before
    assert not {"x.csv", "x.parquet", "x.jsonl"} & {found.name for found in own_home.iterdir()}


@pytest.mark.parametrize("dataset", [changed(study((REAL,))), Dataset({}, {}, [], {})], ids=["one model", "empty"])
def test_one_model_or_none_is_enough_for_every_command(own_home: Path, tmp_path: Path, dataset: Dataset) -> None:
    stored(own_home, dataset)
    for command in (("report",), ("results", "list"), ("insights", "--data", "mine"), ("choose", "--memory", "4GiB")):
        assert slm(*command).exit_code == 0, command
    for ending in ("jsonl", "csv", "parquet"):
        assert slm("results", "export", tmp_path / f"all.{ending}").exit_code == 0
        assert (tmp_path / f"all.{ending}").is_file()


def test_failed_runs_alone_are_told_and_nothing_is_made_up_of_them(own_home: Path) -> None:
    crashed = {"outcome": Outcome.CRASHED, "cause": "killed by signal 9", "log_tail": "its last words"}
    stored(own_home, changed(study(), **crashed))
    assert slm("report").exit_code == 0
    page = Page(own_home / "reports" / "all" / "index.html")
    assert "killed by signal 9" in page.text
    assert "its last words" in page.text
    listed = slm("results", "list")
    assert "crashed: killed by signal 9" in listed.stderr
    assert "tok/s" not in listed.stdout
    chosen = slm("choose", "--memory", "4GiB")
    assert "predicted" in chosen.stdout, "the catalogue's models are still to be had"
    assert "memory is from the architecture" in chosen.stderr
    assert slm("report", "--paper").exit_code == 0
    costs = (own_home / "reports" / "paper" / "costs.md").read_text()
    assert re.search(r"Pythia-160M .* \| 0 \|", costs)


def hostile() -> Dataset:
    """Markup wherever words of others can stand: names, origins, machines, engines, settings, causes, logs, notes."""
    dataset = changed(study((REAL._replace(name=HOSTILE), MODELS[1]._replace(name=HOSTILE))))
    words = {"cpu": HOSTILE, "system": HOSTILE, "flags": HOSTILE, "python": HOSTILE}
    runs = []
    for run in dataset.runs:
        of_kind = {"task": HOSTILE, "suite": HOSTILE} if run.kind is RunKind.EVAL else {"note": HOSTILE}
        notes = {"noise": [HOSTILE], "warnings": [HOSTILE]}
        ended = {"outcome": Outcome.CRASHED, "cause": HOSTILE, "log_tail": HOSTILE} if run.replicate == 4 else {}
        given = {"engine": f"{HOSTILE} | {HOSTILE}", "settings": run.settings | of_kind, "notes": notes} | ended
        runs.append(msgspec.structs.replace(run, **given))
    return dataset._replace(
        artifacts={
            sha: msgspec.structs.replace(found, origin=HOSTILE, architecture=HOSTILE, requantized_from=HOSTILE)
            for sha, found in dataset.artifacts.items()
        },
        hosts={HOST.id: msgspec.structs.replace(HOST, **words)},
        runs=runs,
        samples={run.key: dataset.samples[run.key] if run.outcome is Outcome.OK else [] for run in runs},
    )


def test_markup_in_any_word_of_others_is_text(own_home: Path) -> None:
    stored(own_home, hostile())
    assert slm("report", "--title", HOSTILE).exit_code == 0
    folder = own_home / "reports" / "all"
    page = Page(folder / "index.html")
    assert page.text.count(HOSTILE) > 20
    data = [value for tag, name, value in page.attributes if (tag, name) == ("script", "type")]
    assert page.tags.count("script") - len(data) == 3, "the chooser, the figures, the page's own"
    assert set(data) == {"application/json", "text/plain"}, "which no browser runs"
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert "<img src=x" not in page.source
    assert {value for tag, name, value in page.attributes if (tag, name) == ("img", "src")} <= {""}
    for picture in (folder / "figures").glob("*.svg"):
        assert "<img" not in picture.read_text()


@contextmanager
def room_for_files_of(size: int) -> Iterator[None]:
    """As on a disk that fills up: no file of this process can be larger."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files cannot be limited there")
def test_a_disk_that_fills_up_keeps_the_last_report_and_leaves_nothing_half(own_home: Path, tmp_path: Path) -> None:
    stored(own_home, changed(study((REAL,))))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "index.html").write_text("the last one")
    with room_for_files_of(200_000):
        said = wrong("report", "--output", tmp_path / "out")
    assert re.search(r"cannot be written to .*: File too large", said)
    assert (tmp_path / "out" / "index.html").read_text() == "the last one"
    assert list((tmp_path / "out").rglob(".*")) == []


NO_ROOM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from slm_atlas.cli.main import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sizes of files cannot be limited there")
@pytest.mark.parametrize("command", ["results list", "results cite", "choose --memory 4GiB", "insights --data mine"])
def test_on_a_disk_without_room_for_anything_results_can_be_read(own_home: Path, command: str) -> None:
    stored(own_home, changed(study((REAL,))))
    full = [sys.executable, "-c", NO_ROOM, *command.split()]
    done = subprocess.run(full, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
