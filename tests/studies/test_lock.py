"""One measurement at a time, and the system frees the machine however the other one ends."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from slm_atlas.errors import UserError
from slm_atlas.studies import measuring
from slm_atlas.studies.lock import lock_path, measured_by


def test_a_second_measurement_is_told_of_the_first() -> None:
    with measuring():
        with pytest.raises(UserError) as caught, measuring():
            pytest.fail("both measure")
        assert str(caught.value) == (
            f"Another measurement is running (process {os.getpid()}). Try: wait for it, or kill {os.getpid()}"
        )


def test_it_is_free_again_after_the_end_and_after_an_error() -> None:
    with measuring():
        pass
    with pytest.raises(ZeroDivisionError), measuring():
        raise ZeroDivisionError
    with measuring():
        pass


def test_another_home_is_the_same_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_home: Path) -> None:
    assert measured_by() is None
    with measuring():
        monkeypatch.setenv("SLM_ATLAS_HOME", str(tmp_path / "other"))
        with pytest.raises(UserError, match=rf"process {os.getpid()}, home {own_home}\)"), measuring():
            pytest.fail("both measure")
        assert measured_by() == f"process {os.getpid()}, home {own_home}"
    assert measured_by() is None


def test_a_link_that_somebody_else_put_there_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "precious"
    target.write_text("data")
    lock_path().symlink_to(target)
    with pytest.raises(UserError, match="Cannot open"), measuring():
        pytest.fail("followed")
    assert target.read_text() == "data"


def test_a_measurement_killed_with_9_frees_the_machine() -> None:
    code = (
        "import time\nfrom slm_atlas.studies import measuring\n"
        "with measuring():\n    print('measuring', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "measuring\n"
        with pytest.raises(UserError, match=f"process {other.pid}"), measuring():
            pytest.fail("both measure")
        other.kill()
        other.wait()
        with measuring():
            pass
