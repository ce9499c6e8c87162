"""A response from its head to its end: the connection puts in what arrives, one caller takes it out.

It outlives its connection. Once the last byte is in, the connection serves others while the caller
reads on here, so nothing that happens there can reach this reply, nor this caller that connection.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from multidict import istr

from gateway.errors import UpstreamCut, UpstreamInvalid, UpstreamTimeout
from gateway.exchange import Headers
from gateway.upstream.decode import Broken, Decoder

_CONTENT_TYPE = istr("Content-Type")


class Source(Protocol):
    """Where the body comes from."""

    def resume(self) -> None:
        """There is room again."""
        ...

    def abort(self) -> None:
        """Nobody wants the rest."""
        ...


class Reply:
    """A response whose head has arrived. `close()` it in any case; before its end that cuts the connection."""

    __slots__ = (
        "_decoder",
        "_error",
        "_idle_deadline",
        "_idle_s",
        "_is_over",
        "_loop",
        "_on_close",
        "_source",
        "_timer",
        "_timer_at",
        "_waiter",
        "headers",
        "is_held",
        "parts",
        "size",
        "status",
        "taker",
        "upload",
    )

    headers: Headers

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source, on_close: Callable[[], None]) -> None:
        self.status = 0
        """0 until the head is there."""
        self._loop = loop
        self._source: Source | None = source
        self._on_close: Callable[[], None] | None = on_close
        self.upload: asyncio.Task[None] | None = None
        """Sends the request's body, if that takes its time."""
        self.parts: list[bytes] = []
        """Of the body, as received; the list is the same from first to last."""
        self.size = 0
        """Bytes received for `parts`, framing included."""
        self.is_held = False
        """Is the source told to wait until `parts` are taken?"""
        self.taker: Callable[[bytes], bool] | None = None
        """Offered what arrives while the caller waits in `next_chunk`, at once and not a turn of the event loop later;
        what it does not take the caller gets."""
        self._decoder: Decoder | None = None
        self._is_over = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._idle_s = math.inf
        self._idle_deadline = math.inf

    # ------------------------------------------------------------------ the caller's side

    @property
    def is_event_stream(self) -> bool:
        media_type: str = self.headers.get(_CONTENT_TYPE, "")
        return media_type.partition(";")[0].strip().lower() == "text/event-stream"

    async def next_chunk(self, idle_s: float | None) -> bytes:
        """What has arrived, at once if anything has; empty at the end.

        UpstreamTimeout after `idle_s` of silence, of which one may wait on; UpstreamCut on a break.
        """
        if self._decoder is not None:
            return await self._next_decoded(self._decoder, idle_s)
        while not self.parts:
            if self._is_over or self._error is not None:
                await self._finish()
                return b""
            await self._arrival(idle_s)
        return self._take()

    def leave(self) -> None:
        """The caller has enough: for it, it is over here. What still comes is for nobody; `close()` cuts it off."""
        self.taker = None
        self._is_over = True
        self.wake()

    async def read(self, max_bytes: int) -> bytes:
        """The whole body; UpstreamInvalid if it is larger than `max_bytes`."""
        parts: list[bytes] = []
        size = 0
        while chunk := await self.next_chunk(None):
            size += len(chunk)
            if size > max_bytes:
                raise UpstreamInvalid(f"The model API's answer is larger than {max_bytes:,} bytes.")
            parts.append(chunk)
            if self._is_over and not self.parts and self._decoder is None and self.upload is None:
                break  # as mostly: it all came with its head
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        on_close, self._on_close = self._on_close, None
        if on_close is None:
            return
        if self._source is not None:
            self._source.abort()
            self._source = None
        if self.upload is not None:
            self.upload.cancel()
        if self._timer is not None:
            self._stop_timer()
        on_close()

    async def head(self) -> None:
        """Wait for the head; raises what came instead of it."""
        while not self.status and self._error is None:
            await self._arrival(None)
        if not self.status:
            raise self._take_error()

    async def _next_decoded(self, decoder: Decoder, idle_s: float | None) -> bytes:
        await asyncio.sleep(0)  # many pieces can come of one part: let others have their turn between them
        try:  # from here on nothing is lost to a caller that is cancelled: another may read on
            while not (piece := decoder.pull()):
                while not self.parts:
                    if self._is_over or self._error is not None:
                        await self._finish()
                        if not decoder.is_finished:
                            raise Broken("cut short")
                        return b""
                    await self._arrival(idle_s)
                decoder.push(self._take())
        except Broken as error:
            raise UpstreamCut(f"The model API's compressed answer cannot be read: {error}.") from None
        return piece

    async def _finish(self) -> None:
        if self.upload is not None:  # answered before it had all been sent
            self.upload.cancel()
            await asyncio.wait((self.upload,))  # its source is free for others to read when this returns
        if self._error is not None:
            raise self._take_error()

    def _take_error(self) -> Exception:
        """What went wrong, to be raised. Were it kept here as well, it and its frames, which lead back here, would be a
        circle that only the garbage collector could undo, with everything its request had."""
        error = self._error
        assert error is not None
        self._error = UpstreamCut("The model API broke off its answer.")
        return error

    def _take(self) -> bytes:
        parts = self.parts
        chunk = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        self.size = 0
        if self.is_held and self._source is not None:
            self.is_held = False
            self._source.resume()
        return chunk

    def _arrival(self, idle_s: float | None) -> asyncio.Future[None]:
        """What to wait on when nothing is there; done when something is, or the end, or an error."""
        self._waiter = waiter = self._loop.create_future()
        if idle_s is None:
            self._idle_deadline = math.inf
        else:
            self._idle_s = idle_s
            self._idle_deadline = deadline = self._loop.time() + idle_s
            if deadline < self._timer_at:
                self._set_timer(deadline)
        return waiter

    # One timer watches all the waits of a reply: setting and cancelling one for each chunk would cost
    # more than the chunk. It fires at the deadline of the wait that set it, and moves on if that is past.

    def _set_timer(self, at: float) -> None:
        self._stop_timer()
        self._timer = self._loop.call_at(at, self._look)
        self._timer_at = at

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._timer_at = math.inf

    def _look(self) -> None:
        self._stop_timer()
        waiter = self._waiter
        if waiter is None or waiter.done() or self._idle_deadline == math.inf:
            return
        if self._loop.time() < self._idle_deadline:
            self._set_timer(self._idle_deadline)
        else:
            self._waiter = None
            waiter.set_exception(UpstreamTimeout(f"The model API sent nothing for {self._idle_s:g} s."))

    # ------------------------------------------------------------------ the connection's side

    def begin(self, status: int, headers: Headers, decoder: Decoder | None) -> None:
        self.status = status
        self.headers = headers
        self._decoder = decoder

    def arrived(self) -> None:
        """There are `parts` to take."""
        if self.taker is None or self._waiter is None or self._decoder is not None or not self.parts:
            self.wake()
        elif self.taker(self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)):
            self._take()
            self._idle_deadline = self._loop.time() + self._idle_s  # the timer looks at it when it is due
        else:
            self.wake()

    def wake(self) -> None:
        """Something has changed; the caller looks for itself."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():  # its task may have been cancelled
            waiter.set_result(None)

    def end(self) -> None:
        """The body is complete; the connection is no longer this reply's."""
        self._is_over = True
        self._source = None
        if self._timer is not None:
            self._stop_timer()
        self.wake()

    def fail(self, error: Exception) -> None:
        """No more will come. What is there already can still be read."""
        if self._error is None and not self._is_over:
            self._error = error
        self._stop_timer()
        self.wake()
