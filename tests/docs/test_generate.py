"""The generated documentation: complete, the same everywhere, and checked."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from slm_atlas.cli.main import COMMANDS

SCRIPT = Path(__file__).parents[2] / "docs" / "generate.py"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, which makes the pages that take seconds once: they are of the package alone."""
    spec = importlib.util.spec_from_file_location("generate_docs", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec.loader.exec_module(module)
        for name in ("measured", "catalogue"):
            patch.setattr(module, name, cache(getattr(module, name)))
        yield module


@pytest.fixture
def generate(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, writing to an empty folder."""
    monkeypatch.setattr(script, "DOCS", tmp_path)
    return script


@pytest.fixture
def two_commands(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, as if the two smallest commands were all there are."""
    monkeypatch.setattr(generate, "COMMANDS", {name: COMMANDS[name] for name in ("doctor", "models")})
    return generate


def test_nested_commands_options_and_examples_are_there(two_commands: ModuleType) -> None:
    page = two_commands.pages()["commands/models.md"]
    assert page.startswith("# `slm models`\n")
    assert "## `slm models list`" in page
    assert "```text\nslm models show [OPTIONS] MODEL\n```" in page
    assert "| `--max-params COUNT` | Only models of at most so many parameters, such as 500M. |" in page
    assert "```sh\nslm models list --fits 2GiB --context 8192 --sort release --descending\n```" in page
    assert "--help" not in page
    assert "`MODEL`" not in page


def test_paragraphs_are_not_taken_for_code(two_commands: ModuleType) -> None:
    paragraphs = two_commands.pages()["commands/doctor.md"].split("```")[0].splitlines()
    assert [line for line in paragraphs if line.startswith(" ")] == []


def test_write_then_check_then_mend(two_commands: ModuleType, tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(two_commands.main, ["--check"]).exit_code == 1
    assert not list(tmp_path.iterdir())
    assert runner.invoke(two_commands.main, []).exit_code == 0
    assert runner.invoke(two_commands.main, ["--check"]).exit_code == 0
    (tmp_path / "commands" / "gone.md").write_text("# `slm gone`\n")
    (tmp_path / "commands" / "models.md").write_text("old")
    stale = runner.invoke(two_commands.main, ["--check"])
    assert (stale.exit_code, stale.stdout) == (1, "")
    assert [line.split()[0] for line in stale.stderr.splitlines()] == [
        "docs/commands/gone.md",
        "docs/commands/models.md",
    ]
    runner.invoke(two_commands.main, [])
    assert not (tmp_path / "commands" / "gone.md").exists()
    assert runner.invoke(two_commands.main, ["--check"]).exit_code == 0


def test_a_page_written_by_hand_is_in_the_index_and_left_alone(two_commands: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "protocol.md").write_text("# How we measure\n\nText.\n")
    two_commands.write(two_commands.pages())
    assert "- [How we measure](protocol.md)" in (tmp_path / "README.md").read_text()
    assert (tmp_path / "protocol.md").read_text() == "# How we measure\n\nText.\n"


def test_hidden_commands_are_left_out_and_bars_do_not_break_a_table(generate: ModuleType) -> None:
    root = click.Group("root")
    group = click.Group("group", help="A group.")
    root.add_command(group)
    group.add_command(click.Command("secret", hidden=True))
    option = click.Option(["--type"], type=click.Choice(["f16", "q8_0"]), help="One | the other.")
    group.add_command(click.Command("open", params=[option], help="Opens."))
    page = generate.page(click.Context(root, info_name="slm"), "group")
    assert "secret" not in page
    (row,) = [line for line in page.splitlines() if line.startswith("| `")]
    assert row == r"| `--type [f16\|q8_0]` | One \| the other. |"


def test_every_command_has_its_page_which_does_not_depend_on_the_machine(generate: ModuleType, tmp_path: Path) -> None:
    environment = {"HOME": str(tmp_path / "user"), "SLM_ATLAS_HOME": str(tmp_path / "atlas"), "COLUMNS": "40"}
    environment["PYTHONPATH"] = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1] / "src")])
    run = [sys.executable, "-c", "import json, generate; print(json.dumps(generate.pages()))"]
    child = subprocess.run(run, capture_output=True, text=True, check=True, env=environment)
    here, elsewhere = generate.pages(), json.loads(child.stdout)
    assert set(here) == {*generate.GENERATED, *(f"commands/{name}.md" for name in COMMANDS)}
    del here["README.md"], elsewhere["README.md"]  # it lists the pages of its folder, which here is an empty one
    assert elsewhere == here
