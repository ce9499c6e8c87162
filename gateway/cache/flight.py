"""Identical requests that are under way share one upstream call: a flight owns it, clients are its readers.

The opener makes the call, in a task of the flight's own, and books what it cost; followers join at any
moment and pay nothing. Whoever hangs up is one reader less: the call ends when nobody reads any more,
and until then the opener stays to book it, even when its own client has gone.

    OPEN ──depart──► UNDER WAY ──land──► LANDED ──written──► forgotten
      │ looked up,       │ called, perhaps     the answer is served from
      │ admitted         │ streaming           here until the store has it
      │                  │
      ├──hit───► forgotten; followers judge the answer for themselves
      ├──ground─► forgotten; followers look again, one of them opens anew
      └──fail──► forgotten; followers get the same error
                 (alone, each would ask an upstream again that has just failed)

What flies is the pipeline's business: `Live` is what followers can read along with, `Landed` what a
whole answer amounts to.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from gateway.cache.entry import Stored
from gateway.errors import GatewayError, UpstreamUnavailable

Live = TypeVar("Live")
Landed = TypeVar("Landed")
Answer = TypeVar("Answer")


class Flight(Generic[Live, Landed]):
    """One call under way. All methods but the awaited ones take effect at once, between two turns of the loop."""

    # Most flights have one reader and end soon: what is seldom set has its beginning here, not in `__init__`.
    asked_ms = 0
    """When it began, by the clock that purges go by."""
    lease = ""
    """The name it is marked under for other processes."""
    waited_s = 0.0
    """For another process that was asking for the same."""
    readers = 1
    """Clients that wait or read; the opener is the first."""
    has_departed = False
    """The call is on its way, or was."""
    is_opener_gone = False
    """Its client has left; it stays for the bill."""
    is_over = False
    """No more will become known: it found an answer, was grounded, landed or failed."""
    found: Stored | None = None
    """What the store had."""
    live: Live | None = None
    """What can be read along with, as soon as it is there."""
    landed: Landed | None = None
    stored: Stored | None = None
    """The answer, while the store does not have it yet."""
    error: GatewayError | None = None
    _stop: Callable[[], object] | None = None
    _land: Callable[[], Coroutine[Any, Any, None]] | None = None
    _landing: asyncio.Task[None] | None = None
    _is_closed = False

    def __init__(self, name: str, on_over: Callable[["Flight[Live, Landed]"], None]) -> None:
        """`on_over` is told when nobody may join any more."""
        self.name = name
        self._on_over = on_over
        self._waiters: list[asyncio.Future[None]] = []

    # ------------------------------------------------------------------ everybody

    async def change(self) -> None:
        """Wait until something has changed; look for yourself."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def join(self) -> None:
        self.readers += 1

    def leave(self) -> None:
        """One reader less; the last one stops the call, and nobody joins it any more."""
        self.readers -= 1
        if not self.readers and self._stop is not None:
            self._close()
            self._stop()

    async def conclude(self) -> None:
        """Have what has been read to its end landed, once, by whoever comes first; returns when that is done.

        It takes no longer than counting does, so even who is cancelled waits for it: the bill depends on it.
        """
        if self._landing is None:
            assert self._land is not None
            self._landing = asyncio.create_task(self._land(), name="land a flight")
            self._landing.add_done_callback(self._wake)
        cancelled: asyncio.CancelledError | None = None
        while not self._landing.done():
            try:
                await self.change()
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
        self._landing.result()

    # ------------------------------------------------------------------ the opener

    async def fly(self, call: Coroutine[Any, Any, Answer]) -> Answer:
        """What `call` returns or raises. An opener that is cancelled gets it all the same if others wait for it too;
        `is_opener_gone` then."""
        task = asyncio.get_running_loop().create_task(call)
        task.add_done_callback(self._wake)
        self._stop = task.cancel
        self.has_departed = True
        if self._waiters:
            self._wake()
        try:
            while not task.done():
                await self.change()
        except asyncio.CancelledError:
            await self.outstay(task.done)
            if task.cancelled():
                raise
        return task.result()

    def carry(self, live: Live, land: Callable[[], Coroutine[Any, Any, None]], stop: Callable[[], object]) -> None:
        """The call goes on as something to read along with; at its end `land`, and `stop` it if nobody reads on."""
        self.live, self._land, self._stop = live, land, stop
        if not self.readers:  # the last one left when the call was done and this was not yet there
            stop()
        self._wake()

    async def outstay(self, is_done: Callable[[], bool]) -> None:
        """The opener's client has gone: wait on for those who still read.

        Servers cancel more than once, so that is no reason to give up earlier. When they stop they cancel
        the readers as well, and the last of those ends this.
        """
        if not self.is_opener_gone:
            self.is_opener_gone = True
            self.leave()
        while not is_done():
            with suppress(asyncio.CancelledError):
                await self.change()

    def land(self, landed: Landed) -> None:
        self.landed = landed
        self._end(is_joinable=self.stored is not None)

    def find(self, found: Stored) -> None:
        self.found = found
        self._end()

    def ground(self) -> None:
        """There will be no call: the opener was refused, or left before."""
        if not self.is_over:
            self._end()

    def fail(self, error: GatewayError) -> None:
        if not self.is_over:
            self.error = error
            self._end()

    def wake(self) -> None:
        self._wake()

    def _end(self, *, is_joinable: bool = False) -> None:
        self.is_over = True
        if not is_joinable:
            self._close()
        self._wake()

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._on_over(self)

    def _wake(self, _: object = None) -> None:
        waiters = self._waiters
        if not waiters:
            return
        self._waiters = []
        for waiter in waiters:
            if not waiter.done():  # its reader may have been cancelled
                waiter.set_result(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        """The opener is through. However it left, nobody is kept waiting."""
        if self.is_over:
            return
        if not self.has_departed:
            self.ground()
        elif isinstance(exc, GatewayError):
            self.fail(exc)
        else:
            self.fail(UpstreamUnavailable("The request that this one waited for was broken off; send it again."))
