"""The outer side: what is said of a machine without isolation, and the verdict when a sandbox cannot be made."""

from __future__ import annotations

import os

import pytest
from msgspec.structs import replace

from slm_atlas.evals.sandbox import ESSENTIAL, LAYERS, Layers, Limits, Outcome, parent, run, watch

NONE = Layers(in_force=(), lacking=dict.fromkeys(LAYERS, "needs Linux"))
WEAK = Layers(in_force=("limits", "privileges"), lacking=dict.fromkeys(("files", "processes", "network"), "refused"))


def on_a_machine_with(layers: Layers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "layers", lambda: layers)


def test_without_any_layer_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_machine_with(NONE, monkeypatch)
    for isolated in (True, False):
        verdict = run("x = 1", isolated=isolated)
        assert (verdict.outcome, verdict.reason) == (Outcome.REFUSED, "needs Linux")


def test_without_isolation_a_program_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_machine_with(WEAK, monkeypatch)
    verdict = run("x = 1")
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.reason == "no isolation on this machine: files: refused"


def test_where_it_may_be_lost_an_ordinary_users_machine_runs_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_machine_with(WEAK, monkeypatch)
    verdict = run("import os\nassert os.listdir('.') == []\nopen('x', 'w')\nprint(os.getcwd())", isolated=False)
    if os.geteuid() == 0:
        assert (verdict.outcome, verdict.reason.split(",")[0]) == (Outcome.REFUSED, "as root and without isolation")
    else:
        assert verdict.outcome is Outcome.PASSED
        assert not os.path.exists(verdict.output.strip())  # noqa: PTH110


def test_a_layer_that_fails_once_refuses_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    if parent.layers().missing:
        pytest.skip(parent.layers().describe())
    monkeypatch.setattr(watch, "filter_for", lambda: b"")
    verdict = run("raise SystemExit('it ran')")
    assert (verdict.outcome, verdict.output) == (Outcome.REFUSED, "")
    assert verdict.reason.startswith("calls: ")


def test_layers_are_found_once_and_described() -> None:
    here = parent.layers()
    assert parent.layers() is here
    assert set(here.in_force) | set(here.lacking) == set(LAYERS)
    assert replace(here, lacking={}).missing == ()
    assert NONE.missing == ESSENTIAL
    assert "files (needs Linux)" in NONE.describe()


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    for program in ("x = 1", "raise ValueError", "import time; time.sleep(9)"):
        run(program, Limits(wall_s=0.3))
    assert len(os.listdir("/dev/fd")) == before  # noqa: PTH208
