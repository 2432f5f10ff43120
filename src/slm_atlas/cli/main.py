"""The command `slm`: the table of its commands, and how errors reach the user."""

from __future__ import annotations

from typing import Any

import click

from slm_atlas import __version__
from slm_atlas.cli.lazy import LazyCommand, LazyGroup
from slm_atlas.errors import EngineError, UserError

COMMANDS = {
    "doctor": LazyCommand("slm_atlas.cli.doctor", "Check the machine, the engine and the installation."),
    "models": LazyCommand("slm_atlas.cli.models", "List, show and compare the models of the catalogue."),
    "survey": LazyCommand("slm_atlas.cli.survey", "Show how models are built and trained over time."),
    "estimate": LazyCommand("slm_atlas.cli.estimate", "Compute what a model costs; nothing runs."),
    "forge": LazyCommand("slm_atlas.cli.forge", "Write a model file with random weights."),
    "quantize": LazyCommand("slm_atlas.cli.quantize", "Write a model file again in another quantization."),
    "calibrate": LazyCommand("slm_atlas.cli.calibrate", "Measure what this machine can do at best."),
    "bench": LazyCommand("slm_atlas.cli.bench", "Measure latency and memory of a model."),
    "profile": LazyCommand("slm_atlas.cli.profile", "Measure which parts of a model take the time."),
    "eval": LazyCommand("slm_atlas.cli.eval", "Measure what a model can do."),
    "study": LazyCommand("slm_atlas.cli.study", "Run many measurements, and resume them."),
    "results": LazyCommand("slm_atlas.cli.results", "List, show and export what was measured."),
    "insights": LazyCommand("slm_atlas.cli.insights", "Test the survey's claims on its figures and your measurements."),
    "figure": LazyCommand("slm_atlas.cli.figure", "Draw the survey's figures, on its data and yours."),
    "choose": LazyCommand("slm_atlas.cli.choose", "Name the models that suit a device and a task, the best first."),
    "report": LazyCommand("slm_atlas.cli.report", "Write the report of what was measured."),
}
"""Every command: its module, whose attribute `command` it is, and the first line of its help."""

LOG_LINES = 10
"""How much of an engine's log an error shows."""


class Root(LazyGroup):
    """The group `slm`: turns errors raised on purpose into a line and an exit code. A bug keeps its traceback."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's own signature)
        """Run the command; exit with 2 after a user's error, 1 after an engine's, 130 after Ctrl-C."""
        try:
            return super().invoke(ctx)
        except UserError as error:
            text, code = f"Error: {error}", 2
        except EngineError as error:
            text, code = _engine_failure(error), 1
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "slm"
            text, code = f"Error: {error.format_message()} Try: {where} --help", 2
        except KeyboardInterrupt:
            text, code = "Interrupted. What was finished is kept: give the same command again to go on from there.", 130
        click.echo(text, err=True)
        raise click.exceptions.Exit(code)


def _engine_failure(error: EngineError) -> str:
    tail = error.log_tail.strip().splitlines()[-LOG_LINES:]
    heading = ["The engine's log ends:"] if tail else []
    return "\n".join([f"Error: {error}", *heading, *(f"  {line}" for line in tail)])


@click.group(
    cls=Root,
    lazy_commands=COMMANDS,
    context_settings={"auto_envvar_prefix": "SLM", "help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `slm doctor`, then `slm study run quick`.",
)
@click.version_option(__version__, message="slm-atlas %(version)s")
def cli() -> None:
    """Small language models: how they are built, what they can do, and what they cost on your device."""


def main() -> None:
    """Run the command line."""
    cli(prog_name="slm")
