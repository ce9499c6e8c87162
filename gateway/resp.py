"""One connection to a Redis server: commands out, answers in, in the same order.

The wire half of `kv.py`, which decides when to connect, what a silence means and what callers see.
Commands cost so little here because nothing is done for each but a place in a queue: they are packed
as they come, leave together, and their answers are parsed by hiredis as they arrive.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

Arg = str | bytes | int

_MORE = object()
"""What hiredis says when an answer is not there in full."""


_packed = cast(Callable[[tuple[Arg, ...]], bytes], hiredis.pack_command)  # its stub knows tuples of one only


class Refused(Exception):
    """The server's own error answer: it did not do what it was asked."""


class ScriptMissing(Refused):
    """EVALSHA of a script that the server does not know."""


def _refused(text: str) -> Refused:
    return ScriptMissing(text) if text.startswith("NOSCRIPT") else Refused(text)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is, and how it is spoken to."""

    host: str
    """Empty where `path` names a socket."""
    port: int
    path: str
    username: str | None
    password: str | None
    database: int
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        """For the log: no secrets."""
        return f"{self.host}:{self.port}" if self.host else self.path

    @classmethod
    def parse(cls, url: str) -> "Address":
        """redis://, rediss:// or unix://, options as redis-py has them. Raises ValueError, which may hold secrets."""
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
        is_socket = parts.scheme == "unix"
        if parts.scheme not in ("redis", "rediss", "unix") or is_socket is bool(parts.hostname):
            raise ValueError("no address")
        database = options.pop("db", "" if is_socket else parts.path.strip("/")) or "0"
        tls = _tls(options) if parts.scheme == "rediss" else None
        if options:
            raise ValueError("unknown options")
        return cls(
            host=parts.hostname or "",
            port=parts.port or 6379,
            path=unquote(parts.path) if is_socket else "",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            database=int(database),
            tls=tls,
        )


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    """Takes what concerns TLS out of `options`. Certificates are verified unless that is turned off there."""
    context = ssl.create_default_context(cafile=options.pop("ssl_ca_certs", None))
    if certificate := options.pop("ssl_certfile", None):
        context.load_cert_chain(certificate, options.pop("ssl_keyfile", None))
    demand = options.pop("ssl_cert_reqs", "required")
    if options.pop("ssl_check_hostname", "true").lower() == "false" or demand == "none":
        context.check_hostname = False
    context.verify_mode = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}[demand]
    return context


class Connection(asyncio.Protocol):
    """Made by `connect`. Answers go to the futures given with the commands: a value, or a Refused as a value.

    `on_lost` is told once that no more answers will come, and why. It ends the futures that wait, with an
    exception as their value.
    """

    def __init__(self, on_lost: Callable[["Connection", Exception], None]) -> None:
        self._on_lost: Callable[[Connection, Exception], None] | None = on_lost
        self._reader = hiredis.Reader(replyError=_refused, notEnoughData=_MORE)
        self._transport: asyncio.Transport | None = None
        self.waiting: deque[asyncio.Future[object]] = deque()
        """In the order of their commands."""
        self.answered = 0
        """Commands so far."""

    def send(self, commands: Iterable[tuple[Arg, ...]], replies: Iterable[asyncio.Future[object]]) -> None:
        """All of `commands` in one write."""
        assert self._transport is not None
        self.waiting.extend(replies)
        self._transport.write(b"".join([_packed(command) for command in commands]))

    def close(self) -> None:
        """No answer that is still on its way reaches anybody."""
        self._on_lost = None
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self.waiting
        reader.feed(data)
        try:
            while (answer := reader.gets()) is not _MORE:
                reply = waiting.popleft()
                self.answered += 1
                if not reply.done():  # its caller may have been cancelled
                    reply.set_result(answer)
        except (hiredis.ProtocolError, IndexError) as error:
            self.connection_lost(ConnectionError(f"what came is no answer of a Redis server ({error})"))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        on_lost, self._on_lost = self._on_lost, None
        if on_lost is not None:
            on_lost(self, exc or ConnectionError("the server closed the connection"))


async def connect(address: Address, on_lost: Callable[[Connection, Exception], None]) -> Connection:
    """A connection that is logged in. Raises OSError or Refused; the caller bounds the time."""
    loop = asyncio.get_running_loop()
    made: Any
    if address.host:
        made = await loop.create_connection(lambda: Connection(on_lost), address.host, address.port, ssl=address.tls)
    else:
        made = await loop.create_unix_connection(lambda: Connection(on_lost), address.path)
    connection: Connection = made[1]
    try:
        for command in _greeting(address):
            reply: asyncio.Future[object] = loop.create_future()
            connection.send([command], [reply])
            answer = await reply
            if isinstance(answer, Exception):
                raise answer
    except BaseException:
        connection.close()
        raise
    return connection


def _greeting(address: Address) -> Iterable[tuple[Arg, ...]]:
    if address.password is not None:
        names = () if address.username is None else (address.username,)
        yield ("AUTH", *names, address.password)
    if address.database:
        yield ("SELECT", address.database)
