"""The beginning of a stream, kept back until something of the answer is in it.

Servers announce an answer before they have any of it: a chunk with the role and no text, `response.created`. If
that left at once, whatever fails right after it could no longer become a status or another target's turn. What is
kept back is bounded in events and bytes here, in time by whoever waits.
"""

from gateway.errors import UpstreamInvalid
from gateway.wire import json_bytes, sse
from gateway.wire.endpoint import Endpoint
from gateway.wire.errors import reported_error

MOST_EVENTS = 8
"""The Responses API announces a text with four."""
MOST_BYTES = 64 << 10
"""`response.created` repeats the request's instructions and tools."""


class Hold:
    """Takes the blocks of a stream from its first on, until `is_over`."""

    __slots__ = ("_endpoint", "block", "events", "is_over")

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.block = b""
        """All that came, as it came, comments included."""
        self.events = 0
        """With data, as far as they were looked at."""
        self.is_over = False
        """Some of the answer is there, or more than is kept back."""

    def feed(self, block: bytes) -> None:
        """Look at `block`, whole events. Raises UpstreamInvalid at an error that comes before any of the answer."""
        self.block += block
        if len(self.block) > MOST_BYTES:
            self.is_over = True
        for data in sse.plain_data(block) or (event.data for event in sse.events(block)):
            if data:
                self.events += 1
                if not self._announces(data):
                    self.is_over = True
                if self.is_over:
                    return

    def release(self) -> bytes:
        """What was kept back; nothing is from now on."""
        block, self.block = self.block, b""
        self.is_over = True
        return block

    def _announces(self, data: bytes) -> bool:
        """Whether the event only announces the answer. An error that comes with usage is one, if a bad one: it will be
        billed, and asking elsewhere would pay twice."""
        event = json_bytes.object_in(data) if len(data) <= MOST_BYTES else None
        if event is None:
            return False
        message = reported_error(event)
        if message is None:
            return self.events <= MOST_EVENTS and self._endpoint.is_preamble(event)
        if self._endpoint.usage(event) is None:
            raise UpstreamInvalid(f"The model API answered with an error instead of a stream: {message}")
        return False
