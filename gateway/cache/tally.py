"""How often an answer to a like question would have been a wrong one, as far as it was looked into, and what follows.

    TRIAL ──enough looked into, and few enough wrong──► OPEN ──too many wrong──► CLOSED
      └──────────────too many wrong─────────────────────────────────────────────►  │
      ▲────────────────────────── reopened by an operator ────────────────────────┘

On trial nothing is served: what would have been is asked for as ever, and the two answers are compared. Pure.
"""

from collections import deque
from math import sqrt
from typing import Literal

State = Literal["trial", "open", "closed"]

LATEST = 1000
"""Comparisons that count. Models and traffic change: what was true long ago must not outvote today."""
_Z = 1.96
"""Of a 95% interval."""


class Tally:
    def __init__(self, *, least: int, most_wrong: float) -> None:
        """Nothing follows from fewer than `least` comparisons; `most_wrong` is the share that is still borne."""
        self._least = least
        self._most_wrong = most_wrong
        self._wrong: deque[bool] = deque(maxlen=max(LATEST, least))
        self._wrongs = 0
        self.state: State = "trial"

    @property
    def checks(self) -> int:
        return len(self._wrong)

    @property
    def wrong(self) -> int:
        return self._wrongs

    def add(self, *, is_wrong: bool) -> bool:
        """Count a comparison; whether the state is another one now. What is closed stays closed."""
        if len(self._wrong) == self._wrong.maxlen:
            self._wrongs -= self._wrong[0]
        self._wrong.append(is_wrong)
        self._wrongs += is_wrong
        before = self.state
        if self.state != "closed" and self.checks >= self._least:
            self.state = "closed" if self._wrongs > self._most_wrong * self.checks else "open"
        return self.state != before

    def close(self) -> bool:
        """Have it closed by what others found; whether it was not."""
        before, self.state = self.state, "closed"
        return before != "closed"

    def reopen(self) -> None:
        """Back on trial, with all forgotten."""
        self._wrong.clear()
        self._wrongs = 0
        self.state = "trial"

    def interval(self) -> tuple[float, float]:
        """Between which shares the true one of wrong answers lies, with 95% confidence (Wilson 1927); 0 to 1 while
        nothing is known."""
        return wilson(self._wrongs, self.checks)


def wilson(wrong: int, checks: int) -> tuple[float, float]:
    if not checks:
        return 0.0, 1.0
    share, z2 = wrong / checks, _Z * _Z
    middle = share + z2 / (2 * checks)
    spread = _Z * sqrt(share * (1 - share) / checks + z2 / (4 * checks * checks))
    scale = 1 + z2 / checks
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)
