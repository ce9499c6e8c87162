"""One of several processes that share the traffic port: `python -m gateway.server.worker FD`, by the supervisor.

What goes over the socket FD is in `frames.py`. When it closes, the supervisor is gone, and the worker
ends as it does on SIGTERM.
"""

import asyncio
import contextlib
import logging
import pickle
import signal
import socket
import sys

import uvloop

from gateway.config.load import Loaded
from gateway.errors import ConfigError, GatewayError
from gateway.server import frames, heap
from gateway.server.crew import Arguments, answer, told
from gateway.server.frames import Kind
from gateway.server.live import Changing
from gateway.server.run import running
from gateway.telemetry import snapshot
from gateway.telemetry.logs import configure, set_level
from gateway.telemetry.metrics import Metrics
from gateway.wire import json_bytes

log = logging.getLogger(__name__)

PUSH_S = 0.5
"""Between two snapshots: far below any scrape interval."""


async def work(channel: socket.socket) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=channel)
    message = await frames.receive(reader)
    if message is None:
        return
    loaded: Loaded = pickle.loads(message[1])  # noqa: S301  (from our own parent, over a socket nobody else has)
    set_level(loaded.config.server.log.level)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with running(loaded, is_worker=True) as serving:
        live = serving.live
        assert live is not None
        metrics = live.gateway.metrics
        heap.settle()
        frames.send(writer, Kind.URL, serving.url.encode())
        pushing = asyncio.create_task(_push(writer, metrics), name="push metrics")
        answering = asyncio.create_task(_answer_all(reader, writer, live, stop), name="answer the supervisor")
        await stop.wait()
    for task in (pushing, answering):
        task.cancel()
    await asyncio.gather(pushing, answering, return_exceptions=True)
    with contextlib.suppress(ConnectionError):
        frames.send(writer, Kind.METRICS, snapshot.take(metrics))  # of the requests that the stop waited for
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def _answer_all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, live: Changing, stop: asyncio.Event
) -> None:
    """Answer what operators ask, side by side, and reload; sets `stop` when the supervisor is gone."""
    async with asyncio.TaskGroup() as answers:
        while (message := await frames.receive(reader)) is not None:
            match message:
                case Kind.QUESTION, asked:
                    answers.create_task(_answer(writer, live, *json_bytes.loads(asked)))
                case Kind.PREPARE, wanted:
                    answers.create_task(_prepare(writer, live, wanted))
                case Kind.SETTLE, b"true":
                    live.commit()
                case Kind.SETTLE, _:
                    answers.create_task(live.abandon())
        stop.set()


async def _prepare(writer: asyncio.StreamWriter, live: Changing, wanted: bytes) -> None:
    problems: list[str] = []
    try:
        await live.prepare(pickle.loads(wanted[4:]))  # noqa: S301  (from our own parent, as the first one)
    except ConfigError as error:
        problems = error.problems
    except Exception as error:
        log.exception("the gateway of a new configuration could not be built")
        problems = [f"it could not be built: {type(error).__name__}"]
    frames.send(writer, Kind.ANSWER, json_bytes.dumps([int.from_bytes(wanted[:4], "big"), problems, None]))


async def _answer(
    writer: asyncio.StreamWriter, live: Changing, number: int, question: str, arguments: Arguments
) -> None:
    try:
        reply = [number, await answer(live.gateway, question, arguments), None]
    except GatewayError as error:
        reply = [number, None, told(error)]
    except Exception:
        log.exception("the question %s failed", question)
        reply = [number, None, told(GatewayError("The gateway failed; its operator's log has the cause."))]
    frames.send(writer, Kind.ANSWER, json_bytes.dumps(reply))


async def _push(writer: asyncio.StreamWriter, metrics: Metrics) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            frames.send(writer, Kind.METRICS, snapshot.take(metrics))
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
