"""Passing a live stream on: upstream → everyone who reads it, with the collector looking at what goes by.

A stream has no task of its own: whichever reader is out of blocks pulls the next one, and all others find it
there. The upstream is slowed down to its fastest reader's pace, with one reader to that one's; and a reader that leaves
in the middle of a pull loses nothing for the rest.

A reader that is alone and keeps up needs no pulls: while it waits for a block, what arrives goes out to it from where
it came in, without a turn of the event loop and a task's steps for each event, which cost more than all the rest.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from gateway.errors import UpstreamCut, UpstreamError
from gateway.exchange import Client
from gateway.upstream.call import EventStream
from gateway.upstream.collect import Collector
from gateway.upstream.continued import ContinuedStream

_KEPT_BYTES = 8 << 20
"""Of one stream, for those who join or read slowly: as much as the collector keeps, so mostly the same bytes."""


class Relay:
    """One stream and its readers. `close()` it in any case."""

    def __init__(
        self, stream: EventStream | ContinuedStream, collector: Collector, on_end: Callable[[], None] | None = None
    ) -> None:
        """`on_end` is told when there is nothing more to pull."""
        self.stream = stream
        self.collector = collector
        self.is_over = False
        """All there is, has been pulled, or nobody wants the rest."""
        self.is_stopped = False
        """Nobody wants the rest."""
        self.is_joinable = True
        """It is kept from the beginning."""
        self.error: UpstreamError | None = None
        """Why it ended before its time; one that the upstream reported as an event has been passed on."""
        self._on_end = on_end
        self._blocks: list[bytes] = []
        self._without_usage: dict[int, bytes] = {}
        """By number, the blocks that are others for clients that did not ask for usage."""
        self._kept_bytes = 0
        self._first = 0
        """The number of the first block that is kept."""
        self._next: dict[Client, int] = {}
        """Of each reader, the number of the block it needs next."""
        self._is_pulling = False
        self._waiters: list[asyncio.Future[None]] = []

    async def to(self, client: Client, *, hides_usage: bool) -> None:
        """Write it all to `client`, from its beginning to its end; see then `error` whether that was a good one.

        Raises ConnectionResetError when the client lags so far behind others that it cannot be waited for.
        """
        number = 0
        try:
            while True:
                self._next[client] = number
                if number < self._first:
                    client.abort()
                    raise ConnectionResetError("the client read much too slowly")
                if number < self._first + len(self._blocks):
                    visible = self._blocks[number - self._first]
                    if hides_usage and self._without_usage:
                        visible = self._without_usage.get(number, visible)
                    number += 1
                    if visible:
                        await client.write(visible)
                elif self.is_over:
                    return
                elif self._is_pulling:
                    await self._change()
                else:
                    self.stream.pour(partial(self._pass_on, client, hides_usage))
                    try:
                        await self._pull()
                    finally:
                        self.stream.pour(None)
                    number = self._next[client]
        finally:
            del self._next[client]

    async def to_its_end(self) -> None:
        """Have all of it pulled, for one who waits for the whole."""
        while not self.is_over:
            await (self._change() if self._is_pulling else self._pull())

    def stop(self) -> None:
        """Nobody wants the rest."""
        if not self.is_over:
            self.is_stopped = True
            self._end(None)
        self.close()

    def close(self) -> None:
        self.stream.close()

    def _pass_on(self, client: Client, hides_usage: bool, block: bytes) -> bool:
        """Take `block` for `client`, which waits for it; False where others wait too, or it cannot take it now."""
        push = client.push
        if push is None or len(self._next) > 1 or self.is_over:
            return False
        collector = self.collector
        collector.feed(block)
        self._keep(collector.with_usage, collector.without_usage)
        self._next[client] += 1
        push(collector.without_usage if hides_usage else collector.with_usage)
        if self._waiters:
            self._wake()
        if collector.is_over:
            self._end(None)
            self.stream.leave()
        return True

    async def _pull(self) -> None:
        collector = self.collector
        self._is_pulling = True
        try:
            block = await self.stream.next_block()
            if self.is_over:
                return
            if not block:
                self._end(None)
                return
            collector.feed(block)
            self._keep(collector.with_usage, collector.without_usage)
            if collector.is_over:
                self._end(None)
        except UpstreamError as error:
            self._end(error.with_traceback(None))  # its frames lead back here
        finally:
            self._is_pulling = False
            if self._waiters:
                self._wake()

    def _keep(self, with_usage: bytes, without_usage: bytes) -> None:
        if without_usage is not with_usage:
            self._without_usage[self._first + len(self._blocks)] = without_usage
        self._blocks.append(with_usage)
        self._kept_bytes += len(with_usage)
        if self._kept_bytes > _KEPT_BYTES:
            self._forget()

    def _forget(self) -> None:
        """Drop what all have read, and if that is not enough what only the slowest have not; never the last block."""
        self.is_joinable = False
        least = min(self._next.values(), default=self._first)
        dropped = 0
        while dropped < len(self._blocks) - 1 and (self._kept_bytes > _KEPT_BYTES or self._first + dropped < least):
            self._kept_bytes -= len(self._blocks[dropped])
            dropped += 1
        del self._blocks[:dropped]
        self._first += dropped

    def _end(self, error: UpstreamError | None) -> None:
        self.is_over = True
        if error is None and self.collector.has_error:
            error = UpstreamCut("The model API reported an error in its stream.")
        self.error = error
        self._wake()
        if self._on_end is not None:
            self._on_end()

    async def _change(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
