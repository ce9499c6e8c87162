"""`gateway serve`."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import uvloop

from gateway.config import builtin
from gateway.config.check import cross_check
from gateway.config.load import Loaded, load, parse
from gateway.errors import ConfigError
from gateway.server import supervisor
from gateway.server.run import Serving
from gateway.server.run import serve as serve_until_stopped
from gateway.telemetry.logs import configure, set_level
from gateway.tokens.encodings import Encodings

DEFAULT_FILE = Path("gateway.yaml")


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says in place of `server:`; None where it says nothing."""

    host: str | None
    port: int | None
    admin_port: int | None
    workers: int | None

    def on(self, loaded: Loaded) -> Loaded:
        """`loaded` with them, held to the same rules across sections; raises ConfigError."""
        server = loaded.config.server
        admin = server.admin.model_copy(update=_given(port=self.admin_port))
        server = server.model_copy(
            update={**_given(host=self.host, port=self.port, workers=self.workers), "admin": admin}
        )
        config = loaded.config.model_copy(update={"server": server})
        problems = [problem for problem in cross_check(config) if not problem.is_warning]
        if problems:
            raise ConfigError([problem.told("command line") for problem in problems])
        return replace(loaded, config=config)


def _given(**values: str | int | None) -> dict[str, str | int]:
    return {name: value for name, value in values.items() if value is not None}


PORT = click.IntRange(0, 65_535)


@click.command()
@click.option("-c", "--config", "file", type=click.Path(path_type=Path), help="YAML file [default: ./gateway.yaml]")
@click.option("--host", help="in place of server.host")
@click.option("--port", type=PORT, help="in place of server.port; 0 picks a free one")
@click.option("--admin-port", type=PORT, help="in place of server.admin.port; 0 picks a free one")
@click.option("--workers", type=click.IntRange(1, 256), help="in place of server.workers; processes sharing the port")
def serve(file: Path | None, host: str | None, port: int | None, admin_port: int | None, workers: int | None) -> None:
    """Run the gateway.

    Without a configuration file it serves OpenAI when OPENAI_API_KEY is set, otherwise a simulated
    model, on loopback, with no keys, no caps and no cache.
    """
    configure("INFO")
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    if file is not None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes before it can be followed must not kill
    try:
        uvloop.run(_serve(file, Overrides(host, port, admin_port, workers)))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)


async def _serve(file: Path | None, overrides: Overrides) -> None:
    if file is not None:
        await _run(load(file, os.environ), f"configuration: {file}", overrides, read=partial(load, file, os.environ))
    elif os.environ.get("OPENAI_API_KEY"):
        loaded = _built_in(builtin.for_openai())
        await _run(loaded, "no configuration file: serving OpenAI with OPENAI_API_KEY", overrides)
    else:
        await _serve_simulator(overrides)


async def _serve_simulator(overrides: Overrides) -> None:
    from gateway.simulator.app import Simulator

    encodings = Encodings()
    async with Simulator(keep_calls=0, encodings=encodings) as simulator:
        loaded = _built_in(builtin.for_simulator(simulator.base_url))
        source = "no configuration file and no OPENAI_API_KEY: serving a SIMULATED model"
        await _run(loaded, source, overrides, encodings=encodings)


async def _run(
    loaded: Loaded,
    source: str,
    overrides: Overrides,
    *,
    read: Callable[[], Loaded] | None = None,
    encodings: Encodings | None = None,
) -> None:
    for warning in loaded.warnings:
        click.echo(warning, err=True)
    loaded = overrides.on(loaded)
    set_level(loaded.config.server.log.level)
    again = None if read is None else lambda: overrides.on(read())
    if loaded.config.server.workers > 1:
        await supervisor.serve(loaded, lambda at: _announce(at, source), read=again)
    else:
        await serve_until_stopped(loaded, lambda at: _announce(at, source), read=again, encodings=encodings)


def _built_in(text: str) -> Loaded:
    return parse(text, source="built-in configuration", env=os.environ, folder=Path())


def _announce(serving: Serving, source: str) -> None:
    click.echo(source)
    click.echo(f"listening on   {serving.url}      export OPENAI_BASE_URL={serving.url}/v1")
    click.echo(f"admin port     {serving.admin_url}      {serving.admin_url}/metrics")
