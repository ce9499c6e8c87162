"""The command `gateway`. Each subcommand is a file of its own, imported only when it is called.

Importing scikit-learn, the OpenAI client or aiohttp takes from 0.3 to 6 s, which `gateway --help`
and `gateway check` should not wait for.
"""

import click

from gateway import __version__
from gateway.cli.lazy import lazy_group

_COMMANDS = {
    "cache": "look at and purge the response cache of a running gateway",
    "check": "validate a configuration without starting",
    "count": "prompt tokens of a request body, part by part",
    "demo": "see it work: a simulated model, real prompts, a table of what was saved",
    "keys": "issue, list, rotate and revoke keys of a running gateway",
    "plan": "what another configuration would have cost, over the ledger's requests",
    "prices": "what a token of a model costs here, who says so, since when",
    "prompts": "push, label, compare and roll back prompts of a running gateway; lint them",
    "reconcile": "the ledger beside a provider's own usage or cost export",
    "report": "what was spent and saved, from the ledger",
    "router": "train, evaluate, calibrate and explain the classifier",
    "schema": "JSON Schema of the configuration, for editors",
    "serve": "run the gateway",
    "simulator": "a simulated model API on its own, for tests and load",
    "waste": "tokens paid for in vain, in a file of requests or in what a gateway has served",
}


@lazy_group(
    {name: (f"gateway.cli.{name}:{name}", help_) for name, help_ in _COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="gateway")
def main() -> None:
    """An OpenAI-compatible gateway that counts, caps, caches, routes and accounts every request."""
