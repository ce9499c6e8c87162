"""A stream that may go on with another's events where its own break off.

    own events ── cut ──► somebody else is asked ──► their events, made to fit
                                    │
                                    └── nobody can ──► the error, as ever

It is pulled like any `EventStream`, and like there a reader that leaves in the middle of a pull loses nothing.
Whoever is asked is asked once.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from gateway.errors import UpstreamCut, UpstreamError
from gateway.upstream.call import PING, PING_S, EventStream
from gateway.upstream.collect import Collector
from gateway.wire import json_bytes, sse
from gateway.wire.continuing import Seam
from gateway.wire.errors import reported_error

Onward = tuple[EventStream, Seam]
"""Whose events come next, and what makes them fit."""


class ContinuedStream(ABC):
    """`stream`, and after a cut what `resume` finds. `collector` is the one that sees what passes."""

    def __init__(self, stream: EventStream, collector: Collector) -> None:
        self.target = stream.target
        self.status = stream.status
        self.headers = stream.headers
        self._stream = stream
        self._collector = collector
        self._broken: UpstreamError | None = None
        self._told = b""
        """The event with which the upstream itself has told the error."""
        self._resuming: asyncio.Task[None] | None = None
        self._seam: Seam | None = None
        self._is_closed = False

    def pour(self, take: Callable[[bytes], bool] | None) -> None:
        """As an `EventStream` does, but for errors, and for what has to be made to fit: those are pulled."""
        if take is None or self._broken is not None:
            self._stream.pour(None)
        else:
            self._stream.pour(lambda block: b'"error"' not in block and take(block))

    def leave(self) -> None:
        self._stream.leave()

    @abstractmethod
    async def resume(self, error: UpstreamError) -> Onward | None:
        """Find somebody who goes on where `error` cut the stream; None lets it be told."""

    async def next_block(self) -> bytes:
        """The next whole events, or a ping; empty at the end. Raises UpstreamError."""
        if self._seam is None and self._broken is None:
            if block := await self._own():
                return block
            if self._broken is None:
                return b""
        if self._seam is None:
            return await self._onward()
        while block := await self._stream.next_block():
            if visible := self._seam.feed(block):
                return visible
        return b""

    async def _own(self) -> bytes:
        """What goes on of the stream's own; nothing at its end, and when it is `_broken`."""
        try:
            block = await self._stream.next_block()
        except UpstreamError as error:
            self._broken = error.with_traceback(None)
            return b""
        if not block and not self._collector.is_complete():
            self._broken = UpstreamCut("The model API ended its stream before the answer was complete.")
        return self._up_to_error(block) if b'"error"' in block else block

    def _up_to_error(self, block: bytes) -> bytes:
        passed = 0
        for event in sse.events(block):
            parsed = json_bytes.object_in(event.data)
            if parsed is not None and reported_error(parsed) is not None:
                self._broken = UpstreamCut("The model API reported an error in its stream.")
                self._told = block[passed:]
                return block[:passed]
            passed += len(event.raw)
        return block

    async def _onward(self) -> bytes:
        """The first events of whoever goes on, the error if nobody does, or a ping meanwhile."""
        assert self._broken is not None
        if self._resuming is None:
            self._stream.close()
            self._resuming = asyncio.create_task(self._find(self._broken), name="continue a cut stream")
        await asyncio.wait((self._resuming,), timeout=PING_S)
        if not self._resuming.done():
            return PING
        self._resuming.result()
        if self._seam is not None:
            return await self.next_block()
        if self._told:
            told, self._told = self._told, b""
            return told
        raise self._broken

    async def _find(self, error: UpstreamError) -> None:
        found = await self.resume(error)
        if found is not None:
            self._stream, self._seam = found
            if self._is_closed:
                self._stream.close()

    def close(self) -> None:
        self._is_closed = True
        if self._resuming is not None and not self._resuming.done():
            self._resuming.cancel()
        self._stream.close()
