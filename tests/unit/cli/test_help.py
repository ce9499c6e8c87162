"""What `--help` lists: every command told whole, in the room of a terminal."""

import click

from gateway.cli.main import main


def test_lists_of_commands_tell_each_of_them_whole() -> None:
    context = click.Context(main, terminal_width=80)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}
    groups = {name: each for name, each in commands.items() if isinstance(each, click.Group)}
    assert groups.keys() == {"cache", "keys", "prompts", "router"}
    cut = [
        name
        for name, group in groups.items()
        if "..." in group.get_help(click.Context(group, terminal_width=80)).partition("Commands:")[2]
    ]
    assert cut == []
