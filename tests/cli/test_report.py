"""`slm report`: a page of everything measured, which needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

from .atlas import slm, wrong


def test_the_page_is_written_and_self_contained(tiny_model: Path, tmp_path: Path) -> None:
    slm("bench", tiny_model, "--engine", "fake", "--runs", 3)
    result = slm("report", "--output", tmp_path / "out", "--title", "A title of mine")
    assert result.exit_code == 0
    assert result.stdout == f"{tmp_path / 'out' / 'index.html'}\n"
    page = (tmp_path / "out" / "index.html").read_text()
    assert "A title of mine" in page
    assert "Tiny" in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)


def test_without_a_folder_it_is_in_the_home(own_home: Path) -> None:
    result = slm("report")
    assert result.exit_code == 0
    assert result.stdout == f"{own_home / 'reports' / 'all' / 'index.html'}\n"
    assert (own_home / "reports" / "all" / "index.html").is_file()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in wrong("report", "--output", tmp_path / "file" / "out")


def test_a_site_can_be_hosted_as_it_is(tiny_model: Path, tmp_path: Path) -> None:
    slm("bench", tiny_model, "--engine", "fake", "--runs", 3)
    result = slm("report", "--site", tmp_path / "site")
    assert result.stdout == f"{tmp_path / 'site' / 'index.html'}\n"
    assert (tmp_path / "site" / ".nojekyll").exists()
    candidates = json.loads((tmp_path / "site" / "data" / "candidates.json").read_text())
    assert "measured" in {candidate["basis"] for candidate in candidates}
    assert (tmp_path / "site" / "data" / "results.jsonl").read_text().count('"replicate"') >= 3
    assert "not both" in wrong("report", "--site", tmp_path, "--output", tmp_path)


def test_tables_for_a_paper(tiny_model: Path, tmp_path: Path) -> None:
    assert "nothing was measured" in wrong("report", "--paper")
    slm("bench", tiny_model, "--engine", "fake", "--runs", 3)
    result = slm("report", "--paper", "--output", tmp_path / "tables")
    assert result.stdout.splitlines() == [str(tmp_path / "tables" / name) for name in ("costs.md", "costs.tex")]
    assert "Tiny" in (tmp_path / "tables" / "costs.md").read_text()
    assert "not both" in wrong("report", "--site", tmp_path, "--paper")
