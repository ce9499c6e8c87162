"""The life of a serving process: sockets, signals, and a stop that finishes what was begun."""

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from aiohttp import web

from gateway.app import lasting_things
from gateway.clock import Clock
from gateway.config.load import Loaded
from gateway.config.process import Server, Tls
from gateway.errors import ConfigError
from gateway.server import heap
from gateway.server.admin import admin_app
from gateway.server.crew import Alone
from gateway.server.lane import Lane
from gateway.server.live import Changing, changing
from gateway.server.load import InFlight
from gateway.server.reload import Reloads, reloading
from gateway.server.routes import traffic_app
from gateway.server.strict import StrictHandler
from gateway.tokens.encodings import Encodings

log = logging.getLogger(__name__)

MakeProtocol = Callable[[], asyncio.Protocol]


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a running gateway can be reached; without a trailing slash, and without /v1."""

    url: str
    admin_url: str
    """Empty for a worker: the admin port is its supervisor's."""
    live: Changing | None = None
    """The gateway of this process, where it serves traffic itself."""


@asynccontextmanager
async def running(
    loaded: Loaded,
    *,
    log_fd: int = 2,
    encodings: Encodings | None = None,
    has_lane: bool = True,
    is_worker: bool = False,
    clock: Clock | None = None,
) -> AsyncIterator[Serving]:
    """The gateway of `loaded`, serving until the block is left; then requests in flight get `drain_s` to finish.

    `log_fd`, `encodings` and `clock` as for `lasting_things`. Without the fast lane aiohttp serves everything: same
    answers, more work; that is for tests. A worker shares its port with others and has no admin port.
    """
    server = loaded.config.server
    in_flight = InFlight(server.max_in_flight)
    async with (
        lasting_things(server, log_fd=log_fd, encodings=encodings, clock=clock) as lasting,
        changing(loaded, lasting) as live,
    ):
        lasting.metrics.gauge("gateway_in_flight_requests", lambda: {(): in_flight.count})
        make_lane = partial(Lane, live, in_flight) if has_lane else None
        at = server.admin
        admin = admin_app(Alone(live, in_flight), loaded.config)
        async with (
            nullcontext("") if is_worker else serving(admin, server, at.host, at.port, drain_s=1) as admin_url,
            serving(
                traffic_app(live, in_flight),
                server,
                server.host,
                server.port,
                drain_s=server.drain_s,
                tls=_tls(server.tls),
                make_lane=make_lane,
                is_shared=is_worker,
            ) as url,
        ):
            try:
                yield Serving(url, admin_url, live)
            finally:
                in_flight.is_draining = True  # readiness turns red while the last requests are served


async def serve(
    loaded: Loaded,
    announce: Callable[[Serving], None],
    *,
    read: Callable[[], Loaded] | None = None,
    encodings: Encodings | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is told once the sockets listen.

    `read` reads the configuration anew; without it there is no reload.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with running(loaded, encodings=encodings) as serving:
        heap.settle()
        announce(serving)
        async with reloading(_reloads(loaded, serving.live, read)):
            await stop.wait()
        log.info("stopping: requests in flight have %g s to finish", loaded.config.server.drain_s)


def _reloads(loaded: Loaded, live: Changing | None, read: Callable[[], Loaded] | None) -> Reloads | None:
    if read is None or live is None:
        return None
    metrics = live.gateway.metrics

    async def change(loaded: Loaded) -> None:
        await live.prepare(loaded)
        live.commit()

    return Reloads(loaded, read=read, change=change, count=metrics.count_reload, server=loaded.config.server)


@asynccontextmanager
async def serving(
    app: web.Application,
    server: Server,
    host: str,
    port: int,
    *,
    drain_s: float,
    tls: ssl.SSLContext | None = None,
    make_lane: Callable[[MakeProtocol], Lane] | None = None,
    is_shared: bool = False,
) -> AsyncIterator[str]:
    """`app` behind a listening socket, with a fast lane in front of it if `make_lane` makes one; where it is.

    A shared port is opened by several processes. Raises ConfigError when it cannot be opened.
    """
    runner = web.AppRunner(
        app,
        handler_cancellation=True,  # a client that leaves ends the upstream call
        access_log=None,
        shutdown_timeout=drain_s,
    )
    await runner.setup()
    assert runner.server is not None
    by_aiohttp = partial(
        StrictHandler,
        runner.server,
        head_timeout_s=server.header_timeout_s,
        keepalive_timeout=server.keep_alive_s,
        auto_decompress=False,  # bodies that are passed through stay as they are
        access_log=None,
    )
    lane = make_lane(by_aiohttp) if make_lane else None
    try:
        listener = await _listen(lane or by_aiohttp, server, host, port, tls, is_shared=is_shared)
        try:
            address = listener.sockets[0].getsockname()
            yield f"{'https' if tls else 'http'}://{_shown(address[0])}:{address[1]}"
        finally:
            await _close(listener)
    finally:
        ends = [runner.cleanup(), lane.drain(drain_s)] if lane else [runner.cleanup()]
        await asyncio.gather(*ends)


async def _listen(
    make: MakeProtocol, server: Server, host: str, port: int, tls: ssl.SSLContext | None, *, is_shared: bool
) -> asyncio.Server:
    handshake_s = server.header_timeout_s if tls else None
    try:
        return await asyncio.get_running_loop().create_server(
            make, host, port, ssl=tls, backlog=1024, ssl_handshake_timeout=handshake_s, reuse_port=is_shared or None
        )
    except OSError as error:
        raise ConfigError([f"cannot listen on {host}:{port}: {error.strerror or error}"]) from None


async def _close(listener: asyncio.Server) -> None:
    """Take nothing more, then close: in the turn of the loop in which a connection comes in, asyncio's server would
    forget that one unclosed."""
    loop = asyncio.get_running_loop()
    for sock in listener.sockets:
        loop.remove_reader(sock)
    for _ in range(2):  # for what has been accepted to get its protocol
        await asyncio.sleep(0)
    listener.close()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _tls(tls: Tls) -> ssl.SSLContext | None:
    if tls.cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(tls.cert, tls.key)
    except OSError as error:
        raise ConfigError(
            [f"server.tls: the certificate or its key cannot be read: {error.strerror or error}"]
        ) from None
    return context
