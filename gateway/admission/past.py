"""Limits and budgets over requests that are long past: which of them a configuration would have had room for.

The arithmetic is `limits.py`'s, as in the stores. What is missing is the reservation: a request is taken with what it
came to, at the time it came, since the worst case that was reserved for it is not known any more. Requests are
given in the order of time.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf

from gateway.admission.limits import TICKS, Bucket, Per, has_room, level_at, resets_at
from gateway.admission.plan import Ceiling, Plans, Rate, Slots
from gateway.config.model import Config, IssuedKey


class PastCaps:
    """All limits and budgets of a configuration and of the keys issued beside it, none of them used at `since_ms`."""

    def __init__(self, config: Config, issued: Sequence[IssuedKey], since_ms: int) -> None:
        self._plans = Plans(config)
        for key in issued:
            self._plans.know(key)
        self._teams = {key.name: key.team for key in config.keys}
        self._since_ms = since_ms
        self._rates: dict[Rate, _Rate] = {}
        self._slots: dict[Slots, _Slots] = {}
        self._accounts: dict[str, _Account] = {}

    @property
    def periods(self) -> set[Per]:
        """Those that any budget is for."""
        return {ceiling.account.per for ceiling in self._plans.ceilings()}

    def charge(
        self, per: Per, *, key: str | None, team: str | None, route: str | None, tokens: int, nanousd: int
    ) -> None:
        """Have budgets of the period know what requests used of it before the first that is replayed."""
        cap = self.of(key, team, route)
        for account in cap.accounts if cap else ():
            if account.ceiling.account.per == per:
                account.settled += account.amount(tokens, nanousd)

    def of(self, key: str | None, team: str | None, route: str | None) -> "PastCap | None":
        """What applies to requests of `key` on `route`; None where nothing does. `team`: what it was of then; a key
        that the configuration has is of the team that stands there."""
        plan = self._plans.plan(key or "", self._teams.get(key or "", team), route or "")
        if plan is None:
            return None
        return PastCap(
            [self._rates.setdefault(rate, _Rate(rate.per_minute, rate.kind == "requests")) for rate in plan.rates],
            [self._slots.setdefault(slots, _Slots(slots.limit)) for slots in plan.slots],
            [self._account(ceiling) for ceiling in plan.ceilings],
        )

    def _account(self, ceiling: Ceiling) -> "_Account":
        if ceiling.name not in self._accounts:
            self._accounts[ceiling.name] = _Account(ceiling, _end_ms(ceiling.account.per, self._since_ms))
        return self._accounts[ceiling.name]


@dataclass(slots=True)
class PastCap:
    """Everything that one kind of request has to fit."""

    rates: "Sequence[_Rate]"
    slots: "Sequence[_Slots]"
    accounts: "Sequence[_Account]"

    def prefers_cheap(self, at_ms: int, tokens: int, nanousd: int) -> bool:
        """Whether such a request goes past a soft budget."""
        return any(each.is_past_soft(at_ms, tokens, nanousd) for each in self.accounts)

    def takes(self, at_ms: int, tokens: int, nanousd: int, lasts_ms: int) -> bool:
        """Whether such a request has room; then it is taken. A hit is of 0 tokens, nano-dollars and milliseconds."""
        for rate in self.rates:
            if not rate.has_room(at_ms, tokens):
                return False
        for slots in self.slots:
            if lasts_ms and not slots.has_room(at_ms):
                return False
        for account in self.accounts:
            if not account.has_room(at_ms, tokens, nanousd):
                return False
        for rate in self.rates:
            rate.take(at_ms, tokens)
        for slots in self.slots:
            if lasts_ms:
                heapq.heappush(slots.end_ms, at_ms + lasts_ms)
        for account in self.accounts:
            account.settled += account.amount(tokens, nanousd)
        return True


_EMPTY = Bucket()


@dataclass(slots=True)
class _Rate:
    per_minute: int
    counts_requests: bool
    bucket: Bucket = _EMPTY

    def has_room(self, at_ms: int, tokens: int) -> bool:
        level = level_at(self.bucket, at_ms, per_minute=self.per_minute)
        return has_room(level, 1 if self.counts_requests else tokens, per_minute=self.per_minute)

    def take(self, at_ms: int, tokens: int) -> None:
        level = level_at(self.bucket, at_ms, per_minute=self.per_minute)
        self.bucket = Bucket(level + TICKS * (1 if self.counts_requests else tokens), at_ms)


@dataclass(slots=True)
class _Slots:
    limit: int
    end_ms: list[int] = field(default_factory=list)
    """Of those under way, the first to end first."""

    def has_room(self, at_ms: int) -> bool:
        while self.end_ms and self.end_ms[0] <= at_ms:
            heapq.heappop(self.end_ms)
        return len(self.end_ms) < self.limit


@dataclass(slots=True)
class _Account:
    ceiling: Ceiling
    ends_ms: float
    """Of the present period."""
    settled: int = 0

    def amount(self, tokens: int, nanousd: int) -> int:
        return tokens if self.ceiling.account.unit == "tokens" else nanousd

    def is_past_soft(self, at_ms: int, tokens: int, nanousd: int) -> bool:
        return self._is_past(self.ceiling.soft, at_ms, tokens, nanousd)

    def has_room(self, at_ms: int, tokens: int, nanousd: int) -> bool:
        return not self._is_past(self.ceiling.hard, at_ms, tokens, nanousd)

    def _is_past(self, limit: int | None, at_ms: int, tokens: int, nanousd: int) -> bool:
        """What takes nothing is in nobody's way."""
        if at_ms >= self.ends_ms:
            self.settled, self.ends_ms = 0, _end_ms(self.ceiling.account.per, at_ms)
        amount = self.amount(tokens, nanousd)
        return limit is not None and amount > 0 and self.settled + amount > limit


def _end_ms(per: Per, at_ms: int) -> float:
    ends = resets_at(per, at_ms)
    return inf if ends is None else ends.timestamp() * 1000
