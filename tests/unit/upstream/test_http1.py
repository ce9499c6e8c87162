import asyncio
import gzip
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.errors import BadRequest, UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from gateway.upstream.http1 import HIGH_WATER, MAX_BARREN, MAX_HEADERS, Body, Connection
from gateway.upstream.reply import Reply
from tests.support.transport import FakeTransport

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"


class Line:
    """One connection and who keeps it."""

    def __init__(self) -> None:
        self.released = 0
        self.closed_replies = 0
        self.is_lost = False
        self.connection = Connection(asyncio.get_running_loop())
        self.transport = FakeTransport(self.connection)
        self.connection.keeper = self

    def release(self, connection: Connection) -> None:
        self.released += 1

    def lost(self, connection: Connection) -> None:
        self.is_lost = True

    def ask(self, body: Body = b"{}", *, method: str = "POST", length: int | None = None, raw: bool = False) -> Reply:
        return self.connection.ask(
            b"HEAD\r\n",
            body,
            length=length,
            is_head_request=method == "HEAD",
            raw=raw,
            on_close=self._reply_closed,
        )

    def _reply_closed(self) -> None:
        self.closed_replies += 1


async def whole(reply: Reply) -> bytes:
    await reply.head()
    return await reply.read(1 << 30)


async def soon(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - a turn of the loop is all there is to wait for
            await asyncio.sleep(0)


def splits(data: bytes) -> Iterator[list[bytes]]:
    yield from ([data[:cut], data[cut:]] for cut in range(len(data)))
    yield [data[at : at + 1] for at in range(len(data))]


# ------------------------------------------------------------------ answers as they should be


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (HELLO, b"hello"),
        (CHUNKS, b"hello"),
        (CHUNKED + b'5;name="x"\r\nhello\r\n0\r\n\r\n', b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (CHUNKED + b"0\r\n\r\n", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + HELLO, b"hello"),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" + gzip.compress(b"hello", mtime=0), b"hello"),
    ],
)
async def test_an_answer_is_read_however_it_is_split_and_the_next_one_too(answer: bytes, body: bytes) -> None:
    for pieces in splits(answer):
        line = Line()
        first = line.ask()
        line.transport.receive(*pieces)
        assert await whole(first) == body
        assert line.released == 1
        second = line.ask()
        line.transport.receive(OK + b"Content-Length: 6\r\n\r\nsecond")
        assert await whole(second) == b"second"
        assert line.released == 2


@pytest.mark.parametrize(
    ("answer", "method", "body"),
    [
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", "POST", b"hello"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "POST", b"hello"),
        (OK + b"Content-Length: 5\r\n\r\n", "HEAD", b""),
        (OK + b"Content-Length: 5\r\n\r\nhello", "HEAD", b""),
        (CHUNKED + b"5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", "POST", b"hello"),
        (HELLO + b"x", "POST", b"hello"),
        (HELLO + b"\r\n", "POST", b"hello"),
        (HELLO + HELLO, "POST", b"hello"),
        (CHUNKS + b"\r\n", "POST", b"hello"),
        (CHUNKS + HELLO, "POST", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\nhello", "POST", b""),
        (b"HTTP/1.1 204 No Content\r\n\r\n\r\n", "POST", b""),
    ],
)
async def test_after_anything_odd_the_connection_serves_no_more(answer: bytes, method: str, body: bytes) -> None:
    line = Line()
    reply = line.ask(method=method)
    line.transport.receive(answer)
    assert await whole(reply) == body
    await soon(lambda: line.is_lost)
    assert line.released == 0


@pytest.mark.parametrize("head", [OK, b"HTTP/1.0 200 OK\r\n", OK + b"Connection: keep-alive\r\n"])
async def test_without_a_length_the_body_ends_with_the_connection(head: bytes) -> None:
    for pieces in splits(head + b"\r\nhello"):
        line = Line()
        reply = line.ask()
        line.transport.receive(*pieces)
        line.transport.receive_eof()
        assert await whole(reply) == b"hello"
        assert line.released == 0


async def test_a_header_may_hold_any_byte_and_stand_twice() -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(OK + b"X-A: \xc3\xa9\xff\r\nx-a: 2\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n")
    await reply.head()
    assert reply.status == 200
    assert reply.headers.getall("X-A") == ["é\udcff", "2"]
    assert reply.headers["x-empty"] == ""


@pytest.mark.parametrize(
    ("content_type", "is_stream"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json", False),
        ("", False),
    ],
)
async def test_an_event_stream_is_known_by_its_type(content_type: str, is_stream: bool) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(OK + b"Content-Type: %b\r\nContent-Length: 0\r\n\r\n" % content_type.encode())
    await reply.head()
    assert reply.is_event_stream is is_stream


# ------------------------------------------------------------------ answers as they must not be


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"Content-Length: 5, 5\r\n\r\nhello",
        OK + b"Content-Length: +5\r\n\r\nhello",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nhello",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        OK + b"Content-Encoding: compress\r\nContent-Length: 5\r\n\r\nhello",
        OK + b"X-A: b\nX-C: d\r\nContent-Length: 0\r\n\r\n",
        OK + b"X-A: b\r\n folded\r\nContent-Length: 0\r\n\r\n",
        OK + b"X-A : b\r\nContent-Length: 0\r\n\r\n",
        OK + b"X-A: b\0\r\nContent-Length: 0\r\n\r\n",
        OK + b"X-A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
)
async def test_a_head_that_is_not_proper_is_refused(answer: bytes) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(answer)
    with pytest.raises(UpstreamUnavailable, match=r"no proper HTTP/1\.1"):
        await whole(reply)
    await soon(lambda: line.is_lost)
    assert line.released == 0


@pytest.mark.parametrize(
    "body", [b"5\nhello\n0\n\n", b"-5\r\nhello", b"0x5\r\nhello", b"5\r\nhello!\r\n0\r\n\r\n", b"\r\n"]
)
async def test_chunks_that_are_not_proper_cut_the_answer(body: bytes) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(CHUNKED + b"3\r\nyes\r\n" + body)
    await reply.head()
    assert (await reply.next_chunk(None)).startswith(b"yes")
    with pytest.raises(UpstreamCut):
        await reply.next_chunk(None)
    await soon(lambda: line.is_lost)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", UpstreamUnavailable),
        (b"HTTP/1.1 200 OK\r\nContent-Le", UpstreamUnavailable),
        (b"HTTP/1.1 100 Continue\r\n\r\n", UpstreamUnavailable),
        (OK + b"Content-Length: 6\r\n\r\nhello", UpstreamCut),
        (CHUNKED + b"5\r\nhello\r\n", UpstreamCut),
        (CHUNKED + b"5\r\nhello\r\n0\r\n", UpstreamCut),
        (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"hello", mtime=0)[:-1], UpstreamCut),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", UpstreamCut),
    ],
)
@pytest.mark.parametrize("is_reset", [False, True])
async def test_an_answer_that_breaks_off_is_an_error(answer: bytes, error: type[UpstreamError], is_reset: bool) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(answer)
    if is_reset:
        line.transport.lose(ConnectionResetError())
    else:
        line.transport.receive_eof()
    with pytest.raises(error):
        await whole(reply)


async def test_a_body_without_a_length_is_not_whole_after_a_reset() -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(OK + b"\r\nhello")
    line.transport.lose(ConnectionResetError())
    await reply.head()
    assert await reply.next_chunk(None) == b"hello"
    with pytest.raises(UpstreamCut):
        await reply.next_chunk(None)


@pytest.mark.parametrize(
    ("start", "more"),
    [
        (OK, b"X-A: b\r\n"),
        (OK + b"X-A: ", b"b" * 1000),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (CHUNKED + b"5;", b"x" * 1000),
        (CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    ],
)
async def test_what_never_ends_is_ended(start: bytes, more: bytes) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(start)
    for _ in range(MAX_BARREN // len(more) + 2):
        line.transport.receive(more)
    with pytest.raises(UpstreamError):
        await whole(reply)
    await soon(lambda: line.is_lost)


async def test_bytes_nobody_asked_for_close_an_idle_connection() -> None:
    line = Line()
    line.transport.receive(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
    assert not line.connection.is_open
    await soon(lambda: line.is_lost)


# ------------------------------------------------------------------ giving up


@pytest.mark.parametrize("received", [b"", b"HTTP/1.1 20", CHUNKED, CHUNKED + b"3\r\nhel\r\n"])
async def test_a_reply_closed_before_its_end_takes_the_connection_with_it(received: bytes) -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(received)
    reply.close()
    reply.close()
    assert not line.connection.is_open
    assert (line.released, line.closed_replies) == (0, 1)


async def test_a_reply_closed_after_its_end_leaves_the_connection_to_others() -> None:
    line = Line()
    first = line.ask()
    line.transport.receive(HELLO)
    second = line.ask()
    first.close()
    line.transport.receive(HELLO)
    assert await whole(second) == b"hello"


async def test_a_cancelled_wait_disturbs_nobody() -> None:
    line = Line()
    reply = line.ask()
    waiting = asyncio.create_task(reply.head())
    await asyncio.sleep(0)
    waiting.cancel()
    line.transport.receive(HELLO)
    await asyncio.gather(waiting, return_exceptions=True)
    assert await whole(reply) == b"hello"


async def test_silence_is_a_timeout_after_which_one_may_wait_on() -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(CHUNKED)
    await reply.head()
    for idle_s in (0.02, 0.01, 0.03):
        with pytest.raises(UpstreamTimeout, match=f"nothing for {idle_s} s"):
            await reply.next_chunk(idle_s)
    line.transport.receive(b"3\r\nhel\r\n")
    assert await reply.next_chunk(5) == b"hel"


async def test_what_is_there_is_handed_over_without_waiting() -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(CHUNKS)
    for step in (reply.head(), reply.next_chunk(5), reply.next_chunk(5)):
        with pytest.raises(StopIteration):  # a coroutine that ends at once
            step.send(None)


# ------------------------------------------------------------------ limits


async def test_a_body_beyond_the_limit_is_refused() -> None:
    line = Line()
    reply = line.ask()
    line.transport.receive(HELLO)
    await reply.head()
    with pytest.raises(UpstreamUnavailable, match="larger than 4 bytes"):
        await reply.read(4)


async def test_a_slow_reader_stops_the_upstream() -> None:
    line = Line()
    reply = line.ask()
    block = b"x" * 100_000
    line.transport.receive(OK + b"Content-Length: 600000\r\n\r\n", block, block)
    assert not line.transport.is_reading_paused
    line.transport.receive(block)
    assert line.transport.is_reading_paused
    assert len(await reply.next_chunk(None)) == 300_000 > HIGH_WATER
    assert not line.transport.is_reading_paused
    line.transport.receive(block, block, block)
    assert await whole(reply) == block * 3
    assert (line.released, line.transport.is_reading_paused) == (1, False)


async def test_a_bomb_is_unpacked_only_as_far_as_it_is_read() -> None:
    bomb = gzip.compress(bytes(100_000_000))
    line = Line()
    reply = line.ask()
    line.transport.receive(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    await reply.head()
    with pytest.raises(UpstreamUnavailable, match="larger than"):
        await reply.read(1_000_000)


async def test_raw_leaves_compression_alone() -> None:
    packed = gzip.compress(b"hello")
    line = Line()
    reply = line.ask(raw=True)
    line.transport.receive(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed)
    assert await whole(reply) == packed


# ------------------------------------------------------------------ request bodies


async def pieces_of(*pieces: bytes | asyncio.Event | Exception) -> AsyncIterator[bytes]:
    for piece in pieces:
        if isinstance(piece, asyncio.Event):
            await piece.wait()
        elif isinstance(piece, Exception):
            raise piece
        else:
            yield piece


@pytest.mark.parametrize("size", [0, 2, 100_000])
async def test_a_body_goes_out_with_its_head(size: int) -> None:
    line = Line()
    line.ask(b"x" * size)
    assert line.transport.sent == b"HEAD\r\nContent-Length: %d\r\n\r\n%b" % (size, b"x" * size)


@pytest.mark.parametrize(
    ("length", "sent"),
    [
        (None, b"HEAD\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        (5, b"HEAD\r\nContent-Length: 5\r\n\r\nabcde"),
    ],
)
async def test_a_body_that_comes_in_pieces_goes_out_in_pieces(length: int | None, sent: bytes) -> None:
    line = Line()
    reply = line.ask(pieces_of(b"abc", b"", b"de"), length=length)
    await soon(lambda: line.transport.sent == sent)
    line.transport.receive(HELLO)
    assert await whole(reply) == b"hello"
    assert line.transport.sent == sent
    assert line.released == 1


async def test_a_request_without_a_body_is_its_head() -> None:
    line = Line()
    line.ask(None)
    assert line.transport.sent == b"HEAD\r\n\r\n"


async def test_a_slow_upstream_stops_the_body() -> None:
    line = Line()
    reply = line.ask(pieces_of(b"abc", b"def"))
    line.connection.pause_writing()
    await soon(lambda: line.transport.sent.endswith(b"abc\r\n"))
    for _ in range(10):
        await asyncio.sleep(0)
    assert line.transport.sent.endswith(b"abc\r\n")
    line.connection.resume_writing()
    await soon(lambda: line.transport.sent.endswith(b"3\r\ndef\r\n0\r\n\r\n"))
    line.transport.receive(HELLO)
    assert await whole(reply) == b"hello"


@pytest.mark.parametrize("status", [b"200", b"413"])
async def test_an_answer_may_overtake_the_body(status: bytes) -> None:
    never = asyncio.Event()
    line = Line()
    reply = line.ask(pieces_of(b"abc", never, b"def"))
    await soon(lambda: b"abc" in line.transport.sent)
    line.transport.receive(b"HTTP/1.1 %b X\r\nContent-Length: 5\r\n\r\nhello" % status)
    assert await whole(reply) == b"hello"
    assert reply.upload is not None
    assert reply.upload.done()
    await soon(lambda: line.is_lost)
    assert line.released == 0


async def test_nothing_more_is_sent_after_an_error_status() -> None:
    go_on = asyncio.Event()
    line = Line()
    reply = line.ask(pieces_of(b"abc", go_on, b"def"))
    await soon(lambda: b"abc" in line.transport.sent)
    line.transport.receive(b"HTTP/1.1 413 X\r\nContent-Length: 5\r\n\r\nhel")
    await reply.head()
    go_on.set()
    assert reply.upload is not None
    await reply.upload
    line.transport.receive(b"lo")
    assert await whole(reply) == b"hello"
    assert b"def" not in line.transport.sent
    assert line.released == 0


async def test_an_answer_to_a_body_still_in_the_buffer_ends_the_connection() -> None:
    line = Line()
    reply = line.ask(b"x" * 100_000)
    line.transport.unsent = 1
    line.transport.receive(HELLO)
    assert await whole(reply) == b"hello"
    assert (line.connection.is_open, line.released) == (False, 0)


@pytest.mark.parametrize(
    ("pieces", "length", "error"),
    [
        ([b"abc"], 4, BadRequest),
        ([b"abc"], 2, BadRequest),
        ([b"abc", ConnectionResetError()], None, ConnectionResetError),
        ([b"abc", BadRequest("too slow")], None, BadRequest),
        ([b"abc", ValueError()], None, BadRequest),
    ],
)
async def test_a_body_that_fails_fails_the_request(
    pieces: list[bytes | Exception], length: int | None, error: type[Exception]
) -> None:
    line = Line()
    reply = line.ask(pieces_of(*pieces), length=length)
    with pytest.raises(error):
        await reply.head()
    assert not line.connection.is_open


async def test_a_body_whose_upstream_goes_is_not_sent_on() -> None:
    go_on = asyncio.Event()
    line = Line()
    reply = line.ask(pieces_of(b"abc", go_on, b"def"))
    await soon(lambda: b"abc" in line.transport.sent)
    line.transport.receive_eof()
    with pytest.raises(UpstreamUnavailable):
        await reply.head()
    reply.close()
    assert reply.upload is not None
    await asyncio.wait([reply.upload])
    assert b"def" not in line.transport.sent
