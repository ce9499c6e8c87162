"""Limits and budgets of one process, kept by itself: `shared.lua` and its scripts, in Python.

Fast and always there. Other processes know nothing of it, and it is empty after a start.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from gateway.admission.limits import TICKS, Bucket, Per, counter_name, level_at
from gateway.admission.plan import Account, Plan, Row
from gateway.admission.stores import Answer, Ask, Balance, Closing, Known, Lost, Swept, Verdict
from gateway.clock import Clock

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_KEPT_MS: dict[Per, int] = {"hour": 2 * _DAY_MS, "day": 2 * _DAY_MS, "month": 33 * _DAY_MS}
"""How long a counter is kept from its first use: its period and a day at least."""
_LOST_KEPT_MS = _HOUR_MS
"""How long a grant that was lost may still be settled with its true use."""
_CLOSED_KEPT_MS = _HOUR_MS


@dataclass(slots=True)
class _Counter:
    """An account in one period."""

    ends_ms: float
    settled: int = 0
    reserved: int = 0
    lost: int = 0
    lost_grants: int = 0


@dataclass(slots=True)
class _Grant:
    """`tokens` and `nanousd` are reserved, or once it is lost, charged."""

    tokens: int
    nanousd: int
    used_tokens: int
    used_nanousd: int
    counters: list[tuple[bool, _Counter]]
    """Whether it counts dollars, and the counter."""
    rates: list[Row]
    slots: list[str]
    ends_ms: int


class MemoryAdmissionStore:
    """Never away, so nothing here raises. Methods are coroutines for the protocol's sake and never suspend."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[str, Bucket] = {}
        self._slots: defaultdict[str, int] = defaultdict(int)
        self._counters: dict[str, _Counter] = {}
        self._open: dict[str, _Grant] = {}
        self._lost: dict[str, _Grant] = {}
        self._closed: dict[str, int] = {}
        """Ids that can no longer be opened, until then."""
        self._seen_ms = 0
        self._hold_ms = 0

    # ------------------------------------------------------------------ admit

    async def admit(self, ask: Ask) -> Answer:
        now = self._now()
        if ask.id in self._closed:
            return Answer(now, Verdict.CLOSED, ())
        wants = _wants(ask)
        levels = [self._level(row, now) for row in ask.plan.rows]
        verdict = _judge(ask, wants, levels)
        if verdict is Verdict.ADMITTED:
            self._take(ask, wants, levels, now)
        return Answer(now, verdict, levels)

    def _level(self, row: Row, now: int) -> int:
        if row.rate is not None:
            return level_at(self._buckets.get(row.rate, _EMPTY), now, per_minute=row.per_minute)
        if row.per is not None:
            counter = self._counters.get(counter_name(row.name, row.per, now))
            return 0 if counter is None else counter.settled + counter.reserved
        return self._slots.get(row.name, 0)

    def _take(self, ask: Ask, wants: dict[str, int], levels: list[int], now: int) -> None:
        """Bring `levels` up to what they are with the demand of `ask`, here and in the store."""
        counters: list[tuple[bool, _Counter]] = []
        rates: list[Row] = []
        slots: list[str] = []
        for at, row in enumerate(ask.plan.rows):
            want = wants[row.letter]
            if not want:
                continue
            levels[at] += want
            if row.rate is not None:
                self._buckets[row.rate] = Bucket(levels[at], now)
                if row.letter == "t":
                    rates.append(row)
            elif row.per is not None:
                counter = self._counter(row.name, row.per, now)
                counter.reserved += want
                counters.append((row.letter == "u", counter))
            else:
                self._slots[row.name] += 1
                slots.append(row.name)
        if ask.id:
            used = (ask.prompt_tokens, ask.prompt_nanousd)
            self._open[ask.id] = _Grant(ask.tokens, ask.nanousd, *used, counters, rates, slots, now + ask.lease_ms)

    # ------------------------------------------------------------------ settle

    async def settle(self, closings: Sequence[Closing]) -> None:
        now = self._now()
        for closing in closings:
            if grant := self._open.pop(closing.id, None):
                self._close(grant, closing.tokens, closing.nanousd, now)
                if closing.unsure is None:
                    continue
            elif grant := self._lost.pop(closing.id, None):
                _correct(grant, closing)
            elif closing.unsure is not None and closing.id not in self._closed:
                self._charge(closing.unsure, closing, now)
            else:
                continue
            self._closed[closing.id] = now + _CLOSED_KEPT_MS

    def _charge(self, plan: Plan, closing: Closing, now: int) -> None:
        """Use of a grant that was never opened."""
        for each in plan.ceilings:
            amount = closing.nanousd if each.account.unit == "usd" else closing.tokens
            if amount:
                self._counter(each.name, each.account.per, now).settled += amount

    def _close(self, grant: _Grant, tokens: int, nanousd: int, now: int) -> None:
        for is_usd, counter in grant.counters:
            counter.settled += nanousd if is_usd else tokens
            counter.reserved -= grant.nanousd if is_usd else grant.tokens
        for row in grant.rates:
            assert row.rate is not None
            level = self._level(row, now) + (tokens - grant.tokens) * TICKS
            self._buckets[row.rate] = Bucket(max(0, level), now)
        for scope in grant.slots:
            self._slots[scope] -= 1
            if not self._slots[scope]:
                del self._slots[scope]

    # ------------------------------------------------------------------ leases

    async def renew(self, uses: Sequence[tuple[str, int, int]], lease_ms: int) -> set[str]:
        ends_ms = self._now() + lease_ms
        gone = set()
        for name, tokens, nanousd in uses:
            grant = self._open.get(name)
            if grant is None:
                gone.add(name)
                continue
            grant.used_tokens = max(grant.used_tokens, tokens)
            grant.used_nanousd = max(grant.used_nanousd, nanousd)
            grant.ends_ms = ends_ms
        return gone

    async def sweep(self, beat_ms: int) -> Swept:
        now = self._now()
        if now - self._seen_ms > 2 * beat_ms or now < self._seen_ms:
            self._hold_ms = now + 2 * beat_ms
        self._seen_ms = now
        if now < self._hold_ms:
            return Swept(Lost(), epoch=1)
        lost = Lost()
        for name in [name for name, grant in self._open.items() if grant.ends_ms <= now]:
            lost += self._lose(name, now)
        self._forget(now)
        return Swept(lost, epoch=1)

    def _lose(self, name: str, now: int) -> Lost:
        grant = self._open.pop(name)
        tokens, nanousd = grant.used_tokens, grant.used_nanousd
        self._close(grant, tokens, nanousd, now)
        for is_usd, counter in grant.counters:
            counter.lost += nanousd if is_usd else tokens
            counter.lost_grants += 1
        grant.tokens, grant.nanousd, grant.ends_ms = tokens, nanousd, now + _LOST_KEPT_MS
        self._lost[name] = grant
        return Lost(1, tokens, nanousd)

    def _forget(self, now: int) -> None:
        self._closed = {name: until for name, until in self._closed.items() if until > now}
        self._lost = {name: grant for name, grant in self._lost.items() if grant.ends_ms > now}
        self._counters = {name: counter for name, counter in self._counters.items() if counter.ends_ms > now}

    # ------------------------------------------------------------------ counters and buckets

    async def restore(self, known: Known) -> int:
        now = self._now()
        for account, (level, at_ms) in known.items():
            per = cast(Per, account.rpartition(":")[2])
            if counter_name(account, per, now) == counter_name(account, per, at_ms):
                counter = self._counter(account, per, now)
                counter.settled += max(0, level - counter.settled - counter.reserved)
        return 1

    async def read(self, accounts: Sequence[Account]) -> tuple[int, list[Balance]]:
        now = self._now()
        found = (self._counters.get(counter_name(account.name, account.per, now)) for account in accounts)
        return now, [
            Balance(each.settled, each.reserved, each.lost, each.lost_grants) if each else Balance(0, 0, 0, 0)
            for each in found
        ]

    async def warning(self) -> str | None:
        return None

    def _now(self) -> int:
        return round(self._clock.wall() * 1000)

    def _counter(self, account: str, per: Per, now: int) -> _Counter:
        name = counter_name(account, per, now)
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _Counter(now + _KEPT_MS.get(per, float("inf")))
        return counter


_EMPTY = Bucket()


def _wants(ask: Ask) -> dict[str, int]:
    """What `ask` takes from a row of each letter."""
    return {
        "r": TICKS,
        "t": ask.tokens * TICKS,
        "c": 1 if ask.id else 0,
        "k": ask.tokens,
        "u": ask.nanousd,
    }


def _judge(ask: Ask, wants: dict[str, int], levels: list[int]) -> Verdict:
    """Rates and slots first, since no tier helps there. What takes nothing is in nobody's way."""
    is_over_soft = is_over_hard = False
    for row, level in zip(ask.plan.rows, levels, strict=True):
        want = wants[row.letter]
        if not want:
            continue
        is_over = row.limit is not None and level + want > row.limit
        if row.per is None and is_over:
            return Verdict.REFUSED
        is_over_hard = is_over_hard or is_over
        is_over_soft = is_over_soft or (row.soft is not None and level + want > row.soft)
    if ask.may_be_cheap and is_over_soft:
        return Verdict.CHEAP
    return Verdict.REFUSED if is_over_hard else Verdict.ADMITTED


def _correct(grant: _Grant, closing: Closing) -> None:
    for is_usd, counter in grant.counters:
        charged = grant.nanousd if is_usd else grant.tokens
        counter.settled += (closing.nanousd if is_usd else closing.tokens) - charged
        counter.lost -= charged
        counter.lost_grants -= 1
