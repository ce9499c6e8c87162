"""What the commands about money have in common: which ledger, which days, how dollars are shown."""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from gateway.config.database_url import fault_of
from gateway.config.load import Loaded, load
from gateway.config.model import Config
from gateway.config.problem import quoted
from gateway.errors import ConfigError, DatabaseUnavailable
from gateway.values import NANO
from gateway.wire.headers import usd

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

NAME_WIDTH = 48
"""Characters of a name in a table; `upstream/model-with-its-snapshot` has fewer."""
DEFAULT_FILE = Path("gateway.yaml")
_AGO = re.compile(r"(\d{1,5})([mhdw])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Moment(click.ParamType[int]):
    """`7d`, `24h`, `30m`, `2w` ago, or a day or time in UTC; milliseconds since 1970."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        now = datetime.now(UTC)
        if found := _AGO.fullmatch(value):
            return int((now - int(found[1]) * _UNITS[found[2]]).timestamp() * 1000)
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"expected 7d, 24h, 30m or a date like 2026-11-22, got {value!r}", param, ctx)
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


LEDGER = click.option(
    "--ledger",
    "url",
    envvar="GATEWAY_LEDGER",  # a command line with a password could be read by anyone on the machine
    help="sqlite:///FILE or postgresql://…, also as GATEWAY_LEDGER [default: as the configuration says]",
)


def ledger_options(command: F) -> F:
    """`--ledger`, `--config`, `--since`, `--until`, as every command that reads the ledger has them."""
    for option in (
        click.option("--until", "until_ms", type=Moment(), help="The end of the period [default: now]"),
        click.option(
            "--since",
            "since_ms",
            type=Moment(),
            default="7d",
            show_default=True,
            help="Its beginning: 7d, 24h, a date.",
        ),
        LEDGER,
        click.option(
            "-c", "--config", "file", type=click.Path(path_type=Path, exists=True), help="[default: ./gateway.yaml]"
        ),
    ):
        command = option(command)
    return command


def ledger_of(url: str | None, file: Path | None) -> str:
    """The ledger that is named, or that of the configuration; without either the default one."""
    if url is not None:
        if (fault := fault_of(url)) is not None:
            fail(f"--ledger (or GATEWAY_LEDGER): {fault}, got {quoted(url)}")
        return url
    if file is None and DEFAULT_FILE.exists():
        file = DEFAULT_FILE
    config_ledger = loaded(file).config.ledger if file is not None else Config.model_fields["ledger"].default
    if config_ledger == "none":
        fail(f"{file} says `ledger: none`: name another with --ledger")
    return str(config_ledger)


def loaded(file: Path) -> Loaded:
    """A configuration for a command that serves nothing: variables that are not set are no obstacle."""
    try:
        return load(file, _Forgiving(os.environ))
    except ConfigError as error:
        fail("\n".join(error.problems))


class _Forgiving(dict[str, str]):
    """The environment, with something in the place of each secret that only the serving machine has."""

    def __missing__(self, name: str) -> str:
        return f"https://{name.lower().replace('_', '-')}.invalid" if name.endswith("URL") else f"unset-{name}"

    def __contains__(self, name: object) -> bool:
        return True


def run(work: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(work)
    except DatabaseUnavailable as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)


def dollars(nanousd: int, *, of: int | None = None) -> str:
    """As many decimals as an amount, or the largest one of its column (`of`), needs to be read."""
    places = 2 if abs(nanousd if of is None else of) >= 100 * NANO else 6
    sign = "-" if nanousd < 0 else ""
    whole, _, part = usd(_rounded(abs(nanousd), places)).partition(".")
    return f"{sign}{int(whole):,}.{part[:places]}"


def _rounded(nanousd: int, places: int) -> int:
    step = int(10 ** (9 - places))
    return (nanousd + step // 2) // step * step


def shortened(name: str) -> str:
    """For a column of a table: clients name models, and may do so at length. Both ends tell more than the middle."""
    if len(name) <= NAME_WIDTH:
        return name
    start = NAME_WIDTH // 2
    return f"{name[:start]}…{name[start + 1 - NAME_WIDTH :]}"


def local(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
