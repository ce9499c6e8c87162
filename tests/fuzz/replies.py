"""Damaged answers through the upstream client: no crash, no hang, nobody gets another's answer.

    python -m tests.fuzz.replies [--count N] [--seed S]

First every answer of a corpus of good, odd and hostile ones, cut in two at each of its bytes and into
single bytes; then random damage, cut at random. Each is read twice, whole and in its pieces, and must
come to the same: status, headers, body, and whether it broke off. A second request is under way beside
it all the time, and a third follows on whatever connection is left; both must get what is theirs.
Afterwards nothing may be left: no task, no place in the pool. It ends with exit code 1 and the case at
the first that goes wrong.
"""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable, Iterator
from random import Random

from gateway.errors import BadRequest, UpstreamError
from gateway.upstream.http1 import Body, Connection
from gateway.upstream.pool import Pool
from gateway.upstream.reply import Reply
from tests.fuzz.cases import Case, command, cuts_everywhere, run_each
from tests.fuzz.corpus import damage
from tests.support.transport import FakeTransport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ZIPPED = gzip.compress(b"hello hello hello", mtime=0)
GOOD = (
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Type: application/json\r\nX-Empty:\r\nx-tag: \xc3\xa9 \xff\r\nContent-Length: 2\r\n\r\n{}",
    CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
    CHUNKED + b"A;a=b\r\n\r\n\r\n0\r\n\r\n\r\r\n0\r\n\r\n",
    OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    OK + b"Keep-Alive: timeout=5, max=100\r\nContent-Length: 1\r\n\r\nx",
    OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(ZIPPED), ZIPPED),
    OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(ZIPPED), ZIPPED),
)
ODD = (
    OK + b"\r\nhello",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    CHUNKED + b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + CHUNKED + b"0\r\n\r\n",
    b"\r\n" + OK + b"Content-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 5\r\n\r\nhello\r\n",
    OK + b"Content-Length: 5\r\n\r\nhello" * 2,
    (OK + b"Content-Length: 5\r\n\r\nhello") * 2,
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
)
HOSTILE = (
    OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Content-Length: 5, 5\r\n\r\nhello",
    OK + b"Content-Length: 99999999999999999999\r\n\r\nhello",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\nhello",
    CHUNKED + b"ffffffffffffffff1\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"5\nhello\n0\n\n",
    OK + b"X-A: b\n\nContent-Length: 5\r\n\r\nhello",
    OK + b"X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"X-A: b\0c\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 999 X\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello",
    OK + b"Content-Encoding: compress\r\nContent-Length: 5\r\n\r\nhello",
    b"\x15\x03\x01\x00\x02\x02\x46",
    b"SSH-2.0-OpenSSH_9.2\r\n",
)
CORPUS = (*GOOD, *ODD, *HOSTILE)


class Upstream:
    """Connections without sockets, and a pool of two of them."""

    def __init__(self) -> None:
        self.transports: dict[Connection, FakeTransport] = {}
        self.closed_replies = 0
        self.pool = Pool(self._dial, 2)
        self.pool.open()

    async def _dial(self) -> Connection:
        connection = Connection(asyncio.get_running_loop())
        self.transports[connection] = FakeTransport(connection)
        return connection

    async def ask(self, body: Body, *, is_head_request: bool = False) -> tuple[Reply, FakeTransport]:
        connection = self.pool.take() or await self.pool.acquire()
        reply = connection.ask(b"HEAD\r\n", body, is_head_request=is_head_request, on_close=self._closed)
        return reply, self.transports[connection]

    def _closed(self) -> None:
        self.closed_replies += 1


Outcome = tuple[int, list[tuple[str, str]], bytes, bool]
"""Status, headers, body, and whether it is whole."""


async def read(reply: Reply) -> Outcome:
    """The reply to its end or its failure; any failure but those of an upstream or of the request's body is a bug."""
    body = b""
    is_whole = False
    try:
        await reply.head()
        while chunk := await reply.next_chunk(30):
            body += chunk
        is_whole = True
    except (UpstreamError, BadRequest):
        pass
    finally:
        reply.close()
    headers = list(reply.headers.items()) if reply.status else []
    if not is_whole and "gzip" in {value.lower() for _, value in headers}:
        body = b""  # how much comes out of it before its fault shows is zlib's business
    return reply.status, headers, body, is_whole


def answer_of(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def is_answer_of(outcome: Outcome, body: bytes) -> bool:
    return outcome == (200, [("Content-Length", str(len(body)))], body, True)


async def outcome_of(pieces: list[bytes], seed: int) -> Outcome | None:
    """What the answer in `pieces` comes to; None where that is up to chance. AssertionError when it disturbs others."""
    rng = Random(seed)
    is_hasty, is_upload, is_head_request = (rng.random() < share for share in (0.05, 0.1, 0.05))
    upstream = Upstream()
    reply, transport = await upstream.ask(upload(rng) if is_upload else b"{}", is_head_request=is_head_request)
    other, others_transport = await upstream.ask(b"{}")
    others = answer_of(b"beside %d" % seed)
    cut = rng.randrange(len(others))
    reading = asyncio.ensure_future(read(reply)) if rng.random() < 0.5 else None
    others_transport.receive(others[:cut])
    for piece in pieces:
        transport.receive(piece)
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
    if is_hasty:
        await leave(reply, reading)
    else:
        reading = reading or asyncio.ensure_future(read(reply))
        for _ in range(5):
            await asyncio.sleep(0)
        if not reading.done():
            transport.receive_eof()
        await reading
    others_transport.receive(others[cut:])
    assert is_answer_of(await read(other), b"beside %d" % seed), "the request beside it did not get its answer"
    last, transport = await upstream.ask(b"{}")
    transport.receive(answer_of(b"last"))
    assert is_answer_of(await read(last), b"last"), "the request after it did not get its answer"
    await check_empty(upstream)
    return None if is_hasty or is_upload or reading is None else reading.result()


async def upload(rng: Random) -> AsyncIterator[bytes]:
    for _ in range(rng.randrange(5)):
        yield b"x"
        await asyncio.sleep(0)
    if rng.random() < 0.1:
        raise BadRequest("the client broke off")


async def leave(reply: Reply, reading: "asyncio.Future[Outcome] | None") -> None:
    if reading is not None:
        reading.cancel()
        await asyncio.wait([reading])
    reply.close()


async def check_empty(upstream: Upstream) -> None:
    assert upstream.closed_replies == 3, "a reply was not closed once"
    await upstream.pool.close()
    assert upstream.pool.size == 0, "places in the pool are lost"
    assert not any(connection.is_open for connection in upstream.transports), "connections are left open"
    if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(tasks, timeout=5)  # uploads that were cancelled a moment ago
        assert all(task.done() for task in tasks), f"tasks that nobody waits for: {tasks}"


async def run_case(case: Case) -> None:
    whole = await outcome_of([case.data], case.seed)
    pieces = await outcome_of(case.pieces(), case.seed)
    assert whole == pieces, f"whole: {whole}\nin pieces: {pieces}"


# ------------------------------------------------------------------ which cases


def at_random(seed: int, count: int) -> Iterator[Case]:
    rng = Random(seed)
    for _ in range(count):
        data = rng.choice(rng.choice((GOOD, GOOD, ODD, HOSTILE)))
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            data = damage(data, rng)
        cuts = tuple(rng.randrange(len(data) + 1) for _ in range(rng.choice((1, 1, 2, 5, 20))))
        yield Case(data, cuts, rng.randrange(1 << 32))


async def run(cases: Iterable[Case], total: int | None = None) -> int:
    return await run_each(cases, run_case, total=total)


if __name__ == "__main__":
    command(
        __doc__,
        run,
        first=list(cuts_everywhere(CORPUS)),
        at_random=at_random,
        count=200_000,
        well="each its own answer, nothing left behind",
    )
