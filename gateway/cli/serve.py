"""`gateway serve`."""

import os
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import click
import uvloop

from gateway.config import builtin
from gateway.config.check import cross_check
from gateway.config.load import Loaded, load, parse
from gateway.errors import ConfigError
from gateway.server.run import Serving
from gateway.server.run import serve as serve_until_stopped
from gateway.simulator.app import Simulator
from gateway.telemetry.logs import configure

DEFAULT_FILE = Path("gateway.yaml")


@click.command()
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="YAML file [default: ./gateway.yaml]")
@click.option("--host", help="in place of server.host")
@click.option("--port", type=click.IntRange(0, 65_535), help="in place of server.port; 0 picks a free one")
def serve(file: Path | None, host: str | None, port: int | None) -> None:
    """Run the gateway.

    Without a configuration file it serves OpenAI when OPENAI_API_KEY is set, otherwise a simulated
    model, on loopback, with no keys, no caps and no cache.
    """
    configure("INFO")
    try:
        uvloop.run(_serve(file, host, port))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)


async def _serve(file: Path | None, host: str | None, port: int | None) -> None:
    async with AsyncExitStack() as stack:
        loaded, source = await _loaded(file, stack)
        loaded = _overridden(loaded, host, port)
        await serve_until_stopped(loaded, lambda serving: _announce(serving, source))


async def _loaded(file: Path | None, stack: AsyncExitStack) -> tuple[Loaded, str]:
    """The configuration, and in words where it came from."""
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is not None:
        return load(file, os.environ), f"configuration: {file}"
    if os.environ.get("OPENAI_API_KEY"):
        return _built_in(builtin.for_openai()), "no configuration file: serving OpenAI with OPENAI_API_KEY"
    simulator = await stack.enter_async_context(Simulator())
    return (
        _built_in(builtin.for_simulator(simulator.base_url)),
        "no configuration file and no OPENAI_API_KEY: serving a SIMULATED model",
    )


def _built_in(text: str) -> Loaded:
    return parse(text, source="built-in configuration", env=os.environ, folder=Path())


def _overridden(loaded: Loaded, host: str | None, port: int | None) -> Loaded:
    """`loaded` with what the command line says in place of `server:`; held to the same rules across sections."""
    changed = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if not changed:
        return loaded
    server = loaded.config.server.model_copy(update=changed)
    config = loaded.config.model_copy(update={"server": server})
    problems = [problem for problem in cross_check(config) if not problem.is_warning]
    if problems:
        raise ConfigError([problem.told("command line") for problem in problems])
    return replace(loaded, config=config)


def _announce(serving: Serving, source: str) -> None:
    click.echo(source)
    click.echo(f"listening on   {serving.url}      export OPENAI_BASE_URL={serving.url}/v1")
    click.echo(f"admin port     {serving.admin_url}      {serving.admin_url}/metrics")
