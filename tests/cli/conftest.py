"""Fixtures of the command line's tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from slm_atlas import home
from slm_atlas.bench import Ceilings
from slm_atlas.cli import measure
from slm_atlas.engines import Engine, Worker
from slm_atlas.engines.fake import Fake
from slm_atlas.studies import run


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Save what other tests test: the fake engine runs here, and the machine's speed is not measured every time."""

    def start(engine: str = "llamacpp", **limits: Any) -> Engine:
        return Fake() if engine == "fake" else Worker(engine, **limits)

    monkeypatch.setattr(run, "Worker", start)
    monkeypatch.setattr(measure, "Worker", start)
    monkeypatch.setattr(run, "measure_ceilings", lambda _: Ceilings(read_bytes_per_s=1e10, flops=1e11))


@pytest.fixture
def reference(reference_store: Path) -> None:
    """The user has merged the results that come with the package."""
    home.home().mkdir(parents=True, exist_ok=True)
    shutil.copy(reference_store, home.store_path())
