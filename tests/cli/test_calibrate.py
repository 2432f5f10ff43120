"""`slm calibrate` on the fake engine: what is printed, what is kept, and when it is measured again."""

from __future__ import annotations

from typing import Any

import pytest

from cli.atlas import document, slm, tables, wrong
from slm_atlas.bench import calibrate as calibrating
from slm_atlas.bench.calibrate import TYPES
from slm_atlas.cli import calibrate
from slm_atlas.engines.fake import Fake
from slm_atlas.studies import measuring


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake engine needs no process of its own."""

    def start(_: str, **__: Any) -> Fake:
        return Fake()

    monkeypatch.setattr(calibrate, "Worker", start)
    monkeypatch.setattr(calibrating, "Worker", start)


def test_a_table_has_a_line_a_figure() -> None:
    result = slm("calibrate", "--engine", "fake", "--quick")
    assert result.exit_code == 0
    (lines,) = tables(result.stdout)
    assert len([line for line in lines if line.startswith("decode")]) == len(TYPES)
    assert "not steady" in result.stderr  # the fake's best time is half of the median
    assert "kept in" in result.stderr


def test_json_has_what_follows_from_the_times() -> None:
    found = document("calibrate", "--engine", "fake", "--quick")
    assert all(figure["stability"] == pytest.approx(0.5) and figure["flops"] > 0 for figure in found["figures"])


def test_what_is_known_is_not_measured_again_unless_asked() -> None:
    first = document("calibrate", "--engine", "fake", "--quick")
    again = slm("calibrate", "--engine", "fake", "--quick")
    assert "was calibrated at" in again.stderr
    assert "kept in" not in again.stderr
    assert document("calibrate", "--engine", "fake", "--quick") == first
    assert "kept in" in slm("calibrate", "--engine", "fake", "--quick", "--again").stderr


def test_a_quick_one_is_made_whole_and_stays_so() -> None:
    slm("calibrate", "--engine", "fake", "--quick")
    whole = document("calibrate", "--engine", "fake")
    assert whole["quick"] is False
    assert document("calibrate", "--engine", "fake", "--quick") == whole


def test_it_waits_for_no_other_measurement() -> None:
    with measuring():
        assert "Another measurement is running" in wrong("calibrate", "--engine", "fake")
