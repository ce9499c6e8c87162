"""Groups of commands whose modules are imported only when one of them is called."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import click

Commands = Mapping[str, tuple[str, str]]
"""Name → where it is (`module:attribute`), and what `--help` says of it."""


def lazy_group(commands: Commands, **settings: Any) -> Callable[[Callable[..., Any]], click.Group]:
    """As `click.group`, with `commands` in it."""

    class Lazy(click.Group):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(commands)

        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            if cmd_name not in commands:
                return None
            module, _, name = commands[cmd_name][0].partition(":")
            command = getattr(import_module(module), name)
            assert isinstance(command, click.Command)
            return command

        def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            with formatter.section("Commands"):
                formatter.write_dl([(name, help_) for name, (_, help_) in commands.items()])

    return click.group(cls=Lazy, **settings)
