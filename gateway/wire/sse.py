"""Server-sent events: cutting a byte stream at event boundaries, and reading single events.

WHATWG HTML, 9.2 "Server-sent events": lines end in LF, CRLF or CR, an empty line ends an event.
The relay passes whole blocks of events on untouched; only blocks that may hold something we need
(usage, an error, the end) are read event by event.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

DONE = b"data: [DONE]\n\n"
_BOUNDARY = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n|\r\n\n")
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    raw: bytes
    """As it stood on the wire, its closing empty line included."""
    data: bytes
    """Its `data` lines joined by LF; empty for comments."""


class EventTooLarge(ValueError):
    """An event is longer than the splitter may hold."""


class EventSplitter:
    """Turns reads of any size into blocks that end at event boundaries.

    An event that arrived in parts is held back until it is whole, at most `max_bytes` of it.
    """

    __slots__ = ("_held", "_held_bytes", "_max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self._held: list[bytes] = []
        """Parts of one event; joined once, for an image comes in hundreds of them."""
        self._held_bytes = 0
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> bytes:
        """All events completed by `data`, as one block; empty while none is complete."""
        if self.is_whole(data):  # the ordinary case: one write of the upstream, one read
            return data
        if self._held:
            return self._complete(data)
        end = _last_boundary(data)
        self._hold(data[end:])
        return data[:end]

    def is_whole(self, data: bytes) -> bool:
        """Whether `feed` would return `data` as it is: events from the first byte to the last."""
        return not self._held and data.endswith(b"\n\n")

    def rest(self) -> bytes:
        """What was held back when the stream ended: an event without its closing empty line."""
        rest = b"".join(self._held)
        self._held, self._held_bytes = [], 0
        return rest

    def _complete(self, data: bytes) -> bytes:
        seam = b"".join(self._held[-2:])[-2:]  # a boundary may have begun there; it is at most three bytes long
        end = _last_boundary(seam + data) - len(seam)
        if end <= 0:
            self._hold(data)
            return b""
        block = self.rest() + data[:end]
        self._hold(data[end:])
        return block

    def _hold(self, data: bytes) -> None:
        if not data:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > self._max_bytes:
            raise EventTooLarge(f"an event of the stream is longer than {self._max_bytes:,} bytes")


def events(block: bytes) -> Iterator[Event]:
    """The events of `block`, which ends at a boundary (a last event that does not is yielded too)."""
    start = 0
    for match in _BOUNDARY.finditer(block):
        yield _event(block[start : match.end()])
        start = match.end()
    if start < len(block):
        yield _event(block[start:])


def plain_data(block: bytes) -> list[bytes] | None:
    """The data of all events of `block` where each is one `data: ` line ended by LF; None for any other form.

    That is how servers write them; taken apart like this, they cost a tenth of what `events` takes.
    """
    if not block.startswith(b"data: ") or not block.endswith(b"\n\n") or b"\r" in block:
        return None
    found = block[6:-2].split(b"\n\ndata: ")
    return found if block.count(b"\n") == 2 * len(found) else None


def encode(data: bytes) -> bytes:
    """One event with `data`, which must not hold line ends (compact JSON never does)."""
    return b"data: %s\n\n" % data


def _event(raw: bytes) -> Event:
    values = []
    for line in _LINE_END.split(raw):
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
    return Event(raw, b"\n".join(values))


def _last_boundary(data: bytes) -> int:
    """The byte after the last event boundary in `data`; 0 when there is none."""
    found = ((data.rfind(mark), len(mark)) for mark in (b"\n\n", b"\n\r\n", b"\r\r"))
    return max(at + length if at >= 0 else 0 for at, length in found)
