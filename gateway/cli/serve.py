"""`gateway serve`."""

import os
import sys
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
from gateway.telemetry.logs import configure
from gateway.tokens.encodings import Encodings

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
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    try:
        uvloop.run(_serve(file, host, port))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)


async def _serve(file: Path | None, host: str | None, port: int | None) -> None:
    if file is not None:
        await _run(load(file, os.environ), f"configuration: {file}", host, port)
    elif os.environ.get("OPENAI_API_KEY"):
        loaded = _built_in(builtin.for_openai())
        await _run(loaded, "no configuration file: serving OpenAI with OPENAI_API_KEY", host, port)
    else:
        await _serve_simulator(host, port)


async def _serve_simulator(host: str | None, port: int | None) -> None:
    from gateway.simulator.app import Simulator

    encodings = Encodings()
    async with Simulator(keep_calls=0, encodings=encodings) as simulator:
        loaded = _built_in(builtin.for_simulator(simulator.base_url))
        source = "no configuration file and no OPENAI_API_KEY: serving a SIMULATED model"
        await _run(loaded, source, host, port, encodings)


async def _run(
    loaded: Loaded, source: str, host: str | None, port: int | None, encodings: Encodings | None = None
) -> None:
    for warning in loaded.warnings:
        click.echo(warning, err=True)
    loaded = _overridden(loaded, host, port)
    await serve_until_stopped(loaded, lambda serving: _announce(serving, source), encodings=encodings)


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
