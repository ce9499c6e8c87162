"""What applies to a request: the limits and budgets of its key, its team, its route and the whole gateway.

Pure. A `Plan` is made once for each combination and reused, with the text that the scripts read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from gateway.admission.limits import TICKS, Per
from gateway.config.model import Config, IssuedKey
from gateway.config.money import Budget, Limits
from gateway.value import value
from gateway.values import NANO

Kind = Literal["requests", "tokens"]
Unit = Literal["usd", "tokens"]


@value
class Rate:
    scope: str
    """`key:NAME`, `team:NAME`, `route:NAME` or `gateway`."""
    kind: Kind
    per_minute: int


@value
class Slots:
    """How many requests of `scope` may be under way at a time."""

    scope: str
    limit: int


@value
class Account:
    """What a budget is counted on. A soft and a hard budget of one scope, unit and period share it."""

    scope: str
    unit: Unit
    per: Per

    @property
    def name(self) -> str:
        return f"{self.scope}:{self.unit}:{self.per}"


@value
class Ceiling:
    """The budgets of one account, in nano-dollars or tokens: `hard` refuses, `soft` asks for the cheap tier."""

    account: Account
    name: str
    """The account's, made once."""
    hard: int | None
    soft: int | None
    may_fail_open: bool
    """`on_store_down: allow`, of the hard one."""


class Row(NamedTuple):
    """One limit or budget as the stores see it: all alike, each with its level and its limits in one unit."""

    letter: str
    """r: requests and t: tokens a minute, c: concurrent; budgets: k in tokens, u in nano-dollars."""
    name: str
    """Scope, or the account of a budget."""
    limit: int | None
    """In ticks, requests, tokens or nano-dollars."""
    soft: int | None = None
    per: Per | None = None
    """Of a budget."""
    rate: str | None = None
    """Name of the bucket of a rate."""
    per_minute: int = 0


@dataclass(frozen=True)
class Plan:
    rates: tuple[Rate, ...]
    slots: tuple[Slots, ...]
    ceilings: tuple[Ceiling, ...]

    def __bool__(self) -> bool:
        return bool(self.rates or self.slots or self.ceilings)

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """One for each level of an answer, in its order."""
        rows = [_rate_row(rate) for rate in self.rates]
        rows += [Row("c", slots.scope, slots.limit) for slots in self.slots]
        rows += [
            Row(_LETTER[each.account.unit], each.name, each.hard, each.soft, each.account.per) for each in self.ceilings
        ]
        return tuple(rows)

    @cached_property
    def text(self) -> str:
        """The rows as `admit.lua` reads them: letter, name, limit (of a rate, a minute's) and soft limit."""
        return "\n".join(
            f"{row.letter} {row.name} {_or_dash(row.per_minute or row.limit)} {_or_dash(row.soft)}" for row in self.rows
        )

    @cached_property
    def budgets(self) -> str:
        """Unit and account of each budget, as `settle.lua` reads them; a dash where there are none."""
        return " ".join(f"{_LETTER[each.account.unit]} {each.name}" for each in self.ceilings) or "-"

    @cached_property
    def holds(self) -> bool:
        """Whether a request that costs something has anything to give back or settle."""
        return bool(self.slots) or self.counts_tokens

    @cached_property
    def counts_requests(self) -> bool:
        return any(rate.kind == "requests" for rate in self.rates)

    @cached_property
    def counts_tokens(self) -> bool:
        """Whether it matters how much is generated."""
        return bool(self.ceilings) or any(rate.kind == "tokens" for rate in self.rates)

    @cached_property
    def counts_dollars(self) -> bool:
        return any(each.account.unit == "usd" for each in self.ceilings)

    @cached_property
    def may_fail_open(self) -> bool:
        """Whether every hard budget lets requests pass while the store is away."""
        return all(each.may_fail_open for each in self.ceilings if each.hard is not None)

    @cached_property
    def softs(self) -> tuple[tuple[Ceiling, int], ...]:
        return tuple((each, each.soft) for each in self.ceilings if each.soft is not None)


_MOST_MADE = 10_000
"""Combinations kept, some 20 MB: keys at run time may be many."""
_LETTER = {"usd": "u", "tokens": "k"}


def _rate_row(rate: Rate) -> Row:
    most = rate.per_minute * TICKS
    return Row(rate.kind[0], rate.scope, most, rate=f"{rate.kind}:{rate.scope}", per_minute=rate.per_minute)


def _or_dash(limit: int | None) -> str:
    return "-" if limit is None else str(limit)


class Plans:
    """The plans of one configuration, and of the keys that are issued at run time. Names that neither knows, such as
    the callers of `auth: passthrough`, have none."""

    def __init__(self, config: Config) -> None:
        sections: tuple[tuple[str, Iterable[tuple[str, Limits, tuple[Budget, ...]]]], ...] = (
            ("key", ((key.name, key.limits, key.budgets) for key in config.keys)),
            ("team", ((team.name, team.limits, team.budgets) for team in config.teams)),
            ("route", ((route.name, route.limits, route.budgets) for route in config.routes)),
        )
        self._of: dict[str, dict[str, Plan]] = {
            kind: {name: plan for name, limits, budgets in named if (plan := _plan(f"{kind}:{name}", limits, budgets))}
            for kind, named in sections
        }
        self._gateway = _plan("gateway", Limits(), config.budgets)
        self._issuers: dict[str, str] = {}
        self._issued: set[str] = set()
        self._made: dict[tuple[str | None, str | None, str | None], Plan | None] = {}

    def know(self, key: IssuedKey) -> None:
        """Have the limits and budgets of `key`, and of those that it was issued under, apply to it from now on."""
        if key.name in self._of["key"] and key.name not in self._issued:
            return  # the configuration's own
        self._issued.add(key.name)
        self._of["key"].pop(key.name, None)
        if plan := _plan(f"key:{key.name}", key.limits, key.budgets):
            self._of["key"][key.name] = plan
        if key.issuer is not None:
            self._issuers[key.name] = key.issuer
        self._made.clear()

    def plan(self, key: str, team: str | None, route: str) -> Plan | None:
        """What applies to a request of `key` and `team` on `route`; None where nothing does."""
        of = self._of
        names = (
            key if key in of["key"] or key in self._issuers else None,
            team if team in of["team"] else None,
            route if route in of["route"] else None,
        )
        try:
            return self._made[names]
        except KeyError:
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            return self._made.setdefault(names, self._join(*names))

    def ceilings(self) -> list[Ceiling]:
        """Every budget there is."""
        plans = [plan for named in self._of.values() for plan in named.values()]
        return [ceiling for plan in (*plans, self._gateway) for ceiling in plan.ceilings]

    def payers(self, scope: str) -> list[str]:
        """Whose spending is charged to `scope`, of its kind: itself, and of a key those that were issued under it."""
        kind, _, name = scope.partition(":")
        issued = [key for key in self._issuers if name in self._lineage(self._issuers[key])] if kind == "key" else []
        return [name, *issued]

    def __bool__(self) -> bool:
        return bool(self._gateway) or any(self._of.values())

    def _join(self, key: str | None, team: str | None, route: str | None) -> Plan | None:
        named = [("key", name) for name in self._lineage(key)] + [("team", team), ("route", route)]
        parts = [self._of[kind][name] for kind, name in named if name in self._of[kind]]
        parts.append(self._gateway)
        joined = Plan(
            rates=tuple(rate for part in parts for rate in part.rates),
            slots=tuple(slots for part in parts for slots in part.slots),
            ceilings=tuple(ceiling for part in parts for ceiling in part.ceilings),
        )
        return joined or None

    def _lineage(self, key: str | None) -> Iterator[str]:
        """`key` and the keys above it. None was issued under itself: names are used once."""
        while key is not None:
            yield key
            key = self._issuers.get(key)


def _plan(scope: str, limits: Limits, budgets: tuple[Budget, ...]) -> Plan:
    rates: list[Rate] = []
    if limits.requests_per_minute is not None:
        rates.append(Rate(scope, "requests", limits.requests_per_minute))
    if limits.tokens_per_minute is not None:
        rates.append(Rate(scope, "tokens", limits.tokens_per_minute))
    slots = () if limits.concurrent is None else (Slots(scope, limits.concurrent),)
    by_account: dict[Account, list[Budget]] = {}
    for budget in budgets:
        by_account.setdefault(Account(scope, budget.unit, budget.per), []).append(budget)
    return Plan(tuple(rates), slots, tuple(_ceiling(account, group) for account, group in by_account.items()))


def _ceiling(account: Account, budgets: list[Budget]) -> Ceiling:
    hard = [budget for budget in budgets if budget.on_exceeded == "reject"]
    soft = [budget for budget in budgets if budget.on_exceeded == "cheap"]
    return Ceiling(
        account=account,
        name=account.name,
        hard=min((_amount(budget) for budget in hard), default=None),
        soft=min((_amount(budget) for budget in soft), default=None),
        may_fail_open=all(budget.on_store_down == "allow" for budget in hard),
    )


def _amount(budget: Budget) -> int:
    return budget.tokens if budget.tokens is not None else round((budget.usd or 0) * NANO)
