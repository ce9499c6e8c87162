"""The fast lane: the inference endpoints on a protocol of our own, on the same port and in front of aiohttp.

aiohttp's server costs two to three times what the whole pipeline does. The lane serves what it
fully understands: a POST of one of the inference endpoints in the one plain form that every SDK sends
(`http1.py`). Any other connection is handed to aiohttp with all bytes read so far, before anything of
the request was consumed, and stays aiohttp's. Both lanes lead to the same pipeline, and what is wrong
with a request is told by aiohttp alone, so that answers are the same.

    IDLE ──bytes──► HEAD ──empty line──► BODY ──all there──► SERVING ──answered──► IDLE
      │              │                    │                     │
      └──────────────┴── not ours: aiohttp └── too late: 408 ───┴── last answer: CLOSING

A request behind one that is being served waits in the buffer; when much has gathered there, reading
stops. Time-outs are swept together, at least once a second, instead of one timer for each wait.
"""

import asyncio
import logging
import math
import socket
from collections.abc import Callable, Iterable
from enum import Enum
from typing import cast

from gateway.errors import BodyTimeout, GatewayError, Overloaded
from gateway.exchange import Headers, Incoming
from gateway.server.http1 import Head, HeadReader, HeadWriter
from gateway.server.lane_client import LaneClient
from gateway.server.live import Live
from gateway.server.load import InFlight
from gateway.wire.endpoints import ENDPOINTS
from gateway.wire.errors import to_openai
from gateway.wire.headers import request_id

log = logging.getLogger(__name__)

_MB = 1 << 20
_MAX_AHEAD = 64 << 10
"""Bytes that may wait behind a request before reading stops. While it goes on, a client that leaves is noticed."""
_LINGER_S = 2.0
"""How long a client that is still sending gets to read a refusal: closing at once would reset what it has not read."""


class Phase(Enum):
    IDLE = "no byte of the next request is there"
    HEAD = "part of a head"
    BODY = "a head and part of its body"
    SERVING = "a request is being served"
    LINGERING = "refused; what still comes is thrown away"
    CLOSING = "the last bytes are on their way"


class Lane:
    """The connections of the traffic port that are not aiohttp's, and what they share."""

    def __init__(self, live: Live, in_flight: InFlight, make_other: Callable[[], asyncio.Protocol]) -> None:
        self.live = live
        self.server = live.gateway.config.server
        self.clock = live.gateway.clock
        self.in_flight = in_flight
        self.make_other = make_other
        self.reader = HeadReader(ENDPOINTS)
        self.writer = HeadWriter()
        self.max_body_bytes = int(self.server.max_body_mb * _MB)
        self.connections: set[Connection] = set()
        """Those whose transport is open or whose request is not done."""
        self.loop = asyncio.get_running_loop()
        self._empty: asyncio.Future[None] | None = None
        self._sweeping = self.loop.call_later(self._sweep_s(), self._sweep)

    def __call__(self) -> "Connection":
        """A new connection: the lane is what a listening socket makes its protocols with."""
        return Connection(self)

    def forget(self, connection: "Connection") -> None:
        self.connections.discard(connection)
        if self._empty is not None and not self.connections and not self._empty.done():
            self._empty.set_result(None)

    async def drain(self, timeout_s: float) -> None:
        """End: requests that have begun to arrive get `timeout_s` to be answered, idle connections close at once."""
        for connection in list(self.connections):
            connection.retire()
        if self.connections:
            self._empty = self.loop.create_future()
            await asyncio.wait([self._empty], timeout=timeout_s)
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        for connection in list(self.connections):
            connection.abort()
            connection.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sweeping.cancel()

    def _sweep_s(self) -> float:
        server = self.server
        waits = (server.header_timeout_s, server.body_timeout_s, server.write_timeout_s, server.keep_alive_s)
        return min(1.0, *(wait / 4 for wait in waits))

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in [each for each in self.connections if each.deadline <= now]:
            connection.overdue(now)
        self._sweeping = self.loop.call_later(self._sweep_s(), self._sweep)


class Connection(asyncio.Protocol):
    """One client's connection for as long as the lane has it."""

    __slots__ = (
        "_buffer",
        "_client",
        "_has_place",
        "_has_started",
        "_head",
        "_is_reading",
        "_lane",
        "_missing",
        "_parts",
        "_phase",
        "_received_s",
        "_room",
        "_stalled_since",
        "_transport",
        "_unsent",
        "deadline",
        "is_full",
        "task",
    )

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._transport: asyncio.Transport | None = None
        self._phase = Phase.IDLE
        self.deadline = math.inf
        """On the loop's clock: when the sweep is to look at this connection."""
        # ---- reading
        self._buffer = b""
        """Received, and of no request yet."""
        self._is_reading = True
        self._head: Head | None = None
        """Of the request that is arriving; None while one that was refused is thrown away."""
        self._received_s = 0.0
        self._parts: list[bytes] = []
        self._missing = 0
        """Bytes of the body that are still to come."""
        # ---- serving
        self.task: asyncio.Task[None] | None = None
        self._client: LaneClient | None = None
        self._has_started = False
        self._has_place = False
        """It is counted as in flight."""
        # ---- writing
        self.is_full = False
        self._room: asyncio.Future[None] | None = None
        self._stalled_since = 0.0
        self._unsent = 0

    # ------------------------------------------------------------------ what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if self._lane.in_flight.is_draining:
            self._transport.abort()
            return
        if (connected := transport.get_extra_info("socket")) is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # else a dead client is never noticed
        self._lane.connections.add(self)
        self._enter(Phase.IDLE, self._lane.server.keep_alive_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self.deadline = math.inf
        if self.task is not None:
            self.cancel()
        else:
            self._leave()

    def eof_received(self) -> None:
        """Nobody reads answers of ours any more, or so it is held on both lanes; the transport closes itself."""
        self.cancel()
        if self._transport is not None:
            self._watch_reader(self._transport, Phase.CLOSING)

    def data_received(self, data: bytes) -> None:
        if self._phase is Phase.LINGERING or self._phase is Phase.CLOSING:
            return
        if self._missing:
            self._take(data)
        else:
            self._buffer += data
        if self.task is None:
            self._advance()
        elif len(self._buffer) > _MAX_AHEAD and self._is_reading and self._transport is not None:
            self._transport.pause_reading()
            self._is_reading = False

    def pause_writing(self) -> None:
        """Also long after the last write: loops differ in when they find out."""
        self.is_full = True
        if self._phase in (Phase.IDLE, Phase.SERVING) and self._transport is not None:
            self._watch_reader(self._transport, self._phase)

    def resume_writing(self) -> None:
        self.is_full = False
        if self._phase is Phase.SERVING:
            self.deadline = math.inf
        elif self._phase is Phase.IDLE:
            self._enter(Phase.IDLE, self._lane.server.keep_alive_s)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    # ------------------------------------------------------------------ reading

    def _advance(self) -> None:
        """Go through the buffer until a request is being served or more bytes are needed."""
        while self._buffer and self.task is None and not self._missing and self._transport is not None:
            if not self._read_head():
                return

    def _read_head(self) -> bool:
        """Read the head at the front of the buffer and what is there of its body; False if there is none for us."""
        lane, buffer = self._lane, self._buffer
        end = buffer.find(b"\r\n\r\n") + 4
        if end < 4 and lane.reader.may_begin_with(buffer):
            if self._phase is Phase.IDLE:
                self._enter(Phase.HEAD, lane.server.header_timeout_s)
            return False
        head = lane.reader.read(buffer[:end]) if end >= 4 else None
        if head is None or head.length > lane.max_body_bytes:
            self._hand_over()
            return False
        self._received_s = lane.clock.monotonic()
        self._head, self._missing = head, head.length
        try:
            lane.in_flight.enter()
            self._has_place = True
        except Overloaded as error:
            self._head = None
            if not self._refuse(error, head.headers, closes=not head.keeps_alive):
                return False
        self._take(buffer[end:])
        return True

    def _take(self, data: bytes) -> None:
        """Part of a body, and maybe what comes behind it."""
        part, self._buffer = data[: self._missing], data[self._missing :]
        self._missing -= len(part)
        head = self._head
        if head is not None:
            self._parts.append(part)
        if self._missing:
            if self._phase is not Phase.BODY:
                self._enter(Phase.BODY, self._lane.server.body_timeout_s)
        elif head is not None:
            self._start(head)
        else:
            self._enter(Phase.IDLE, self._lane.server.keep_alive_s)

    def _hand_over(self) -> None:
        """This request and the rest of the connection are aiohttp's."""
        transport, other = self._transport, self._lane.make_other()
        assert transport is not None
        if self._lane.in_flight.is_draining:
            transport.abort()  # aiohttp takes nothing new any more
            return
        self._transport = None
        self._leave()
        transport.set_protocol(other)
        other.connection_made(transport)
        if self.is_full:
            other.pause_writing()  # it will be told of the resuming
        if not self._is_reading:
            transport.resume_reading()
        other.data_received(self._buffer)

    # ------------------------------------------------------------------ serving

    def _start(self, head: Head) -> None:
        parts, self._parts, self._head = self._parts, [], None
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        incoming = Incoming(request_id(head.headers), head.headers, body, self._received_s, head.derived)
        self._client = LaneClient(self, closes=self._is_last(head))
        self._phase, self.deadline = Phase.SERVING, math.inf
        if self.is_full and self._transport is not None:
            self._watch_reader(self._transport, Phase.SERVING)
        self._has_started = False
        self.task = self._lane.loop.create_task(self._serve(head, incoming, self._client))

    async def _serve(self, head: Head, incoming: Incoming, client: LaneClient) -> None:
        self._has_started = True
        try:
            gateway = self._lane.live.gateway
            with gateway.use:
                await gateway.pipeline.serve(head.endpoint, incoming, client)
        except Exception:
            log.exception("request %s failed inside the gateway", incoming.request_id)
        finally:
            self._served(client)

    def cancel(self) -> None:
        """Whatever is being done for this client is in vain."""
        if self.task is None or self._client is None:
            return
        self.task.cancel()
        if not self._has_started:  # then none of its code ever runs
            self._served(self._client)

    def _served(self, client: LaneClient) -> None:
        self.task = self._client = None
        self._give_up_place()
        transport = self._transport
        if transport is None:
            self._leave()
        elif not client.is_over:
            transport.abort()  # an answer that broke off must not look like a whole one
        elif client.closes or transport.is_closing():
            self._close(transport)
        else:
            self._enter(Phase.IDLE, self._lane.server.keep_alive_s)
            if self.is_full:
                self._watch_reader(transport, Phase.IDLE)
            if not self._is_reading:
                transport.resume_reading()
                self._is_reading = True
            self._advance()

    def _is_last(self, head: Head) -> bool:
        return not head.keeps_alive or self._lane.in_flight.is_draining

    def _refuse(self, error: GatewayError, headers: Headers, *, closes: bool) -> bool:
        """Answer in place of the pipeline, whatever of the request has still to come; False if nothing else may."""
        transport = self._transport
        assert transport is not None
        if self.is_full:
            transport.abort()  # it asks without end and reads nothing
            return False
        status, pairs, body = to_openai(error)
        pairs.append(("x-request-id", request_id(headers)))
        self.send(self.head(status, pairs, length=len(body), closes=closes), body)
        if closes:
            self._linger(transport)
        return not closes

    # ------------------------------------------------------------------ writing: what a LaneClient needs

    def head(self, status: int, headers: Iterable[tuple[str, str]], *, length: int | None, closes: bool) -> bytes:
        now = self._lane.clock.wall()
        return self._lane.writer.write(status, headers, length=length, closes=closes, now=now)

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, *parts: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        if len(parts) == 1:
            transport.write(parts[0])
        else:
            transport.writelines(parts)

    async def room(self) -> None:
        self._room = self._lane.loop.create_future()
        await self._room

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------------ time and ends

    def overdue(self, now: float) -> None:
        """The sweep found `deadline` reached."""
        transport = self._transport
        if transport is None:
            return
        match self._phase:
            case Phase.IDLE if not self.is_full:
                self._close(transport)
            case Phase.BODY if self._head is not None:
                self._refuse(BodyTimeout(self._lane.server.body_timeout_s), self._head.headers, closes=True)
            case Phase.IDLE | Phase.SERVING | Phase.CLOSING:
                self._check_reader(transport, now)
            case _:
                transport.abort()

    def retire(self) -> None:
        """The process is about to stop: finish what has begun and nothing more."""
        if self._client is not None:
            self._client.closes = True
        elif self._phase is Phase.IDLE and self._transport is not None:
            self._transport.abort()

    def _enter(self, phase: Phase, within_s: float) -> None:
        self._phase = phase
        self.deadline = self._lane.loop.time() + within_s

    def _close(self, transport: asyncio.Transport) -> None:
        """Close once all is sent, unless the client does not read it."""
        self._watch_reader(transport, Phase.CLOSING)
        transport.close()

    def _linger(self, transport: asyncio.Transport) -> None:
        self._missing, self._buffer, self._head = 0, b"", None
        if transport.can_write_eof():
            transport.write_eof()
            self._enter(Phase.LINGERING, _LINGER_S)
        else:
            self._close(transport)

    def _watch_reader(self, transport: asyncio.Transport, phase: Phase) -> None:
        """From now on the client has `write_timeout_s` to read on, each time."""
        self._phase = phase
        self.deadline = self._stalled_since = self._lane.loop.time()
        self._unsent = transport.get_write_buffer_size()

    def _check_reader(self, transport: asyncio.Transport, now: float) -> None:
        unsent = transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent, self._stalled_since = unsent, now
        elif now - self._stalled_since >= self._lane.server.write_timeout_s:
            transport.abort()

    def _give_up_place(self) -> None:
        if self._has_place:
            self._has_place = False
            self._lane.in_flight.leave()

    def _leave(self) -> None:
        self._give_up_place()
        self._lane.forget(self)
