"""How fast one route or key spends, and what is to be done about it: the cost breaker's arithmetic.

What is usual is learned from the minutes in which anything was spent. A minute beyond `most` is not usual:

    most = the highest of   floor
                            times x the 95th percentile of those minutes
                            the median, 6 robust deviations up (median absolute deviation, in logarithms)

Then requests are stepped down, one step every `step_s` as long as spending stays beyond it:

    normal ──► cheap ──► cap ──► cache_only ──► refuse
       ◄── one step back, when every tenth request that is let go a step further shows that all of them may

Steps that cannot help (no cheaper tier, no cache) are left out. Pure: the time comes in, what has changed goes out.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gateway.config.money import CostBreaker

Step = Literal["normal", "cheap", "cap", "cache_only", "refuse"]
STEPS: tuple[Step, ...] = ("normal", "cheap", "cap", "cache_only", "refuse")

MINUTES = 720
"""That are remembered: half a day of steady traffic."""
NEARLY_ALL = 0.95
DEVIATIONS = 6.0
SIGMA_PER_MAD = 1.4826
"""The standard deviation of a normal distribution over its median absolute deviation."""
PROBE_EVERY = 10
LEAST_PROBES = 3
LONGEST_HOLD_S = 900.0
RELAPSE_S = 600.0
"""A step down so soon after the way back: the next try waits twice as long."""


class Change(NamedTuple):
    """A step that was taken, and why; amounts in nano-dollars a minute."""

    before: Step
    after: Step
    spending: int
    most: int
    usual: int
    """The median minute."""


class Usual:
    """What a minute costs."""

    def __init__(self, config: CostBreaker) -> None:
        self._floor = round(config.floor_usd * 1e9)
        self._times = config.times
        self._warm_up = config.warm_up_minutes
        self._minutes: deque[int] = deque(maxlen=MINUTES)
        self.median = 0
        self.most: int | None = None
        """None while too little is known."""

    def add(self, nanousd: int) -> None:
        """A minute is over that cost something."""
        self._minutes.append(nanousd)
        if len(self._minutes) < self._warm_up:
            return
        ordered = sorted(self._minutes)
        self.median = ordered[len(ordered) // 2]
        middle = math.log(self.median)
        mad = sorted(abs(math.log(each) - middle) for each in ordered)[len(ordered) // 2]
        spread = math.exp(min(middle + DEVIATIONS * SIGMA_PER_MAD * mad, 41.0))  # exp(41) is $640 million
        self.most = max(self._floor, round(self._times * ordered[int(NEARLY_ALL * len(ordered))]), round(spread))


@dataclass(slots=True)
class _Trial:
    """The first request, and every tenth after it, goes a step further."""

    since_s: float
    requests: int = 0
    probes: int = 0
    spent_by_probes: int = 0


class Spending:
    """One route or key. `steps` are those that can help it, `normal` first and `refuse` last."""

    def __init__(self, config: CostBreaker, steps: tuple[Step, ...], now_s: float) -> None:
        self.usual = Usual(config)
        self.steps = steps
        self._step_s, self._hold_s = config.step_s, config.hold_s
        self._level = 0
        self._minute_s = now_s
        self._minute = self._minute_before = 0
        self._since_s = self._entered_s = now_s
        self._spent = 0
        """Since `_since_s`, when the present step was last looked at."""
        self._hold = config.hold_s
        self._normal_since_s = -math.inf
        self._trial: _Trial | None = None

    @property
    def step(self) -> Step:
        return self.steps[self._level]

    def retry_s(self, now_s: float) -> float:
        """Seconds until some requests are let go a step further."""
        return max(1.0, self._entered_s + self._hold - now_s)

    def ask(self, now_s: float) -> tuple[Step, bool, Change | None]:
        """How the next request goes, whether that is a probe, and the step that was taken if one was."""
        if not self._level:
            return "normal", False, None
        change = self._look(now_s)
        trial = self._trial
        if trial is None or not self._level:
            return self.step, False, change
        trial.requests += 1
        if trial.requests % PROBE_EVERY != 1:
            return self.step, False, change
        trial.probes += 1
        return self.steps[self._level - 1], True, change

    def spend(self, now_s: float, nanousd: int, *, was_probe: bool = False) -> Change | None:
        """A request is over that cost `nanousd`."""
        self._roll(now_s)
        self._minute += nanousd
        self._spent += nanousd
        if was_probe and self._trial is not None:
            self._trial.spent_by_probes += nanousd
        if self._level:
            return self._look(now_s)
        most = self.usual.most
        share = max(0.0, 1 - (now_s - self._minute_s) / 60)
        spending = self._minute + round(self._minute_before * share)
        if most is None or spending <= most:
            return None
        if now_s - self._normal_since_s < RELAPSE_S:
            self._hold = min(2 * self._hold, LONGEST_HOLD_S)
        else:
            self._hold = self._hold_s
        return self._go_to(1, now_s, spending)

    # ------------------------------------------------------------------ minutes

    def _roll(self, now_s: float) -> None:
        """Minutes that are over become what is usual, but for those that were held down."""
        passed = int((now_s - self._minute_s) // 60)
        if passed <= 0:
            return
        if self._minute and not self._level:
            self.usual.add(self._minute)
        self._minute_before = self._minute if passed == 1 else 0
        self._minute = 0
        self._minute_s += 60 * passed

    # ------------------------------------------------------------------ steps

    def _look(self, now_s: float) -> Change | None:
        """Whether the present step is enough, or no longer needed."""
        elapsed = now_s - self._since_s
        if elapsed < self._step_s:
            return None
        most = self.usual.most or 0
        if self._trial is not None:
            return self._judge(self._trial, now_s, most)
        spending = round(self._spent * 60 / elapsed)
        if spending > most and self._level < len(self.steps) - 1:
            return self._go_to(self._level + 1, now_s, spending)
        self._since_s, self._spent = now_s, 0
        if spending <= most and now_s - self._entered_s >= self._hold:
            self._trial = _Trial(now_s)
        return None

    def _judge(self, trial: _Trial, now_s: float, most: int) -> Change | None:
        if trial.probes < LEAST_PROBES and now_s - trial.since_s < 3 * self._step_s:
            return None
        self._trial = None
        if not trial.probes:  # nobody asked
            self._trial = _Trial(now_s)
            return None
        if_all = trial.spent_by_probes * trial.requests / trial.probes * 60 / (now_s - trial.since_s)
        if if_all <= most:
            return self._go_to(self._level - 1, now_s, round(if_all))
        self._hold = min(2 * self._hold, LONGEST_HOLD_S)
        self._since_s = self._entered_s = now_s
        self._spent = 0
        return None

    def _go_to(self, level: int, now_s: float, spending: int) -> Change:
        before = self.step
        self._level = level
        self._since_s = self._entered_s = now_s
        self._spent = 0
        self._trial = None
        if not level:
            self._normal_since_s = self._minute_s = now_s
            self._minute = self._minute_before = 0
        return Change(before, self.step, spending, self.usual.most or 0, self.usual.median)
