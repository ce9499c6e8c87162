"""The connections to one upstream: how many there may be, who gets the next one, when an idle one goes.

A connection is connecting, idle here, or lent to one caller; from its hand-over until its reply is
complete nobody else can reach it. Whoever finds all of them lent waits in line, and is handed
either a connection or the place of one that was lost, the moment either comes free.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from gateway.errors import UpstreamBusy, UpstreamUnavailable
from gateway.upstream.http1 import Connection

SWEEP_S = 5.0
"""How often idle connections are looked through for those past their time."""


class Pool:
    """At most `limit` connections made by `dial`, and as many callers in line."""

    def __init__(self, dial: Callable[[], Awaitable[Connection]], limit: int) -> None:
        self._dial = dial
        self._limit = limit
        self._idle: list[Connection] = []
        """The last in is the first out: what load does not need grows old and goes."""
        self._connections: set[Connection] = set()
        self._dialing = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._owners: dict[asyncio.Future[Connection | None], str] = {}
        """Of those who wait, for whom."""
        self._sweeper: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._all_lost: asyncio.Future[None] | None = None

    def open(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Close every connection, those in use too, and send those who wait away."""
        self._is_closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(_closed())
        self._waiting.clear()
        if self._connections:
            self._all_lost = self._loop.create_future()
            for connection in tuple(self._connections):
                connection.abort()
            await self._all_lost

    @property
    def size(self) -> int:
        """Connections there are, those being made included."""
        return len(self._connections) + self._dialing

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self) -> Connection | None:
        """An idle connection, the caller's from now on; None if there is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh(self._loop.time() - connection.idle_since):
                return connection
            connection.abort()
        return None

    async def acquire(self, owner: str = "") -> Connection:
        """A connection that can take a request at once, new if need be.

        Raises what dialling raises, and UpstreamBusy when too many wait already; with a full line that is whoever
        has most calls in it, by the names of their owners.
        """
        while True:
            if (connection := self.take()) is not None:
                return connection
            if self.size < self._limit:
                self._dialing += 1
                return await self._connect()
            connection = await self._turn(owner)
            if connection is None:
                return await self._connect()
            if connection.is_open:  # it may have been lost on the way here
                return connection

    def release(self, connection: Connection) -> None:
        """`connection` can serve another request: that of the first in line, or whoever comes within its time."""
        if self._is_closed:
            connection.abort()
            return
        if self._waiting and self._hand_over(connection):
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)

    def lost(self, connection: Connection) -> None:
        """`connection` is closed; its place is free."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._offer_place()
        if self._all_lost is not None and not self._connections:
            self._all_lost.set_result(None)

    async def _connect(self) -> Connection:
        """A new connection, in a place already counted in `_dialing`."""
        try:
            connection = await self._dial()
            if self._is_closed:
                connection.abort()
                raise _closed()
            if not connection.is_open:
                raise UpstreamUnavailable("The model API closed the connection as soon as it was made.")
        except BaseException:
            self._dialing -= 1
            self._offer_place()
            raise
        self._dialing -= 1
        self._connections.add(connection)
        connection.keeper = self
        return connection

    async def _turn(self, owner: str) -> Connection | None:
        """Wait in line for a connection, or for a place to make one, counted in `_dialing` already."""
        if len(self._waiting) >= self._limit:
            self._make_room(owner)
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        self._owners[waiter] = owner
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with suppress(ValueError):  # looked at and passed over meanwhile
                    self._waiting.remove(waiter)
            elif waiter.exception() is None:  # served and cancelled in the same turn of the loop: pass it on
                self._pass_on(waiter.result())
            raise
        finally:
            del self._owners[waiter]

    def _make_room(self, owner: str) -> None:
        """Send away the last call of whoever has most in line, unless that is `owner` or would be."""
        counts = Counter(self._owners[waiter] for waiter in self._waiting)
        greedy, most = counts.most_common(1)[0]
        if most <= counts[owner] + 1:
            raise _busy()
        last = next(waiter for waiter in reversed(self._waiting) if self._owners[waiter] == greedy)
        self._waiting.remove(last)
        if not last.done():
            last.set_exception(_busy())

    def _pass_on(self, given: Connection | None) -> None:
        if given is None:
            self._dialing -= 1
            self._offer_place()
        elif given.is_open:
            self.release(given)

    def _offer_place(self) -> None:
        """A place has come free: the first in line may connect."""
        if self._hand_over(None):
            self._dialing += 1

    def _hand_over(self, what: Connection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(what)
                return True
        return False

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in [one for one in self._idle if now - one.idle_since >= one.keep_s]:
            self._idle.remove(connection)
            connection.abort()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self._idle else None


def _busy() -> UpstreamBusy:
    return UpstreamBusy("Too many calls are waiting for a connection to the model API.")


def _closed() -> UpstreamUnavailable:
    return UpstreamUnavailable("The gateway is closing its connections to the model API.")
