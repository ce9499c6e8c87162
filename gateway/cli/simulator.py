"""`gateway simulator`."""

import asyncio
import signal

import click
import uvloop

from gateway.simulator.app import Simulator


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65_535), default=8090, show_default=True, help="0 picks a free one")
@click.option(
    "--tokens-per-second", type=click.FloatRange(0), default=0, help="pace of an answer; 0, the default: at once"
)
@click.option(
    "--first-token-ms", type=click.FloatRange(0, 60_000), default=0, help="silence before an answer [default: 0]"
)
@click.option("--key", help="refuse requests without this key [default: any key, or none]")
def simulator(host: str, port: int, tokens_per_second: float, first_token_ms: float, key: str | None) -> None:
    """Run a simulated model API, for tests and load.

    It speaks OpenAI's protocol and makes its answers up. The header `x-simulate: status=503` makes a
    request fail in that way; docs/simulator.md lists all of them.
    """
    made = Simulator(
        host, port, tokens_per_second=tokens_per_second, first_token_ms=first_token_ms, key=key, keep_calls=0
    )
    try:
        uvloop.run(_until_stopped(made))
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


async def _until_stopped(made: Simulator) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with made as simulator:
        click.echo("SIMULATED model API: every answer is made up, and says so")
        click.echo(f"listening on   {simulator.base_url}      export OPENAI_BASE_URL={simulator.base_url}")
        await stop.wait()
