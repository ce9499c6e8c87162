import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamBusy, UpstreamTimeout, UpstreamUnavailable
from gateway.upstream.http1 import KEEP_ALIVE_S, Connection
from gateway.upstream.pool import Pool
from gateway.upstream.reply import Reply
from tests.support.transport import FakeTransport

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Upstream:
    """What is dialled: connects at once, or when `may_connect` is set."""

    def __init__(self) -> None:
        self.transports: dict[Connection, FakeTransport] = {}
        self.may_connect = asyncio.Event()
        self.may_connect.set()
        self.error: Exception | None = None

    async def dial(self) -> Connection:
        await self.may_connect.wait()
        if self.error is not None:
            raise self.error
        connection = Connection(asyncio.get_running_loop())
        self.transports[connection] = FakeTransport(connection)
        return connection

    def answer(self, connection: Connection, data: bytes = HELLO) -> None:
        self.transports[connection].receive(data)


def ask(connection: Connection) -> Reply:
    return connection.ask(b"HEAD\r\n", None, on_close=lambda: None)


@pytest.fixture
async def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def pool(upstream: Upstream) -> AsyncIterator[Pool]:
    """For two connections, and two who wait."""
    pool = Pool(upstream.dial, 2)
    pool.open()
    yield pool
    await pool.close()
    assert (pool.size, pool.waiting) == (0, 0)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def waiting_for(pool: Pool) -> asyncio.Task[Connection]:
    task = asyncio.create_task(pool.acquire())
    await turns()
    return task


async def test_a_connection_is_used_again(pool: Pool, upstream: Upstream) -> None:
    assert pool.take() is None
    first = await pool.acquire()
    ask(first)
    assert pool.take() is None
    upstream.answer(first)
    assert pool.take() is first
    assert pool.take() is None
    assert pool.size == 1


async def test_the_last_used_comes_first(pool: Pool, upstream: Upstream) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    for connection in (second, first):
        ask(connection)
        upstream.answer(connection)
    assert [pool.take(), pool.take()] == [first, second]


async def test_whoever_waits_gets_the_next_connection_in_turn(pool: Pool, upstream: Upstream) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    ask(first), ask(second)
    one, other = await waiting_for(pool), await waiting_for(pool)
    assert pool.waiting == 2
    upstream.answer(second)
    assert pool.take() is None  # it is on its way to the one who waited
    assert await one is second
    assert not other.done()
    upstream.answer(first)
    assert await other is first
    assert len(upstream.transports) == 2


async def test_whoever_waits_takes_the_place_of_a_lost_connection(pool: Pool, upstream: Upstream) -> None:
    first, second = await pool.acquire(), await pool.acquire()
    one = await waiting_for(pool)
    first.abort()
    assert await one not in (first, second)
    assert pool.size == 2


async def test_the_line_has_an_end(pool: Pool) -> None:
    await pool.acquire(), await pool.acquire()
    one, other = await waiting_for(pool), await waiting_for(pool)
    with pytest.raises(UpstreamUnavailable, match="Too many"):
        await pool.acquire()
    one.cancel()
    await turns()
    assert pool.waiting == 1
    last = await waiting_for(pool)
    assert pool.waiting == 2
    other.cancel(), last.cancel()
    await turns()


@pytest.mark.parametrize("is_place", [False, True])
async def test_what_comes_for_one_who_has_just_left_goes_to_the_next(
    pool: Pool, upstream: Upstream, is_place: bool
) -> None:
    first, _ = await pool.acquire(), await pool.acquire()
    ask(first)
    one, other = await waiting_for(pool), await waiting_for(pool)
    if is_place:
        upstream.transports[first].lose(None)
    else:
        upstream.answer(first)
    one.cancel()  # in the same turn of the loop
    got = await other
    assert (got is first) is not is_place
    assert one.cancelled()
    assert pool.size == 2


async def test_what_comes_for_one_who_has_just_left_is_kept(pool: Pool, upstream: Upstream) -> None:
    first, _ = await pool.acquire(), await pool.acquire()
    ask(first)
    one = await waiting_for(pool)
    upstream.answer(first)
    one.cancel()
    await turns()
    assert pool.take() is first


async def test_a_connection_lost_on_its_way_is_replaced(pool: Pool, upstream: Upstream) -> None:
    first, _ = await pool.acquire(), await pool.acquire()
    ask(first)
    one = await waiting_for(pool)
    upstream.answer(first)
    upstream.transports[first].lose(None)
    got = await one
    assert got is not first
    assert got.is_open
    assert pool.size == 2


@pytest.mark.parametrize("error", [UpstreamUnavailable("no"), UpstreamTimeout("late", was_sent=False)])
async def test_a_place_is_free_again_when_dialling_fails(pool: Pool, upstream: Upstream, error: Exception) -> None:
    upstream.error = error
    for _ in range(3):
        with pytest.raises(type(error)):
            await pool.acquire()
    assert pool.size == 0


async def test_a_place_is_free_again_when_dialling_is_cancelled(pool: Pool, upstream: Upstream) -> None:
    upstream.may_connect.clear()
    one, other, third = await waiting_for(pool), await waiting_for(pool), await waiting_for(pool)
    assert (pool.size, pool.waiting) == (2, 1)
    one.cancel()
    await turns()
    assert (pool.size, pool.waiting) == (2, 0)
    upstream.may_connect.set()
    assert await other is not await third


async def test_more_never_connect_than_may(pool: Pool, upstream: Upstream) -> None:
    upstream.may_connect.clear()
    tasks = [asyncio.create_task(pool.acquire()) for _ in range(4)]
    await turns()
    upstream.may_connect.set()
    await turns()
    assert len(upstream.transports) == 2
    for connection in list(upstream.transports):
        connection.abort()
    await asyncio.gather(*tasks)
    assert (len(upstream.transports), pool.size) == (4, 2)


async def test_an_idle_connection_that_the_upstream_closes_is_gone(pool: Pool, upstream: Upstream) -> None:
    first = await pool.acquire()
    ask(first)
    upstream.answer(first)
    upstream.transports[first].receive_eof()
    assert pool.take() is None
    await turns()
    assert pool.size == 0


@pytest.mark.parametrize(
    ("header", "idle_s", "is_kept"),
    [
        (b"", KEEP_ALIVE_S - 1, True),
        (b"", KEEP_ALIVE_S + 1, False),
        (b"Keep-Alive: timeout=5\r\n", 3, True),
        (b"Keep-Alive: timeout=5, max=100\r\n", 4.5, False),
        (b"Keep-Alive: timeout=1\r\n", 0, False),
        (b"Keep-Alive: timeout=x\r\n", 3, True),
        (b"Keep-Alive: timeout=300\r\n", KEEP_ALIVE_S + 1, False),
    ],
)
async def test_an_idle_connection_is_kept_for_its_time(
    pool: Pool, upstream: Upstream, header: bytes, idle_s: float, is_kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Connection, "_has_input", lambda _: False)  # there is no socket to look into
    first = await pool.acquire()
    ask(first)
    upstream.answer(first, HELLO.replace(b"Content", header + b"Content", 1))
    first.idle_since -= idle_s
    assert (pool.take() is first) is is_kept


async def test_the_sweeper_closes_what_is_past_its_time(
    pool: Pool, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.pool.SWEEP_S", 0.001)
    first, second = await pool.acquire(), await pool.acquire()
    for connection in (first, second):
        ask(connection)
        upstream.answer(connection)
    first.idle_since -= KEEP_ALIVE_S
    async with asyncio.timeout(5):
        while first.is_open:  # noqa: ASYNC110 - the sweep is the event
            await asyncio.sleep(0.001)
    assert pool.take() is second


async def test_closing_ends_all_there_is(upstream: Upstream) -> None:
    pool = Pool(upstream.dial, 3)
    pool.open()
    idle, busy = await pool.acquire(), await pool.acquire()
    ask(idle)
    upstream.answer(idle)
    reply = ask(busy)
    assert await pool.acquire() is idle
    upstream.may_connect.clear()
    dialling = await waiting_for(pool)
    waiting = await waiting_for(pool)
    await pool.close()
    upstream.may_connect.set()
    for task in (dialling, waiting):
        with pytest.raises(UpstreamUnavailable, match="closing"):
            await task
    with pytest.raises(UpstreamUnavailable):
        await reply.head()
    await turns()
    assert pool.size == 0
    assert not any(connection.is_open for connection in upstream.transports)


async def test_a_full_line_sends_away_the_last_call_of_whoever_has_most(pool: Pool, upstream: Upstream) -> None:
    first, second = await pool.acquire("greedy"), await pool.acquire("greedy")
    ask(first), ask(second)
    greedy = [asyncio.create_task(pool.acquire("greedy")) for _ in range(2)]
    await turns()
    modest = asyncio.create_task(pool.acquire("modest"))
    await turns()
    with pytest.raises(UpstreamBusy):
        await greedy[1]
    for caller in ("greedy", "modest", "third"):  # each has one there by now, or would have as many: nobody has to go
        with pytest.raises(UpstreamBusy):
            await pool.acquire(caller)
    upstream.answer(first)
    upstream.answer(second)
    assert [await greedy[0], await modest] == [first, second]
    assert pool.waiting == 0
