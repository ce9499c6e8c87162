"""How fast a stream came, coarsely: so that it can be replayed as it was.

Collectors of routes that want it note when their blocks come. Others do not, and cost nothing more.
"""

import time
from collections.abc import Callable

from gateway.upstream.collect import Collector
from gateway.upstream.metered import MeteredCollector

STEPS = 32
"""Parts of a stream whose times are kept; within a part, events are spread evenly."""
LONGEST_GAP_MS = 2_000
"""Between two parts. A model that thought for longer is not worth waiting for again."""
LONGEST_MS = 20_000
"""In all: a replay must not outlast the patience of a server that drains."""
_MOST_NOTES = 1024

Pace = tuple[int, ...]
"""Milliseconds from the first block until each part had come, ascending."""


class Notes:
    """When how many bytes had come. Bounded: once it is full, every second note is dropped, and half as many come."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` in seconds."""
        self._clock = clock
        self._bytes = 0
        self._blocks = 0
        self._stride = 1
        """Of so many blocks one is noted."""
        self._notes: list[tuple[float, int]] = []

    def take(self, block: bytes) -> None:
        self._bytes += len(block)
        self._blocks += 1
        if self._blocks % self._stride:
            return
        self._notes.append((self._clock(), self._bytes))
        if len(self._notes) >= _MOST_NOTES:
            del self._notes[1::2]
            self._stride *= 2

    def pace(self) -> Pace | None:
        """None where everything came at once, or nothing did."""
        if len(self._notes) < 2:
            return None
        began, at, found = self._notes[0][0], 0, []
        for step in range(1, STEPS + 1):
            while at < len(self._notes) - 1 and self._notes[at][1] * STEPS < self._bytes * step:
                at += 1
            found.append(int((self._notes[at][0] - began) * 1000))
        return bounded(found)


def bounded(times_ms: list[int]) -> Pace | None:
    """`times_ms` without long gaps, and not too long in all; None where nothing is left to wait for."""
    found, last, now = [], 0, 0
    for time_ms in times_ms:
        now += min(max(0, time_ms - last), LONGEST_GAP_MS)
        last = time_ms
        found.append(now)
    if not now:
        return None
    return tuple(time_ms * min(now, LONGEST_MS) // now for time_ms in found)


class PacedCollector(Collector):
    notes: Notes | None = None

    def feed(self, block: bytes) -> bytes:
        self.notes = _noted(self.notes, block)
        return super().feed(block)


class PacedMeteredCollector(MeteredCollector):
    notes: Notes | None = None

    def feed(self, block: bytes) -> bytes:
        self.notes = _noted(self.notes, block)
        return super().feed(block)


def _noted(notes: Notes | None, block: bytes) -> Notes:
    notes = notes or Notes(time.monotonic)
    notes.take(block)
    return notes


def pace_of(collector: Collector) -> Pace | None:
    """How fast the stream came that `collector` saw, where it took note of that."""
    notes = collector.notes if isinstance(collector, PacedCollector | PacedMeteredCollector) else None
    return None if notes is None else notes.pace()
