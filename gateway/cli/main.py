"""The command `gateway`. Each subcommand is a file of its own, imported only when it is called.

Importing scikit-learn, the OpenAI client or aiohttp takes from 0.3 to 6 s, which `gateway --help`
and `gateway check` should not wait for.
"""

from importlib import import_module

import click

from gateway import __version__

_COMMANDS = {
    "cache": "look at and purge the response cache of a running gateway",
    "check": "validate a configuration without starting",
    "count": "prompt tokens of a request body, part by part",
    "demo": "see it work: a simulated model, real prompts, a table of what was saved",
    "keys": "issue, list, rotate and revoke keys of a running gateway",
    "plan": "what another configuration would have cost, over the ledger's requests",
    "prices": "what a token of a model costs here, who says so, since when",
    "reconcile": "the ledger beside a provider's own usage or cost export",
    "report": "what was spent and saved, from the ledger",
    "router": "train, evaluate, calibrate and explain the classifier",
    "schema": "JSON Schema of the configuration, for editors",
    "serve": "run the gateway",
    "simulator": "a simulated model API on its own, for tests and load",
    "waste": "tokens paid for in vain, in a file of requests or in what a gateway has served",
}


class _Lazy(click.Group):
    """Knows its commands by name and short help; the module is loaded on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"gateway.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def main() -> None:
    """An OpenAI-compatible gateway that counts, caps, caches, routes and accounts every request."""
