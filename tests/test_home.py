"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import home


def test_the_environment_chooses_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLM_ATLAS_HOME", str(tmp_path / "atlas"))
    assert home.home() == tmp_path / "atlas"
    assert {home.store_path().parent, home.models_dir().parent, home.reports_dir().parent} == {tmp_path / "atlas"}
    assert not (tmp_path / "atlas").exists()


def test_a_relative_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLM_ATLAS_HOME", "here")
    assert home.home() == tmp_path / "here"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SLM_ATLAS_HOME", "~/atlas")
    assert home.home() == tmp_path / "atlas"


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_choice_it_is_the_systems_folder(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("SLM_ATLAS_HOME", raising=False)
    else:
        monkeypatch.setenv("SLM_ATLAS_HOME", value)
    assert home.home().name == "slm-atlas"
    assert home.home().is_absolute()


def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="directory"):
        home.replace_file(tmp_path / "taken", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
