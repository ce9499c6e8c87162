"""Limits and budgets of one process, kept by itself: `shared.lua` and its scripts, in Python.

Fast and always there. Other processes know nothing of it, and it is empty after a start.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from gateway.admission.limits import TICKS, Bucket, Per, counter_name, has_room, level_at
from gateway.admission.plan import Account, Ceiling, Plan, Rate
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
    counters: tuple[tuple[bool, _Counter], ...]
    """Whether it counts dollars, and the counter."""
    rates: tuple[Rate, ...]
    slots: tuple[str, ...]
    ends_ms: int


class MemoryAdmissionStore:
    """Never away, so nothing here raises. Methods are coroutines for the protocol's sake and never suspend."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], Bucket] = {}
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
        plan = ask.plan
        rates = [level_at(self._bucket(rate), now, per_minute=rate.per_minute) for rate in plan.rates]
        slots = [self._slots.get(each.scope, 0) for each in plan.slots]
        names = [counter_name(each.name, each.account.per, now) for each in plan.ceilings]
        budgets = [self._level(name) for name in names]
        levels = [*rates, *slots, *budgets]
        verdict = _judge(ask, rates, slots, budgets)
        if verdict is Verdict.ADMITTED:
            levels = [
                *(self._take_rate(rate, level, ask, now) for rate, level in zip(plan.rates, rates, strict=True)),
                *(level + bool(ask.id) for level in slots),
                *(level + _wanted(each, ask) for each, level in zip(plan.ceilings, budgets, strict=True)),
            ]
            if ask.id:
                self._open_grant(ask, names, now)
        return Answer(now, verdict, levels)

    def _open_grant(self, ask: Ask, names: list[str], now: int) -> None:
        counters: list[tuple[bool, _Counter]] = []
        for each, name in zip(ask.plan.ceilings, names, strict=True):
            if wanted := _wanted(each, ask):
                counter = self._counter(name, each.account.per, now)
                counter.reserved += wanted
                counters.append((each.account.unit == "usd", counter))
        for held in ask.plan.slots:
            self._slots[held.scope] += 1
        self._open[ask.id] = _Grant(
            tokens=ask.tokens,
            nanousd=ask.nanousd,
            used_tokens=ask.prompt_tokens,
            used_nanousd=ask.prompt_nanousd,
            counters=tuple(counters),
            rates=tuple(rate for rate in ask.plan.rates if rate.kind == "tokens" and ask.tokens),
            slots=tuple(held.scope for held in ask.plan.slots),
            ends_ms=now + ask.lease_ms,
        )

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
                self._counter(counter_name(each.name, each.account.per, now), each.account.per, now).settled += amount

    def _close(self, grant: _Grant, tokens: int, nanousd: int, now: int) -> None:
        for is_usd, counter in grant.counters:
            counter.settled += nanousd if is_usd else tokens
            counter.reserved -= grant.nanousd if is_usd else grant.tokens
        for rate in grant.rates:
            level = level_at(self._bucket(rate), now, per_minute=rate.per_minute)
            self._set_rate(rate, level + (tokens - grant.tokens) * TICKS, now)
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
            name = counter_name(account, per, now)
            if name == counter_name(account, per, at_ms) and level > self._level(name):
                self._counter(name, per, now).settled += level - self._level(name)
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

    def _level(self, name: str) -> int:
        counter = self._counters.get(name)
        return 0 if counter is None else counter.settled + counter.reserved

    def _counter(self, name: str, per: Per, now: int) -> _Counter:
        counter = self._counters.get(name)
        if counter is None:
            counter = self._counters[name] = _Counter(now + _KEPT_MS.get(per, float("inf")))
        return counter

    def _bucket(self, rate: Rate) -> Bucket:
        return self._buckets.get((rate.kind, rate.scope), _EMPTY)

    def _take_rate(self, rate: Rate, level: int, ask: Ask, now: int) -> int:
        amount = 1 if rate.kind == "requests" else ask.tokens
        if amount:
            self._set_rate(rate, level + amount * TICKS, now)
        return level + amount * TICKS

    def _set_rate(self, rate: Rate, level: int, now: int) -> None:
        self._buckets[rate.kind, rate.scope] = Bucket(max(0, level), now)


_EMPTY = Bucket()


def _wanted(ceiling: Ceiling, ask: Ask) -> int:
    return ask.nanousd if ceiling.account.unit == "usd" else ask.tokens


def _judge(ask: Ask, rates: list[int], slots: list[int], budgets: list[int]) -> Verdict:
    plan: Plan = ask.plan
    for rate, level in zip(plan.rates, rates, strict=True):
        amount = 1 if rate.kind == "requests" else ask.tokens
        if not has_room(level, amount, per_minute=rate.per_minute):
            return Verdict.REFUSED
    if ask.id and any(level >= each.limit for each, level in zip(plan.slots, slots, strict=True)):
        return Verdict.REFUSED
    is_over = False
    for each, level in zip(plan.ceilings, budgets, strict=True):
        wanted = _wanted(each, ask)
        after = level + wanted
        if wanted and ask.may_be_cheap and each.soft is not None and after > each.soft:
            return Verdict.CHEAP
        is_over = is_over or bool(wanted and each.hard is not None and after > each.hard)
    return Verdict.REFUSED if is_over else Verdict.ADMITTED


def _correct(grant: _Grant, closing: Closing) -> None:
    for is_usd, counter in grant.counters:
        charged = grant.nanousd if is_usd else grant.tokens
        counter.settled += (closing.nanousd if is_usd else closing.tokens) - charged
        counter.lost -= charged
        counter.lost_grants -= 1
