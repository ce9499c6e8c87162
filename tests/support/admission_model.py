"""Admission as one would explain it on paper: the model that both stores are held to.

It keeps every event and adds up from the beginning each time: there is no counter to drift and no index to go
stale. Rates are computed in fractions, periods with `datetime`. What it shares with the stores is the vocabulary
(`Ask`, `Answer`, …) and nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from typing import Literal

from gateway.admission.plan import Account, Plan, Rate, Slots
from gateway.admission.stores import Answer, Ask, Balance, Closing, Lost, Verdict

BEAT_MS = 15_000
LEASE_MS = 3 * BEAT_MS
REMEMBERED_MS = 3_600_000
"""How long a lost grant may still be settled, and a closed one be known as such."""


@dataclass
class Story:
    """What became of one grant."""

    ask: Ask
    opened_ms: int
    ends_ms: int
    used: dict[str, int]
    """By unit, as the store was told."""
    state: Literal["open", "lost", "closed"] = "open"
    charged: dict[str, int] = field(default_factory=dict)
    forget_ms: float = 0
    """Once it is not open, the store need not know it from then on."""


@dataclass
class Booked:
    """Use that was charged without a grant."""

    plan: Plan
    at_ms: int
    used: dict[str, int]


@dataclass
class Model:
    now_ms: int
    stories: dict[str, Story] = field(default_factory=dict)
    booked: list[Booked] = field(default_factory=list)
    never_opened: dict[str, int] = field(default_factory=dict)
    """Ids that were closed first, and when they may be forgotten."""
    flows: dict[Rate, list[tuple[int, int]]] = field(default_factory=dict)
    """What went into each rate's bucket and came back: when, how many requests or tokens."""
    seen_ms: int = 0
    hold_ms: int = 0

    # -------------------------------------------------------------- where things stand

    def level(self, rate: Rate) -> Fraction:
        """Requests or tokens in the bucket, by playing its whole history."""
        level, at_ms = Fraction(0), 0
        for when_ms, amount in [*self.flows.get(rate, []), (self.now_ms, 0)]:
            drained = Fraction(rate.per_minute * max(0, when_ms - at_ms), 60_000)
            level, at_ms = max(Fraction(0), max(Fraction(0), level - drained) + amount), when_ms
        return level

    def held(self, slots: Slots) -> int:
        return sum(slots in story.ask.plan.slots for story in self.stories.values() if story.state == "open")

    def balance(self, account: Account) -> Balance:
        def is_here(plan: Plan, when_ms: int) -> bool:
            is_named = any(ceiling.account == account for ceiling in plan.ceilings)
            return is_named and period(account.per, when_ms) == period(account.per, self.now_ms)

        unit = account.unit
        here = [story for story in self.stories.values() if is_here(story.ask.plan, story.opened_ms)]
        lost = [story.charged[unit] for story in here if story.state == "lost" and demand(story.ask)[unit]]
        booked = [each.used[unit] for each in self.booked if is_here(each.plan, each.at_ms)]
        return Balance(
            settled=sum(story.charged[unit] for story in here if story.state != "open") + sum(booked),
            reserved=sum(demand(story.ask)[unit] for story in here if story.state == "open"),
            lost=sum(lost),
            lost_grants=len(lost),
        )

    def spent(self, account: Account) -> int:
        balance = self.balance(account)
        return balance.settled + balance.reserved

    # -------------------------------------------------------------- what happens

    def admit(self, ask: Ask) -> Answer:
        if ask.id in self.never_opened:
            return Answer(self.now_ms, Verdict.CLOSED, [])
        plan = ask.plan
        rates = [(self.level(rate), 1 if rate.kind == "requests" else ask.tokens) for rate in plan.rates]
        slots = [(self.held(each), 1 if ask.id else 0) for each in plan.slots]
        budgets = [(self.spent(each.account), demand(ask)[each.account.unit]) for each in plan.ceilings]
        verdict = self._judge(ask, rates, slots, budgets)
        rows = [*rates, *((Fraction(level), amount) for level, amount in (*slots, *budgets))]
        if verdict is Verdict.ADMITTED:
            rows = [(level + amount, 0) for level, amount in rows]
            self._take(ask)
        levels = [level * 60_000 if at < len(rates) else level for at, (level, _) in enumerate(rows)]
        assert all(int(level) == level for level in levels)
        return Answer(self.now_ms, verdict, [int(level) for level in levels])

    def _judge(
        self,
        ask: Ask,
        rates: list[tuple[Fraction, int]],
        slots: list[tuple[int, int]],
        budgets: list[tuple[int, int]],
    ) -> Verdict:
        def passes(rows: Sequence[tuple[Fraction | int, int]], limits: Sequence[int | None]) -> bool:
            pairs = zip(rows, limits, strict=True)
            return any(amount and limit is not None and level + amount > limit for (level, amount), limit in pairs)

        plan = ask.plan
        if passes(rates, [rate.per_minute for rate in plan.rates]) or passes(
            slots, [each.limit for each in plan.slots]
        ):
            return Verdict.REFUSED
        if ask.may_be_cheap and passes(budgets, [ceiling.soft for ceiling in plan.ceilings]):
            return Verdict.CHEAP
        return Verdict.REFUSED if passes(budgets, [each.hard for each in plan.ceilings]) else Verdict.ADMITTED

    def _take(self, ask: Ask) -> None:
        for rate in ask.plan.rates:
            if amount := 1 if rate.kind == "requests" else ask.tokens:
                self._flow(rate, amount)
        if ask.id:
            used = {"tokens": ask.prompt_tokens, "usd": ask.prompt_nanousd}
            self.stories[ask.id] = Story(ask, self.now_ms, self.now_ms + ask.lease_ms, used)

    def _flow(self, rate: Rate, amount: int) -> None:
        self.flows.setdefault(rate, []).append((self.now_ms, amount))

    def settle(self, closing: Closing) -> None:
        used = {"tokens": closing.tokens, "usd": closing.nanousd}
        story = self.stories.get(closing.id)
        is_known = closing.id in self.never_opened or (story is not None and story.forget_ms is not GONE)
        if story is not None and story.state == "open":
            self._close(story, "closed", used)
            story.forget_ms = GONE if closing.unsure is None else self.now_ms + REMEMBERED_MS
        elif story is not None and story.state == "lost" and is_known:
            story.state, story.charged, story.forget_ms = "closed", used, self.now_ms + REMEMBERED_MS
        elif closing.unsure is not None and not is_known:
            self.booked.append(Booked(closing.unsure, self.now_ms, used))
            self.never_opened[closing.id] = self.now_ms + REMEMBERED_MS

    def _close(self, story: Story, state: Literal["lost", "closed"], used: dict[str, int]) -> None:
        story.state, story.charged = state, used
        for rate in story.ask.plan.rates:
            if rate.kind == "tokens" and story.ask.tokens:
                self._flow(rate, used["tokens"] - story.ask.tokens)

    def renew(self, uses: Sequence[tuple[str, int, int]]) -> set[str]:
        gone = set()
        for name, tokens, nanousd in uses:
            story = self.stories[name]
            if story.state == "open":
                story.used = {"tokens": max(tokens, story.used["tokens"]), "usd": max(nanousd, story.used["usd"])}
                story.ends_ms = self.now_ms + LEASE_MS
            else:
                gone.add(name)
        return gone

    def sweep(self) -> Lost:
        if self.now_ms - self.seen_ms > 2 * BEAT_MS or self.now_ms < self.seen_ms:
            self.hold_ms = self.now_ms + 2 * BEAT_MS
        self.seen_ms = self.now_ms
        if self.now_ms < self.hold_ms:
            return Lost()
        over = [story for story in self.stories.values() if story.state == "open" and story.ends_ms <= self.now_ms]
        for story in over:
            self._close(story, "lost", story.used)
            story.forget_ms = self.now_ms + REMEMBERED_MS
        for story in self.stories.values():
            if story.state != "open" and story.forget_ms <= self.now_ms:
                story.forget_ms = GONE
        self.never_opened = {name: until for name, until in self.never_opened.items() if until > self.now_ms}
        return Lost(len(over), sum(story.used["tokens"] for story in over), sum(story.used["usd"] for story in over))


GONE = float("-inf")


def demand(ask: Ask) -> dict[str, int]:
    return {"tokens": ask.tokens, "usd": ask.nanousd}


def period(per: str, now_ms: int) -> str:
    now = datetime.fromtimestamp(now_ms // 1000, UTC).isoformat()
    return {"hour": now[:13], "day": now[:10], "month": now[:7], "total": ""}[per]
