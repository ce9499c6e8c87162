"""One of several processes that share the traffic port: `python -m gateway.server.worker FD`, by the supervisor.

Over the socket FD come the configuration, already checked, and then nothing; a closed socket means
that the supervisor is gone, and the worker then ends as it does on SIGTERM. Over it go the URL once
the port is open, and from then on snapshots of the metrics.
"""

import asyncio
import contextlib
import pickle
import signal
import socket
import sys

import uvloop

from gateway.config.load import Loaded
from gateway.errors import ConfigError
from gateway.server import frames
from gateway.server.run import running
from gateway.telemetry import snapshot
from gateway.telemetry.logs import configure
from gateway.telemetry.metrics import Metrics

PUSH_S = 0.5
"""Between two snapshots: far below any scrape interval."""


async def work(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    message = await frames.receive(reader)
    if message is None:
        return
    loaded: Loaded = pickle.loads(message)  # noqa: S301  (from our own parent, over a socket nobody else has)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    orphaned = asyncio.create_task(_until_closed(reader, stop), name="watch the supervisor")
    async with running(loaded, is_worker=True) as serving:
        metrics = serving.metrics
        assert metrics is not None
        frames.send(writer, serving.url.encode())
        pushing = asyncio.create_task(_push(writer, metrics), name="push metrics")
        await stop.wait()
    for task in (orphaned, pushing):
        task.cancel()
    await asyncio.gather(orphaned, pushing, return_exceptions=True)
    with contextlib.suppress(ConnectionError):
        frames.send(writer, snapshot.take(metrics))  # of the requests that the stop has waited for
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _until_closed(reader: asyncio.StreamReader, stop: asyncio.Event) -> None:
    await frames.receive(reader)
    stop.set()


async def _push(writer: asyncio.StreamWriter, metrics: Metrics) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            frames.send(writer, snapshot.take(metrics))
            await writer.drain()
            await asyncio.sleep(PUSH_S)


def main() -> None:
    configure("INFO")
    try:
        uvloop.run(work(socket.socket(fileno=int(sys.argv[1]))))
    except ConfigError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
