"""Making a connection: name, address, proxy, TLS, each within one deadline, each failure told apart."""

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import cast

from aiohappyeyeballs import start_connection

from gateway.errors import ConfigError, UpstreamTimeout, UpstreamUnavailable
from gateway.upstream.dns import Resolver
from gateway.upstream.http1 import Connection
from gateway.upstream.proxy import proxy_for

log = logging.getLogger(__name__)

_NEXT_ADDRESS_AFTER_S = 0.25
"""RFC 8305, 5: how long one address may take before the next is tried beside it."""
_MAX_PROXY_HEAD = 1 << 14
_PROXY_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an upstream lives."""

    scheme: str
    host: str
    """An ASCII name or an address, an IPv6 one without its brackets."""
    port: int

    @property
    def authority(self) -> str:
        """With brackets and port, whatever the port is."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _ProxyRefused(OSError):
    """The proxy would not connect us."""


class Dialer:
    """Makes connections to `origin` for the upstream `name`. Raises ConfigError for what can never work."""

    def __init__(
        self, name: str, origin: Origin, *, ca_file: str | None, timeout_s: float, environ: Mapping[str, str]
    ) -> None:
        self.proxy = proxy_for(origin.scheme, origin.host, origin.port, environ)
        self._name = name
        self._origin = origin
        self._timeout_s = timeout_s
        self._tls = _trust(name, ca_file) if origin.scheme == "https" else None
        hop = self.proxy or origin
        self._resolver = Resolver(hop.host, hop.port)
        self._is_failing = False

    @property
    def is_forwarded(self) -> bool:
        """Does a proxy read the requests, as it does without TLS?"""
        return self.proxy is not None and self._tls is None

    def close(self) -> None:
        self._resolver.close()

    async def dial(self) -> Connection:
        """A connection ready for a request. Raises UpstreamTimeout and UpstreamUnavailable."""
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._connect()
        except TimeoutError:
            self._report(f"no connection within {self._timeout_s:g} s")
            message = f"No connection to the model API within {self._timeout_s:g} s."
            raise UpstreamTimeout(message, was_sent=False) from None
        except OSError as error:
            self._report(str(error) or type(error).__name__)
            raise UpstreamUnavailable(_message(error)) from None
        self._is_failing = False
        return connection

    def _report(self, reason: str) -> None:
        """For the operator, once until it works again: clients are not told where the upstream lives."""
        if not self._is_failing:
            hop = f" by way of the proxy {self.proxy.host}:{self.proxy.port}" if self.proxy else ""
            log.warning("upstream %s, %s%s: %s", self._name, self._origin.authority, hop, reason)
        self._is_failing = True

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        sock = await self._socket(loop)
        connection = Connection(loop)
        if self.proxy is None:
            tls, name = self._tls, self._origin.host
        else:
            tls, name = (_system_trust() if self.proxy.is_tls else None), self.proxy.host
        server_hostname = name if tls else None
        if self.proxy is None or self.is_forwarded:
            await loop.create_connection(lambda: connection, sock=sock, ssl=tls, server_hostname=server_hostname)
            return connection
        tunnel = _Tunnel(loop)
        transport, _ = await loop.create_connection(lambda: tunnel, sock=sock, ssl=tls, server_hostname=server_hostname)
        try:
            await tunnel.open(self._origin.authority, self.proxy.authorization)
            assert self._tls is not None
            secured = await loop.start_tls(transport, connection, self._tls, server_hostname=self._origin.host)
        except BaseException:
            transport.abort()
            raise
        connection.connection_made(cast(asyncio.Transport, secured))
        return connection

    async def _socket(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        addresses = await self._resolver.addresses()
        try:
            sock = await start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S, interleave=1, loop=loop
            )
        except BaseException:
            self._resolver.forget()  # a failure may mean that the upstream has moved
            raise
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a model may think for minutes; its host may die
        return sock


class _Tunnel(asyncio.Protocol):
    """Asks a proxy to connect us through (RFC 9110, 9.3.6)."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._head = b""
        self._status: asyncio.Future[int] = loop.create_future()

    async def open(self, authority: str, authorization: str | None) -> None:
        credentials = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
        self._transport.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{credentials}\r\n".encode())
        status = await self._status
        if not 200 <= status <= 299:
            raise _ProxyRefused(f"the proxy refused with status {status}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if self._status.done() or not (end or len(self._head) > _MAX_PROXY_HEAD):
            return
        found = _PROXY_STATUS.match(head + b"\r")
        if not end or found is None or (rest and found[1].startswith(b"2")):  # nobody but us may speak first
            self._status.set_exception(_ProxyRefused("the proxy does not speak HTTP"))
        else:
            self._status.set_result(int(found[1]))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._status.done():
            self._status.set_exception(_ProxyRefused("the proxy closed the connection"))


def _message(error: OSError) -> str:
    """For the client: what happened, but neither names nor addresses."""
    match error:
        case socket.gaierror():
            return "The model API's host name could not be resolved."
        case ssl.SSLCertVerificationError():
            return "The model API's certificate could not be verified."
        case ssl.SSLError():
            return "No secure connection to the model API could be made."
        case _ProxyRefused():
            return "The proxy in front of the model API made no connection to it."
        case _:
            return "The model API could not be reached."


def _trust(name: str, ca_file: str | None) -> ssl.SSLContext:
    if ca_file is None:
        return _system_trust()
    try:
        return _context(ca_file)
    except OSError as error:  # ssl.SSLError is one: a file without certificates
        raise ConfigError([f"upstreams.{name}.ca_file: {ca_file} cannot be read: {error.strerror or error}"]) from None


@cache
def _system_trust() -> ssl.SSLContext:
    """One for all upstreams: reading a hundred root certificates takes some 20 ms."""
    return _context(None)


def _context(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.set_alpn_protocols(["http/1.1"])
    return context
