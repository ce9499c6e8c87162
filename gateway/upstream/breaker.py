"""When a target that keeps failing is left alone, and when it is asked again (pure: time comes in as an argument).

    closed ── `failures` of them, and `error_ratio` of all calls, within `window_s` ──► open
      ▲                                                                                  │ open_s
      └───────── two good probes ───────── half-open, a few probes at a time ◄───────────┘
                                               └─── a bad one: open again

It says only what it thinks of one target. Whoever has no other may ask that one all the same.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from gateway.config.model import BreakerPolicy

PROBES = 3
"""Calls let through at a time while half-open: one alone could be a slow one that holds up the recovery."""
GOOD_PROBES = 2
_SLICES = 10
"""The window moves on by a tenth of it at a time."""

State = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class _Slice:
    number: int
    good: int = 0
    bad: int = 0


class Breaker:
    """Of one target. Times are on one monotonic clock, in seconds."""

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._slice_s = policy.window_s / _SLICES
        self._slices: deque[_Slice] = deque()
        self.opened_at: float | None = None
        """None while closed."""
        self._probes = 0
        """Under way."""
        self._good_probes = 0

    def state(self, now: float) -> State:
        if self.opened_at is None:
            return "closed"
        return "half-open" if now >= self.opened_at + self._policy.open_s else "open"

    def allows(self, now: float) -> bool:
        """May a call be made that could be made elsewhere?"""
        state = self.state(now)
        return state == "closed" or (state == "half-open" and self._probes < PROBES)

    def begin(self, now: float) -> bool:
        """A call begins; whether it is a probe, which `end` wants to know."""
        is_probe = self.state(now) == "half-open" and self._probes < PROBES
        self._probes += is_probe
        return is_probe

    def end(self, now: float, *, is_fault: bool | None, is_probe: bool) -> None:
        """A call has ended; `is_fault` is None where its end says nothing of the target, as when the client left."""
        self._probes = max(0, self._probes - is_probe)  # a breaker may be forgotten under its probes
        if is_fault is None:
            return
        if self.opened_at is None:
            self._count(now, is_fault=is_fault)
        elif is_probe and is_fault:
            self._open(now)
        elif is_probe:
            self._good_probes += 1
            if self._good_probes >= GOOD_PROBES:
                self.opened_at = None
        # else it was begun before the breaker opened, or had nowhere else to go: the probes decide

    def counts(self, now: float) -> tuple[int, int]:
        """Calls that went well and badly within the window."""
        first = int(now / self._slice_s) - _SLICES
        kept = [one for one in self._slices if one.number > first]
        return sum(one.good for one in kept), sum(one.bad for one in kept)

    def is_idle(self, now: float) -> bool:
        """Is there nothing to remember?"""
        return self.opened_at is None and not self._probes and not self.counts(now)[1]

    def _count(self, now: float, *, is_fault: bool) -> None:
        number = int(now / self._slice_s)
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
            while self._slices[0].number <= number - _SLICES:
                self._slices.popleft()
        if not is_fault:
            self._slices[-1].good += 1
            return
        self._slices[-1].bad += 1
        good, bad = self.counts(now)
        if bad >= self._policy.failures and bad >= self._policy.error_ratio * (good + bad):
            self._open(now)

    def _open(self, now: float) -> None:
        self.opened_at = now
        self._good_probes = 0
        self._slices.clear()
