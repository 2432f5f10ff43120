"""Pictures drawn once: kept in the home folder, which may be emptied, broken or read-only."""

from __future__ import annotations

from pathlib import Path

import pytest

from slm_atlas import home
from slm_atlas.report import drawing

SPEC = {"data": {"values": [{"a": 1}]}, "mark": "point", "encoding": {"x": {"field": "a", "type": "quantitative"}}}


PICTURES_DIR = home.pictures_dir


@pytest.fixture(autouse=True)
def forgetful(drawn_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of what other tests drew."""
    monkeypatch.setattr(home, "pictures_dir", PICTURES_DIR)
    forget()


def test_a_picture_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path))
    first = drawing.svg(SPEC)
    [path] = home.pictures_dir().glob("*.svg")
    assert path.read_text() == first
    path.write_text("<svg>kept</svg>")
    forget()
    assert drawing.svg(SPEC) == "<svg>kept</svg>"


def test_half_a_picture_and_a_folder_that_cannot_be_are_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path))
    whole = drawing.svg(SPEC)
    [path] = home.pictures_dir().glob("*.svg")
    path.write_text(whole[:100])
    forget()
    assert drawing.svg(SPEC) == whole
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(home.ENVIRONMENT_VARIABLE, str(tmp_path / "file"))
    forget()
    assert drawing.svg(SPEC) == whole


def forget() -> None:
    """As in a new process."""
    drawing._svg.cache_clear()
    drawing._drawn.cache_clear()
