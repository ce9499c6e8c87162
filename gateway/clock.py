"""Where time comes from: the system, or a test's hand."""

import time
from typing import Protocol


class Clock(Protocol):
    """Both readings are in seconds."""

    def monotonic(self) -> float:
        """For durations and deadlines; never goes back."""
        ...

    def wall(self) -> float:
        """Unix time, for what people and other machines read."""
        ...


class SystemClock:
    monotonic = staticmethod(time.monotonic)
    wall = staticmethod(time.time)


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self, *, monotonic: float = 1_000.0, wall: float = 1_800_000_000.0) -> None:
        self._monotonic = monotonic
        self._wall = wall

    def monotonic(self) -> float:
        return self._monotonic

    def wall(self) -> float:
        return self._wall

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._wall += seconds
