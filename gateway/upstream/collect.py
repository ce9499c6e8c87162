"""What a passing stream has to tell: its usage, whether it came to its end, and what it said.

Blocks of events are looked at with byte searches; only those that may hold something are parsed.
What was said is put together once, after the stream, and only when the cache or the count wants it.
"""

import re
from typing import Any

import orjson

from gateway.values import Transcript, Usage
from gateway.wire import sse
from gateway.wire.endpoint import Endpoint

_INTERESTING = re.compile(rb'"usage"\s*:\s*\{|"error"\s*:\s*[{"]|data:\s*\[DONE\]')
_KEEP_BYTES = 4 << 20
"""Of one stream, to count or store it afterwards: about 17,000 tokens at 230 bytes an event."""


class Collector:
    """Sees every block of one stream on its way to the client."""

    def __init__(self, endpoint: Endpoint, *, hide_usage: bool) -> None:
        self._endpoint = endpoint
        self._hide_usage = hide_usage
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._seen_bytes = 0
        self._is_done = False
        self.usage: Usage | None = None
        self.has_error = False

    def feed(self, block: bytes) -> bytes:
        """Take note of `block`; returns what of it goes on to the client."""
        self._seen_bytes += len(block)
        if self._kept_bytes == self._seen_bytes - len(block) and self._seen_bytes <= _KEEP_BYTES:
            self._kept.append(block)
            self._kept_bytes = self._seen_bytes
        if _INTERESTING.search(block) is None:
            return block
        return b"".join(event.raw for event in sse.events(block) if not self._note(event))

    def _note(self, event: sse.Event) -> bool:
        """Read one event; True if it is to be kept from the client."""
        if event.data == b"[DONE]":
            self._is_done = True
            return False
        parsed = _parsed(event.data)
        if parsed is None:
            return False
        if parsed.get("error"):
            self.has_error = True
        usage = self._endpoint.usage(parsed)
        if usage is not None:
            self.usage = usage
        return self._hide_usage and self._endpoint.is_usage_only(parsed)

    def finish(self, *, want_body: bool) -> Transcript:
        """What the stream amounted to, after its last block; `want_body` puts the whole answer together."""
        is_whole = self._kept_bytes == self._seen_bytes
        needs_events = want_body or self.usage is None or not self._is_done
        events = self._events() if needs_events else []
        answer = self._endpoint.assemble(events) if events and is_whole and not self.has_error else None
        return Transcript(
            status=200,
            is_complete=not self.has_error and (self._is_done or answer is not None),
            body=orjson.dumps(answer) if want_body and answer is not None else None,
            usage=self.usage,
            completion_text=self._endpoint.generated_text(events) if self.usage is None else None,
        )

    @property
    def unseen_ratio(self) -> float:
        """Bytes of the whole stream for each byte kept: what a count of the kept text must be multiplied by."""
        return self._seen_bytes / self._kept_bytes if self._kept_bytes else 1.0

    def _events(self) -> list[dict[str, Any]]:
        parsed = (_parsed(event.data) for event in sse.events(b"".join(self._kept)))
        return [event for event in parsed if event is not None]


def _parsed(data: bytes) -> dict[str, Any] | None:
    """The JSON object of an event's data; None for anything else."""
    try:
        event = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None
