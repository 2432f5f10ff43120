"""The command line in this process and in others, on tiny files and the fake engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from slm_atlas.cli.main import cli

COMMAND = [sys.executable, "-c", "from slm_atlas.cli.main import main; main()"]


def slm(*args: object) -> Result:
    """Run a command here; a bug shows as itself."""
    return CliRunner().invoke(cli, [str(arg) for arg in args], catch_exceptions=False)


def document(*args: object) -> Any:
    """The one JSON document that a command prints to stdout."""
    result = slm(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def tables(output: str) -> list[list[str]]:
    """The lines of each table, headings and rules left out."""
    return [table.splitlines()[2:] for table in output.strip().split("\n\n")]


def wrong(*args: object) -> str:
    """The one line that a command says of wrong input."""
    result = slm(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def started(*args: object, folder: Path) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a shell starts it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=dict(os.environ),
        start_new_session=True,
    )


def copies(tiny_model: Path, folder: Path, names: Iterable[str]) -> list[Path]:
    """Files of one model that differ in their content; the fake engine behaves as their folder is called."""
    paths = [folder / name for name in names]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiny_model.read_bytes() + b"\0" * (number + 1))
    return paths


def write_study(folder: Path, models: Iterable[object], *, runs: int = 2) -> Path:
    path = folder / "mine.toml"
    lines = ['name = "mine"', 'title = "My study"', 'description = "Of mine."', f"runs = {runs}", "limit = 1"]
    lines += ["repeat = false"]  # whatever else runs beside the tests
    lines += ["eval_context = 1024", "[bench]", "n_prompt = 4", "n_gen = 2", "repetitions = 1", "threads = 1"]
    for model in models:
        lines += ["[[models]]", f'model = "{model}"', "suites = []"]
    path.write_text("\n".join(lines))
    return path
