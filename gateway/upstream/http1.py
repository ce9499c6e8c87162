"""One HTTP/1.1 connection to an upstream: a request out, its reply in, nothing else.

    idle ── ask ──► asked ── head ──► answering ── end ──► idle, back to its keeper
                      │                   │         │
                      └───────────────────┴─────────┴── anything odd ──► closed

It serves one request at a time, and another one only after a reply that was beyond doubt: framed by
a length or by chunks, there to its last byte, nothing after it, and the request sent whole. Whoever
gives up on a reply gives up the connection.

The parser is llhttp (httptools). It refuses by itself both lengths at once, a length given twice,
bare line feeds, folded headers, control characters and wrong chunk sizes; what it lets pass is
refused here.
"""

import asyncio
import select
from collections.abc import AsyncIterable, Callable
from typing import Protocol, cast

import httptools
from multidict import CIMultiDict, istr

from gateway.errors import BadRequest, GatewayError, UpstreamCut, UpstreamError, UpstreamInvalid, UpstreamUnavailable
from gateway.exchange import Headers
from gateway.upstream.decode import Decoder, decoder_for
from gateway.upstream.reply import Reply

HIGH_WATER = 1 << 18
"""Bytes of a reply nobody has taken yet, from which on nothing more is read. One read of as many may come on top."""
KEEP_ALIVE_S = 55.0
"""Idle connections are kept so long: many servers and balancers close theirs after 60 s, without a word to us."""
_MARGIN_S = 1.0
"""Left off an upstream's own announcement of how long it keeps a connection: its clock began to run before ours."""
MAX_HEADERS = 256
MAX_BARREN = 1 << 16
"""Bytes in a row that bring neither the head nor any of the body: endless heads, interim answers, trailers."""
_ONE_WRITE = 1 << 16
"""Head and body are joined up to this size; beyond it the copy costs more than a second buffer."""
_PEEK_AFTER_S = 1.0
"""Idle for so long, a connection may have been closed by the peer within a turn of the loop that is not over yet."""

_CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
_CONTENT_ENCODING = istr("Content-Encoding")
_CONTENT_LENGTH = istr("Content-Length")
_KEEP_ALIVE = istr("Keep-Alive")
_TRANSFER_ENCODING = istr("Transfer-Encoding")

Body = bytes | AsyncIterable[bytes] | None


class Keeper(Protocol):
    """Who has the connection between requests."""

    def release(self, connection: "Connection") -> None:
        """Its reply is in; it may serve another request."""
        ...

    def lost(self, connection: "Connection") -> None:
        """It is closed, whoever closed it."""
        ...


class _Refused(Exception):
    """Raised in the parser's callbacks to stop it; says what is wrong."""


class Connection(asyncio.Protocol):
    """Connected by `connection_made`; belongs to `keeper` from the moment that is set."""

    __slots__ = (
        "_barren",
        "_fields",
        "_is_chunked",
        "_is_head_request",
        "_is_interim",
        "_is_over",
        "_is_raw",
        "_is_sent",
        "_keeps_alive",
        "_loop",
        "_parser",
        "_parts",
        "_reply",
        "_transport",
        "_until_close",
        "_writable",
        "idle_since",
        "keep_s",
        "keeper",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.keeper: Keeper | None = None
        self.idle_since = 0.0
        self.keep_s = KEEP_ALIVE_S
        """How long it may be idle."""
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._reply: Reply | None = None
        self._writable: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------ between requests

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def is_fresh(self, idle_s: float) -> bool:
        """Can it take a request after being idle so long, as far as that can be known without sending one?"""
        transport = self._transport
        if transport is None or transport.is_closing() or idle_s >= self.keep_s:
            return False
        return idle_s < _PEEK_AFTER_S or not self._has_input()

    def _has_input(self) -> bool:
        """Does the socket hold anything unread? On an idle connection that is its end, or bytes nobody asked for."""
        assert self._transport is not None
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    # ------------------------------------------------------------------ a request

    def ask(
        self,
        head: bytes,
        body: Body,
        *,
        length: int | None = None,
        is_head_request: bool = False,
        raw: bool = False,
        on_close: Callable[[], None],
    ) -> Reply:
        """Send a request; wait for the answer's head with `Reply.head()`.

        `head` lacks the lines that frame the body, and the empty one: an iterable is sent in chunks, or
        plain if its `length` is known. `raw` leaves a compressed answer as it is.
        """
        assert self._reply is None, "one request at a time"
        assert self._transport is not None
        self._reply = reply = Reply(self._loop, self, on_close)
        self._parts = reply.parts
        self._fields: list[tuple[str, str]] = []
        self._barren = 0
        self._is_head_request = is_head_request
        self._is_interim = False
        self._is_over = False
        self._is_raw = raw
        self._is_sent = True
        if body is None:
            self._transport.write(head + b"\r\n")
        elif not isinstance(body, bytes):
            self._is_sent = False
            self._transport.write(head + (_CHUNKED if length is None else b"Content-Length: %d\r\n\r\n" % length))
            reply.upload = self._loop.create_task(self._send(reply, body, length), name="request body")
        elif len(body) <= _ONE_WRITE:
            self._transport.write(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
        else:
            self._is_sent = False  # known only when the answer is there
            self._transport.writelines((b"%bContent-Length: %d\r\n\r\n" % (head, len(body)), body))
        return reply

    async def _send(self, reply: Reply, body: AsyncIterable[bytes], length: int | None) -> None:
        """Send `body` until it ends or the answer does; a failure of its source becomes the reply's."""
        left = length
        try:
            async for piece in body:
                if self._reply is not reply or reply.status >= 400:
                    return  # an error that comes this early wants no more (RFC 9112, 9.5)
                assert self._transport is not None
                if left is not None:
                    left -= len(piece)
                    if left < 0:
                        raise BadRequest("The request body is longer than its Content-Length.")
                    self._transport.write(piece)
                elif piece:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                if self._writable is not None:
                    await self._writable
            if left:
                raise BadRequest("The request body is shorter than its Content-Length.")
            if self._reply is reply:
                assert self._transport is not None
                if length is None:
                    self._transport.write(b"0\r\n\r\n")
                self._is_sent = True
        except (GatewayError, ConnectionError) as error:
            self._break_off(error)
        except Exception:  # whatever its source is
            self._break_off(BadRequest("The request body broke off before its end."))

    # ------------------------------------------------------------------ what the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None:  # nothing was asked: whatever this is, no request of ours may get it
            self.abort()
            return
        parts_before, status_before = len(self._parts), reply.status
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_over:
                self._refuse(_reason(error))
                return
            self._keeps_alive = False  # the answer is complete, but there is more
        if self._is_over:
            self._conclude(reply, data)
        elif len(self._parts) != parts_before or reply.status != status_before:
            self._barren = 0
            reply.size += len(data)
            if reply.size > HIGH_WATER:
                self._hold(reply)
            reply.arrived()
        else:
            self._barren += len(data)
            if self._barren > MAX_BARREN:
                self._refuse("its head or framing does not end")

    def eof_received(self) -> None:
        self._input_ended(is_clean=True)
        self.abort()  # or a request not yet sent would keep it open

    def connection_lost(self, exc: Exception | None) -> None:
        self._input_ended(is_clean=exc is None)
        self._transport = None
        del self._parser  # it holds our callbacks: a circle that would wait for the garbage collector
        self.resume_writing()
        if self.keeper is not None:
            self.keeper.lost(self)

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # ------------------------------------------------------------------ what the parser tells

    def on_message_begin(self) -> None:
        if self._is_over:
            raise _Refused("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.decode(), value.decode("utf-8", "surrogateescape")))  # as it is encoded again

    def on_headers_complete(self) -> None:
        parser = self._parser
        status = parser.get_status_code()
        if 100 <= status <= 199 and status != 101:
            self._is_interim = True
            return
        version = parser.get_http_version()
        if not 200 <= status <= 599 or version not in ("1.1", "1.0"):
            raise _Refused(f"status {status} in HTTP/{version}")
        if len(self._fields) > MAX_HEADERS:
            raise _Refused(f"more than {MAX_HEADERS} headers")
        headers = CIMultiDict(self._fields)
        self._keeps_alive = parser.should_keep_alive()
        if _KEEP_ALIVE in headers:
            self.keep_s = _keep_s(headers[_KEEP_ALIVE])
        has_body = self._frame(status, version, headers)
        assert self._reply is not None
        self._reply.begin(status, headers, self._decoder(headers) if has_body and not self._is_raw else None)

    def on_body(self, part: bytes) -> None:
        if self._is_over:
            raise _Refused("a body where there is none")
        self._parts.append(part)

    def on_message_complete(self) -> None:
        if self._is_interim:
            self._is_interim = False
            self._fields = []
        else:
            self._is_over = True

    def _frame(self, status: int, version: str, headers: Headers) -> bool:
        """Find out where the body ends (RFC 9112, 6.3); False if there is none."""
        codings = headers.getall(_TRANSFER_ENCODING, None)
        self._is_chunked = codings is not None
        if codings is not None and (version != "1.1" or [coding.lower() for coding in codings] != ["chunked"]):
            raise _Refused("a Transfer-Encoding other than chunked")
        if self._is_head_request:
            self._is_over = True
            self._keeps_alive = False  # llhttp cannot be told that no body follows, whatever the head says
        has_body = not (self._is_head_request or status in (204, 304))
        self._until_close = has_body and codings is None and _CONTENT_LENGTH not in headers
        return has_body

    def _decoder(self, headers: Headers) -> Decoder | None:
        coding = headers.get(_CONTENT_ENCODING)
        if coding is None or coding.strip().lower() in ("", "identity"):
            return None
        decoder = decoder_for(coding)
        if decoder is None:
            raise _Refused("a Content-Encoding that was not asked for and is not known")
        return decoder

    # ------------------------------------------------------------------ how a reply ends

    def _conclude(self, reply: Reply, data: bytes) -> None:
        """The reply is complete, `data` being the last that was received."""
        assert self._transport is not None
        is_sent = self._is_sent or (reply.upload is None and not self._transport.get_write_buffer_size())
        may_serve_again = self._keeps_alive and is_sent and self._ends_with_the_message(data)
        self._reply = None
        reply.end()
        if may_serve_again and self.keeper is not None:
            if reply.is_held:
                self._transport.resume_reading()
            self.keeper.release(self)
        else:
            self.abort()

    def _ends_with_the_message(self, data: bytes) -> bool:
        """Is the last byte received the message's last?

        llhttp complains about most of what might follow, but skips empty lines. When in doubt, as
        after trailers, the answer is no.
        """
        if self._is_chunked:
            return b"0\r\n\r\n".endswith(data[-5:])
        if self._parts:
            return data.endswith(self._parts[-1])
        return b"\r\n\r\n".endswith(data[-4:]) and data[-6:-4] != b"\r\n"

    def _input_ended(self, *, is_clean: bool) -> None:
        reply = self._reply
        if reply is not None and reply.status and self._until_close and is_clean:
            self._reply = None
            reply.end()
        else:
            self._fail(UpstreamUnavailable("The model API closed the connection unanswered."))

    def _refuse(self, reason: str) -> None:
        self._fail(UpstreamInvalid(f"The model API's answer is no proper HTTP/1.1: {reason}."))
        self.abort()

    def _hold(self, reply: Reply) -> None:
        if self.is_open and not reply.is_held:
            assert self._transport is not None
            self._transport.pause_reading()
            reply.is_held = True

    def resume(self) -> None:
        """The reply has room again."""
        if self.is_open:
            assert self._transport is not None
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once; a reply that is not complete fails."""
        self._fail(UpstreamUnavailable("The model API's answer was not waited for."))
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: UpstreamError) -> None:
        """End the reply, if there is one, with `error`; once its head is there, it is a cut whatever the cause."""
        if self._reply is None:
            return
        if not self._reply.status:
            self._break_off(error)
        elif isinstance(error, UpstreamInvalid):
            self._break_off(UpstreamCut(error.message))
        else:
            self._break_off(UpstreamCut("The model API broke off its answer."))

    def _break_off(self, error: Exception) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.fail(error)
            self.abort()


def _keep_s(announced: str) -> float:
    """How long to keep a connection of which the upstream says `timeout=5, max=100`, as Node and others do."""
    for parameter in announced.split(","):
        name, _, seconds = parameter.strip().partition("=")
        if name.lower() == "timeout" and seconds.isascii() and seconds.isdigit() and len(seconds) < 8:
            return min(KEEP_ALIVE_S, float(seconds) - _MARGIN_S)
    return KEEP_ALIVE_S


def _reason(error: Exception) -> str:
    """What the parser, or we within it, had against the answer; never what was in it."""
    if isinstance(error.__context__, _Refused):
        return str(error.__context__)
    if isinstance(error, httptools.HttpParserUpgrade):
        return "it changes the protocol"
    return str(error)
