"""Which prompts are suddenly longer than is usual for their route.

Lengths differ by factors, not by sums, so everything is measured in their logarithm. Two rules, since
a template that doubles its context shows at once where prompts are alike, and only as a streak where
they are not:

    outlier   more than `DEVIATIONS` robust deviations (median, MAD) above the usual one, and `TIMES` what nearly
              all have at most: a route that serves two kinds of prompts has a small MAD and many long ones
    streak    several of late among the longest tenth: a running sum (CUSUM) of one for each of them,
              less `DRIFT` for every prompt, has reached `ALARM`

The usual is taken from prompts that are no longer recent, so what is compared is not yet in it. After
some `LAG` prompts that stay long the alarm ends of itself: that is how long they are now.
"""

import math
from collections import deque

WARM_UP = 64
"""Lengths that make a baseline; nothing is unusual before."""
WINDOW = 256
LAG = 64
"""The most recent prompts of all are not in the baseline."""
REFRESH = 64
"""Prompts between two readings of the baseline, which take 30 µs."""

TIMES = 1.5
"""However alike prompts are, a few more tokens are not unusual."""
DEVIATIONS = 5.0
SIGMA_PER_MAD = 1.4826
"""The standard deviation of a normal distribution over its median absolute deviation."""

LONGEST_SHARE = 0.9
NEARLY_ALL = 0.98
DRIFT = 0.3
ALARM = 4.0
"""Six in a row, or nine of twelve. Were lengths independent, some 20,000 prompts would pass between false alarms."""


class Baseline:
    """The usual length of one route's prompts. A call costs 2 µs, every 64th 30 more."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._usual: deque[float] = deque(maxlen=WINDOW)
        self._unread = 0
        self._outlier = self._long = math.inf
        self._streak = 0.0

    def is_unusual(self, tokens: int) -> bool:
        """Whether a prompt of `tokens` is unusually long, after what came before; it then counts as having come."""
        length = math.log(tokens + 1)
        is_long = length > self._long
        self._streak = min(2 * ALARM, max(0.0, self._streak + is_long - DRIFT))
        is_unusual = length > self._outlier or (is_long and self._streak >= ALARM)
        self._add(length)
        return is_unusual

    def _add(self, length: float) -> None:
        self._recent.append(length)
        if len(self._recent) <= LAG:
            return
        self._usual.append(self._recent.popleft())
        self._unread += 1
        if self._unread >= REFRESH and len(self._usual) >= WARM_UP:
            self._unread = 0
            self._read()

    def _read(self) -> None:
        ordered = sorted(self._usual)
        median = _middle(ordered)
        spread = SIGMA_PER_MAD * _middle(sorted([abs(length - median) for length in ordered]))
        margin = math.log(TIMES)
        self._outlier = max(median + DEVIATIONS * spread, ordered[int(NEARLY_ALL * len(ordered))] + margin)
        self._long = max(median + margin, ordered[int(LONGEST_SHARE * len(ordered))])


def _middle(ordered: list[float]) -> float:
    return ordered[len(ordered) // 2]


class Lengths:
    """The baselines of all routes. Routes are named in the configuration, so there are not many."""

    def __init__(self) -> None:
        self._routes: dict[str, Baseline] = {}

    def is_unusual(self, route: str, tokens: int) -> bool:
        baseline = self._routes.get(route)
        if baseline is None:
            baseline = self._routes[route] = Baseline()
        return baseline.is_unusual(tokens)
