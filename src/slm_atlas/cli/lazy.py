"""A click group whose commands are imported when they are run, so that help costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class LazyCommand(NamedTuple):
    """A command that is not imported yet."""

    module: str
    """The module whose attribute `command` is the click command."""
    help: str
    """The first line of its help."""


class LazyGroup(click.Group):
    """A group that lists its commands from a table, in the table's order, and imports the one that is asked for.

    Commands added in the usual way (`@group.command()`) stand after those of the table. A lazy command may itself be a
    group, lazy or not.

    Args:
        *args: as click's.
        lazy_commands: the table, by name.
        **kwargs: as click's.
    """

    def __init__(self, *args: Any, lazy_commands: Mapping[str, LazyCommand] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy_commands = dict(lazy_commands or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which the help shows them."""
        return [*self.lazy_commands, *(name for name in super().list_commands(ctx) if name not in self.lazy_commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported if it has to be; None where there is none of that name."""
        lazy = self.lazy_commands.get(cmd_name)
        if lazy is None:
            return super().get_command(ctx, cmd_name)
        command = import_module(lazy.module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{lazy.module}.command is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, importing none of the table's."""
        rows = [(name, help_text) for name in self.list_commands(ctx) if (help_text := self._help_of(ctx, name))]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def _help_of(self, ctx: click.Context, name: str) -> str | None:
        if name in self.lazy_commands:
            return self.lazy_commands[name].help
        command = super().get_command(ctx, name)
        return None if command is None or command.hidden else command.get_short_help_str(limit=100)
