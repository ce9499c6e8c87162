"""The fast lane's side of the seam: how its requests are answered."""

from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.server.http1 import has_body

_COPIED = 16 << 10
"""Bytes up to which a piece is copied behind its framing, which is cheaper than handing over several buffers."""

Pairs = Iterable[tuple[str, str]]


class Line(Protocol):
    """What an answer needs of the connection it goes out on."""

    is_full: bool
    """The client has not read what was sent: wait for `room` before sending more."""

    def head(self, status: int, headers: Pairs, *, length: int | None, closes: bool) -> bytes: ...

    @property
    def is_open(self) -> bool: ...

    def send(self, *parts: bytes) -> None:
        """Raises ConnectionError when the client is gone."""
        ...

    async def room(self) -> None: ...

    def abort(self) -> None: ...


class LaneClient:
    """The `Client` behind one request. It can only be answered once, whatever still holds on to it."""

    __slots__ = ("_head", "_line", "closes", "is_over")

    def __init__(self, line: Line, *, closes: bool) -> None:
        self._line = line
        self._head = b""
        self.closes = closes
        """The connection ends with this answer."""
        self.is_over = False
        """The answer is complete, as far as we are concerned."""

    async def answer(self, status: int, headers: Pairs, body: bytes) -> None:
        head = self._line.head(status, headers, length=len(body), closes=self.closes)
        if not has_body(status):
            await self._send(head)
        elif len(body) <= _COPIED:
            await self._send(head + body)
        else:
            await self._send(head, body)
        self.is_over = True

    async def begin(self, status: int, headers: Pairs) -> None:
        """The head leaves with the first piece."""
        self._head = self._line.head(status, headers, length=None, closes=self.closes)

    async def write(self, data: bytes) -> None:
        if data:  # a chunk of no bytes would end the body
            await self._send(*self._chunk(data))

    @property
    def push(self) -> Callable[[bytes], None] | None:
        line = self._line
        return None if self.is_over or line.is_full or not line.is_open else self._push

    def _push(self, data: bytes) -> None:
        if data:
            self._line.send(*self._chunk(data))

    def _chunk(self, data: bytes) -> tuple[bytes, ...]:
        """`data` framed, behind the head if that has not left yet."""
        head, self._head = self._head, b""
        if len(data) <= _COPIED:
            return (b"%b%x\r\n%b\r\n" % (head, len(data), data),)
        return b"%b%x\r\n" % (head, len(data)), data, b"\r\n"

    async def end(self) -> None:
        head, self._head = self._head, b""
        await self._send(head + b"0\r\n\r\n")
        self.is_over = True

    def abort(self) -> None:
        self._line.abort()

    async def _send(self, *parts: bytes) -> None:
        line = self._line
        if self.is_over:
            raise ConnectionResetError("this answer is over")
        line.send(*parts)
        if line.is_full:
            await line.room()
