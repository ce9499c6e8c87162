"""The life of a serving process: sockets, signals, and a stop that finishes what was begun."""

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from gateway.app import running_gateway
from gateway.config.load import Loaded
from gateway.config.model import Server, Tls
from gateway.errors import ConfigError
from gateway.server.load import InFlight
from gateway.server.routes import admin_app, traffic_app
from gateway.tokens.encodings import Encodings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a running gateway can be reached; without a trailing slash, and without /v1."""

    url: str
    admin_url: str


@asynccontextmanager
async def running(loaded: Loaded, *, log_fd: int = 2, encodings: Encodings | None = None) -> AsyncIterator[Serving]:
    """The gateway of `loaded`, serving until the block is left; then requests in flight get `drain_s` to finish.

    `log_fd` and `encodings` as for `running_gateway`.
    """
    server = loaded.config.server
    in_flight = InFlight(server.max_in_flight)
    async with running_gateway(loaded, log_fd=log_fd, encodings=encodings) as gateway:
        gateway.metrics.gauge("gateway_in_flight_requests", lambda: {(): in_flight.count})
        admin = _runner(admin_app(gateway, in_flight), server, drain_s=1)
        traffic = _runner(traffic_app(gateway, in_flight), server, drain_s=server.drain_s)
        try:
            admin_url = await _listen(admin, server.admin.host, server.admin.port, None)
            url = await _listen(traffic, server.host, server.port, _tls(server.tls))
            yield Serving(url, admin_url)
        finally:
            in_flight.is_draining = True  # readiness turns red while the last requests are served
            await traffic.cleanup()
            await admin.cleanup()


async def serve(loaded: Loaded, announce: Callable[[Serving], None], *, encodings: Encodings | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `announce` is told once the sockets listen."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with running(loaded, encodings=encodings) as serving:
        announce(serving)
        await stop.wait()
        log.info("stopping: requests in flight have %g s to finish", loaded.config.server.drain_s)


def _runner(app: web.Application, server: Server, *, drain_s: float) -> web.AppRunner:
    return web.AppRunner(
        app,
        handler_cancellation=True,  # a client that leaves ends the upstream call
        auto_decompress=False,  # bodies that are passed through stay as they are
        access_log=None,
        keepalive_timeout=server.keep_alive_s,
        shutdown_timeout=drain_s,
    )


async def _listen(runner: web.AppRunner, host: str, port: int, tls: ssl.SSLContext | None) -> str:
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError([f"cannot listen on {host}:{port}: {error.strerror or error}"]) from None
    address = runner.addresses[0]
    return f"{'https' if tls else 'http'}://{_shown(address[0])}:{address[1]}"


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
