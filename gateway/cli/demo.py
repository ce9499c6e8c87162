"""`gateway demo`."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
import uvloop

from gateway.demo.show import Options, show
from gateway.errors import ConfigError
from gateway.telemetry.logs import configure


@click.command()
@click.option("--once", is_flag=True, help="end after the table; without a terminal it always does")
@click.option("--requests", type=click.IntRange(1, 10_000), default=240, show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65_534), help="for clients, the next one is the admin port; 0 picks free ones"
)
def demo(once: bool, requests: int, port: int | None) -> None:
    """See it work: a simulated model, the gateway in front of it, and real prompts.

    Sends a mixed sample through OpenAI's own client, shows per route what was answered by which tier,
    what the cache held and what that cost and saved, then keeps serving while a terminal is attached.
    """
    configure("WARNING")
    keeps_serving = not once and sys.stdin.isatty() and sys.stdout.isatty()
    if port is None and not keeps_serving:
        port = 0
    try:
        ended_well = uvloop.run(_until_stopped(Options(requests, port, keeps_serving)))
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        sys.exit(1)
    sys.exit(0 if ended_well else 1)


async def _until_stopped(options: Options) -> bool:
    """SIGINT and SIGTERM end the demo early, and in order: what was started is closed, and that is no failure."""
    showing = asyncio.create_task(show(options, os.environ, click.echo, _progress), name="demo")
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, showing.cancel)
    try:
        return await showing
    except asyncio.CancelledError:
        return True


@contextmanager
def _progress(requests: int) -> Iterator[Callable[[], None]]:
    """A bar on a terminal, a line every quarter otherwise."""
    if sys.stdout.isatty():
        with click.progressbar(length=requests, label="requests", show_pos=True) as bar:
            yield lambda: bar.update(1)
        return
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done == requests or done % max(1, requests // 4) == 0:
            click.echo(f"{done} of {requests} requests sent")

    yield advance
