"""A connection without sockets: a transport that keeps what is written, and a reader of what was written.

The transport behaves like asyncio's: what it tells its protocol comes in later turns of the loop, and
at random it claims that the client does not read for a while.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any


class MemoryTransport(asyncio.Transport):
    """`connect` it with a protocol, `feed` it with bytes, then `hang_up`."""

    def __init__(self, *, rng: Random, stalls: float = 0.0) -> None:
        super().__init__()
        self.written = bytearray()
        self.is_over = False
        """The protocol has been told of the end."""
        self.reconnected_at: int | None = None
        """How much had been written when another protocol took over."""
        self._rng = rng
        self._stalls = stalls
        self._is_stalled = False
        self._is_closing = False
        self._is_reading = True
        self._held: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def connect(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def feed(self, data: bytes) -> None:
        if not self._is_closing and data:
            self._held.append(data)
            self._deliver()

    def hang_up(self) -> None:
        """The client is gone."""
        if not self._is_closing:
            self._protocol.eof_received()
            self.close()

    def _deliver(self) -> None:
        while self._held and self._is_reading and not self._is_closing:
            self._protocol.data_received(self._held.pop(0))

    # ------------------------------------------------------------------ what protocols call

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol
        self.reconnected_at = len(self.written)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not isinstance(data, str)
        if self._is_closing:
            return
        self.written += data
        if self._rng.random() < self._stalls and not self._is_stalled:
            self._is_stalled = True
            self._protocol.pause_writing()
            self._loop.call_soon(self._loop.call_soon, self._read_on)

    def _read_on(self) -> None:
        self._is_stalled = False
        if not self.is_over:
            self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def pause_reading(self) -> None:
        assert self._is_reading
        self._is_reading = False

    def resume_reading(self) -> None:
        self._is_reading = True
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return self._is_reading

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._loop.call_soon(self._end)

    abort = close

    def _end(self) -> None:
        self.is_over = True
        self._protocol.connection_lost(None)


async def quiet(*transports: MemoryTransport, turns: int = 10) -> None:
    """Until nothing has been written for `turns` turns of the loop; fails after 10,000 turns."""
    left, before = turns, -1
    for _ in range(10_000):
        await asyncio.sleep(0)
        now = sum(len(transport.written) for transport in transports)
        left, before = (left - 1, now) if now == before else (turns, now)
        if not left:
            return
    raise AssertionError("it never comes to rest")


# ------------------------------------------------------------------ reading answers


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    is_whole: bool = True


_STATUS = re.compile(rb"HTTP/\d\.\d (\d{3}) [ -~]*")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([^\r\n\0]*)")


def answers(data: bytes) -> Iterator[Answer]:
    """The answers in `data`, interim ones left out; ValueError when these are not whole and clean HTTP/1.1.

    The last one may have been cut off, or end with the connection.
    """
    while data:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            raise ValueError(f"no head: {data[:80]!r}")
        first, *lines = head.split(b"\r\n")
        start = _STATUS.fullmatch(first)
        pairs = [_HEADER.fullmatch(line) for line in lines]
        if start is None or None in pairs:
            raise ValueError(f"not a head: {head[:200]!r}")
        headers = {pair[1].decode().lower(): pair[2].decode("latin-1") for pair in pairs if pair}
        if len(headers) != len(pairs):
            raise ValueError(f"a header stands twice: {head!r}")
        status = int(start[1])
        if status < 200:
            data = rest
            continue
        body, data, is_whole = _body(headers, rest)
        yield Answer(status, headers, body, is_whole)


def _body(headers: dict[str, str], rest: bytes) -> tuple[bytes, bytes, bool]:
    if "transfer-encoding" in headers:
        return _chunks(rest)
    length = int(headers["content-length"]) if "content-length" in headers else len(rest)
    return rest[:length], rest[length:], len(rest) >= length


def _chunks(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            return body, b"", False
        length = int(size, 16)
        body, end, rest = body + rest[:length], rest[length : length + 2], rest[length + 2 :]
        if len(end) == 2 and end != b"\r\n":
            raise ValueError(f"a chunk does not end where it says: {end!r}")
        if not length or len(end) < 2:
            return body, rest, not length
