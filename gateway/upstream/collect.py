"""What an answer has to tell us, whole or passing by: its usage, whether it came to its end, what it said.

A stream's blocks of events are looked at with byte searches; only those that may hold something are parsed.
What was said is put together once, after the stream, and only when the cache or the count wants it.
"""

from typing import Any

from gateway.values import Transcript, Usage
from gateway.wire import json_bytes, sse
from gateway.wire.endpoint import Endpoint
from gateway.wire.errors import reported_error

_END_BYTES = 64
"""Of a block, in which `[DONE]` stands if at all: little can follow it, such as a comment."""
_LAST_BLOCKS = (4, 64)
"""After the event with the finish reason may come one with usage and `[DONE]`, each in a block of its own; and
comments, for which it is looked for once more, further back."""
_KEEP_BYTES = 8 << 20
"""Of one stream, to count or store it afterwards: about 35,000 tokens at 230 bytes an event."""


def read_answer(endpoint: Endpoint, body: bytes) -> Transcript:
    """What a whole answer with status 200 amounts to; an unreadable one is passed on, but is not complete."""
    answer = endpoint.read(body)
    if answer is None:
        return Transcript(status=200, is_complete=False)
    usage = endpoint.usage(answer)
    return Transcript(
        status=200,
        is_complete=endpoint.is_finished(answer) and reported_error(answer) is None,
        body=body,
        usage=usage,
        completion_text=endpoint.generated_text([answer]) if usage is None else None,
        finish_reason=endpoint.finish_reason(answer),
    )


class Collector:
    """Sees every block of one stream on its way to the client."""

    is_cut = False
    """The stream was ended here, before its upstream did."""

    def __init__(self, endpoint: Endpoint, *, hide_usage: bool) -> None:
        self._endpoint = endpoint
        self._tells = endpoint.telling.search
        self.hides_usage = hide_usage
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._is_whole = True
        self._is_done = False
        self._usage: Usage | None = None
        self.has_error = False
        self.last = b""
        """The events that were fed last: how far the stream had come."""
        self.with_usage = self.without_usage = b""
        """What of them goes on to a client that asked for usage, and to one that did not."""

    @property
    def is_over(self) -> bool:
        """An error was told, and nothing may follow it."""
        return self.has_error and self._endpoint.ends_with_done

    def feed(self, block: bytes) -> bytes:
        """Take note of `block`; returns what of it goes on to the client."""
        self.last = self.with_usage = self.without_usage = block
        self._keep(block)
        if self._tells(block) is not None or b"[DONE]" in block[-_END_BYTES:]:
            self._read(block)
        return self.without_usage if self.hides_usage else self.with_usage

    def _read(self, block: bytes) -> None:
        """Note what its events tell, up to an error: nothing that follows one may pass."""
        passed = 0
        visible: list[bytes] = []
        for event in sse.events(block):
            is_usage = self._note(event)
            passed += len(event.raw)
            if not is_usage:
                visible.append(event.raw)
            if self.is_over:
                break
        self.with_usage = block[:passed]
        self.without_usage = b"".join(visible)

    def _keep(self, block: bytes) -> None:
        if not self._is_whole:
            return
        self._kept_bytes += len(block)
        self._is_whole = self._kept_bytes <= _KEEP_BYTES
        if self._is_whole:
            self._kept.append(block)

    def _note(self, event: sse.Event) -> bool:
        """Read one event; True if it is there only for those who asked for usage."""
        if event.data == b"[DONE]":
            self._is_done = self._is_done or self._endpoint.ends_with_done
            return False
        parsed = json_bytes.object_in(event.data)
        if parsed is None:
            return False
        if reported_error(parsed) is not None:
            self.has_error = True
        if self._endpoint.is_last(parsed):
            self._is_done = True
        usage = self._endpoint.usage(parsed)
        if usage is not None:
            self._usage = usage
        return self._endpoint.is_usage_only(parsed)

    def is_complete(self) -> bool:
        """Whether the stream, should it end here, was whole."""
        return self._is_done or self._endpoint.assemble(self._events()) is not None

    def events(self) -> list[dict[str, Any]] | None:
        """All that have passed; None where they are too many to be kept, or one cannot be read."""
        found = self._events()
        return found if self._is_whole else None

    def finish(self, *, want_body: bool) -> Transcript:
        """What the stream amounted to, after its last block; `want_body` puts the whole answer together.

        Of a stream without a report of its usage that is longer than what is kept, only the kept part
        can be counted.
        """
        needs_events = want_body or self._usage is None or not self._is_done
        events = self._events() if needs_events else []
        answer = self._endpoint.assemble(events) if events and self._is_whole and not self.has_error else None
        return Transcript(
            status=200,
            is_complete=not self.has_error and (self._is_done or answer is not None),
            body=json_bytes.dumps(answer) if want_body and answer is not None else None,
            usage=self._usage,
            completion_text=self._endpoint.generated_text(events) if self._usage is None else None,
            finish_reason=self._finish_reason(),
        )

    def _finish_reason(self) -> str | None:
        for blocks in _LAST_BLOCKS if self._is_whole else ():
            if found := self._endpoint.ending.findall(b"".join(self._kept[-blocks:])):
                return str(found[-1].decode())
        return None

    def _events(self) -> list[dict[str, Any]]:
        """Every event that can be read; one that cannot leaves the answer without a body that could be stored."""
        kept = b"".join(self._kept)
        plain = sse.plain_data(kept)
        if plain is not None:
            if plain[-1] == b"[DONE]":
                plain.pop()
            parsed_all = json_bytes.objects_in(plain)
            if parsed_all is not None:
                return parsed_all
        events = []
        for event in sse.events(kept):
            parsed = json_bytes.object_in(event.data)
            if parsed is not None:
                events.append(parsed)
            elif event.data not in (b"", b"[DONE]"):
                self._is_whole = False
        return events
