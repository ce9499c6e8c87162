"""`gateway check`: is this configuration usable? Answered without starting anything."""

import os
from pathlib import Path

import click
import orjson

from gateway.clock import SystemClock
from gateway.cluster import client_of
from gateway.config.load import Loaded, load
from gateway.config.problem import counted
from gateway.errors import ConfigError


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def check(file: Path, as_json: bool) -> None:
    """Validate the configuration FILE: every problem at once, each with its line.

    References such as ${NAME} are looked up in the environment, so run it where the gateway will run.
    Exits with 0 when FILE holds, with 1 when it does not.
    """
    try:
        loaded = load(file, os.environ)
        if loaded.config.store != "memory":
            client_of(loaded.config.store, timeout_s=loaded.config.store_timeout_s, clock=SystemClock())
    except ConfigError as exc:
        click.echo(_as_json(file, exc.problems, None) if as_json else "\n".join(exc.problems))
        if not as_json:
            click.echo(f"{file}: {counted(len(exc.problems), 'problem')}.")
        raise SystemExit(1) from None
    click.echo(_as_json(file, [], loaded) if as_json else _summary(loaded))


def _counts(loaded: Loaded) -> dict[str, int]:
    config = loaded.config
    return {"upstreams": len(config.upstreams), "routes": len(config.routes), "keys": len(config.keys)}


def _summary(loaded: Loaded) -> str:
    parts = ", ".join(counted(number, what.removesuffix("s")) for what, number in _counts(loaded).items())
    warnings = [f"warning: {warning}" for warning in loaded.warnings]
    return "\n".join([*warnings, f"{loaded.source}: fine ({parts}; configuration {loaded.hash})."])


def _as_json(file: Path, problems: list[str], loaded: Loaded | None) -> str:
    found = {"file": str(file), "ok": loaded is not None, "problems": problems}
    if loaded is not None:
        found |= {"warnings": list(loaded.warnings), "hash": loaded.hash, **_counts(loaded)}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()
