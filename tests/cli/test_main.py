"""The command itself: its list, its speed, and how errors reach the user."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner, Result

from slm_atlas import __version__
from slm_atlas.cli.lazy import LazyCommand, LazyGroup
from slm_atlas.cli.main import COMMANDS, Root, cli
from slm_atlas.errors import EngineCrashed, MissingExtra, UserError

RUN = "from slm_atlas.cli.main import main; main()"


def run_raising(error: BaseException) -> Result:
    """Run a command, of a group inside a group, that raises."""
    root = Root("slm")
    inner = click.Group("inner")
    root.add_command(inner)

    @inner.command()
    def broken() -> None:
        raise error

    return CliRunner().invoke(root, ["inner", "broken"])


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    for name, lazy in COMMANDS.items():
        assert f"  {name} " in output
        assert lazy.help in output


def imported(code: str, *args: str) -> set[str]:
    """The top-level modules that a new interpreter imports while it runs the code."""
    run = [sys.executable, "-X", "importtime", "-c", code, *args]
    lines = subprocess.run(run, capture_output=True, text=True, check=True).stderr.splitlines()
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def test_help_imports_nothing_but_click() -> None:
    found = imported(RUN, "--help") - imported("pass")  # what every interpreter imports here (a .pth file may)
    assert found - sys.stdlib_module_names == {"click", "slm_atlas"}


def test_version() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"slm-atlas {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert command.help.splitlines()[0] == COMMANDS[name].help


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["foo"], "Error: No such command 'foo'. Try: slm --help"),
        (["bench"], "Error: Missing argument 'MODELS...'. Try: slm bench --help"),
        (["bench", "m.gguf", "--runs", "0"], "Error: Invalid value for '--runs': 0 is not in the range x>=1."),
        (["estimate", "smollm-135m", "--quant", "Q9"], "Error: Invalid value for '--quant': 'Q9' is not one of F32,"),
        (["study", "run"], "Error: Missing argument 'STUDY'. Try: slm study run --help"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    result = CliRunner().invoke(cli, arguments, prog_name="slm")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(line)
    assert result.stderr.count("\n") == 1


def test_a_group_alone_shows_its_help() -> None:
    assert "Commands:" in CliRunner().invoke(cli, ["study"]).output


class TestErrors:
    def test_a_user_error_is_one_line_and_2(self) -> None:
        result = run_raising(MissingExtra("slm eval", "eval"))
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr == "Error: slm eval needs the extra 'eval'. Try: pip install 'slm-atlas[eval]'\n"

    def test_a_user_error_without_a_fix_is_its_message(self) -> None:
        assert run_raising(UserError("It rains.")).stderr == "Error: It rains.\n"

    def test_an_engine_error_shows_the_end_of_the_log_and_1(self) -> None:
        log = "\n".join(f"line {number}" for number in range(1, 31))
        result = run_raising(EngineCrashed("The engine died (SIGABRT).", log))
        assert result.exit_code == 1
        assert result.stderr.splitlines()[0] == "Error: The engine died (SIGABRT)."
        assert result.stderr.splitlines()[2:] == [f"  line {number}" for number in range(21, 31)]

    def test_an_engine_error_without_a_log_is_one_line(self) -> None:
        assert run_raising(EngineCrashed("The engine died.")).stderr == "Error: The engine died.\n"

    def test_an_interrupt_says_how_to_resume_and_130(self) -> None:
        result = run_raising(KeyboardInterrupt())
        assert result.exit_code == 130
        assert "same command again" in result.stderr

    def test_a_bug_keeps_its_traceback(self) -> None:
        result = run_raising(ZeroDivisionError())
        assert isinstance(result.exception, ZeroDivisionError)


class TestLazyGroup:
    def make(self, module: str = "slm_atlas.cli.doctor") -> LazyGroup:
        inner = LazyGroup("inner", lazy_commands={"far": LazyCommand(module, "Far away.")})

        @inner.command()
        def near() -> None:
            """Near by."""
            click.echo("near")

        @inner.command(hidden=True)
        def secret() -> None:
            """Hidden."""

        root = LazyGroup("root")
        root.add_command(inner)
        return root

    def test_a_nested_group_lists_both_kinds_and_hides_the_hidden(self) -> None:
        output = CliRunner().invoke(self.make("no.such.module"), ["inner", "--help"]).output
        assert output.index("far   Far away.") < output.index("near  Near by.")
        assert "secret" not in output

    def test_a_nested_group_runs_both_kinds(self) -> None:
        assert CliRunner().invoke(self.make(), ["inner", "near"]).output == "near\n"
        assert "Check the machine" in CliRunner().invoke(self.make(), ["inner", "far", "--help"]).output

    def test_a_module_that_is_not_there_is_a_bug_not_an_unknown_command(self) -> None:
        result = CliRunner().invoke(self.make("slm_atlas.no_such_module"), ["inner", "far"])
        assert isinstance(result.exception, ModuleNotFoundError)

    def test_a_module_without_a_command_is_a_bug(self) -> None:
        result = CliRunner().invoke(self.make("slm_atlas.errors"), ["inner", "far"])
        assert isinstance(result.exception, AttributeError)


def test_options_can_be_given_in_the_environment() -> None:
    result = CliRunner().invoke(cli, ["models", "list"], env={"SLM_MODELS_LIST_JSON": "1"})
    assert result.stdout.startswith("[")


def test_the_package_is_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "slm_atlas", "--version"], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == (f"slm-atlas {__version__}\n", 0)
