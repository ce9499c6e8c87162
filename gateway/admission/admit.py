"""May this request run now? Everything it may use is taken before the call, and settled once after it.

    async with admission.admit(caller, route.name, demand, standing) as grant:   # or RateLimited, BudgetExceeded, …
        …
        grant.settle(tokens, nanousd)

One command to the store covers all limits and budgets of a request; where none apply there is none.
Settling, renewing and sweeping go on in the background (`keeper.py`). While the store is away limits
fail open, which is counted, and budgets fail closed unless each of them says `on_store_down: allow`.
"""

import itertools
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Self

from gateway.admission.breaker import NORMAL, Allowed, Breaker
from gateway.admission.keeper import Grant, Keeper
from gateway.admission.limits import began_ms, counter_name, standing_of
from gateway.admission.plan import Ceiling, Plan, Plans
from gateway.admission.refusal import refusal
from gateway.admission.stores import AdmissionStore, Answer, Ask, Closing, Lost, Verdict
from gateway.admission.told import told
from gateway.clock import Clock
from gateway.config.model import Config, IssuedKey, Tokens
from gateway.errors import (
    BackgroundUnmetered,
    BudgetUnavailable,
    CompletionUnbounded,
    PriceUnknown,
    SpendingTooFast,
    StoreUnavailable,
)
from gateway.record import Record
from gateway.value import value
from gateway.values import NANO, Caller, Standing

_MOST_CHARGED = 10**15
"""Tokens or nano-dollars of one request. An upstream that reports more is wrong, and sums must stay exact."""

_READ_AT_ONCE = 100
"""Budgets by one run of the script: about a millisecond of the server's time."""


@value
class Demand:
    """The most a request may use; the prompt's part is the least it is charged if its process dies."""

    tokens: int | None = 0
    """Prompt and completion of all choices; None where nothing bounds the completion."""
    nanousd: int = 0
    """What they cost at the dearest of its targets; 0 where a bound or a price is missing."""
    prompt_tokens: int = 0
    prompt_nanousd: int = 0
    unpriced: str | None = None
    """The model that has no known price, if one of its targets has none."""
    may_be_cheap: bool = False
    """It is meant for the expensive tier, and might go to the cheap one instead."""
    is_background: bool = False
    """It is answered before it is made: what it used is never told where it could be charged."""


NOTHING = HIT = Demand()
"""What an answer from the cache takes: one request, no token, no dollar, no slot."""

PASSED = Demand(tokens=1, nanousd=1)
"""What passes through and cannot be counted beforehand: one request, one slot, and something left of each budget."""


class CheapWanted(Exception):
    """A soft budget is used up: nothing was taken. To be decided again with the cheap tier, and asked again."""


class Admission:
    """The limits and budgets of one configuration; an async context manager that owns the tasks behind them."""

    def __init__(self, config: Config, store: AdmissionStore, clock: Clock) -> None:
        self.unchecked: Counter[str] = Counter()
        """Requests that passed unchecked while the store was away: of `limits`, of `budgets`."""
        self.breaker = None if config.cost_breaker is None else Breaker(config, config.cost_breaker, clock)
        self._plans = Plans(config)
        self._store = store
        self._clock = clock
        self._configured = self._plans.ceilings()
        self._keeper = Keeper(store, self._plans.ceilings, lease_s=config.lease_s)
        self._process = secrets.token_hex(6)
        self._numbers = itertools.count()

    async def __aenter__(self) -> Self:
        if self._plans:
            self._keeper.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._keeper.close()

    def know(self, key: IssuedKey) -> None:
        """Have the limits and budgets of a key that was issued at run time hold from now on."""
        self._plans.know(key)
        if self._plans:
            self._keeper.start()

    # ------------------------------------------------------------------ a request

    def applies(self, caller: Caller, route: str) -> bool:
        """Whether anything is limited here at all; without it no demand has to be worked out."""
        return self._plans.plan(caller.name, caller.team, route) is not None

    def admit(
        self, caller: Caller, route: str, demand: Demand, standing: dict[str, Standing]
    ) -> AbstractAsyncContextManager[Grant]:
        """Take what `demand` may need; leaving settles the grant with what it reported, if it was not settled.

        `standing` is filled, whether the request is admitted or refused, with what is left of each
        kind of rate that applies. Entering raises RateLimited, BudgetExceeded, BudgetUnavailable,
        BackgroundUnmetered, CompletionUnbounded, PriceUnknown, and CheapWanted only for a demand that `may_be_cheap`.
        """
        plan = self._plans.plan(caller.name, caller.team, route)
        if plan is None:
            return _FREE
        return _Entry(self, plan, demand, standing)

    def state(self, caller: Caller, route: str) -> Allowed:
        """How far a request is to be stepped down, as far as this process knows: by the cost breaker, and to `cheap`
        by a soft budget that was used up when last heard of. Asks no store. Raises SpendingTooFast at `refuse`."""
        allowed = NORMAL if self.breaker is None else self.breaker.allowed(caller, route)
        if allowed.step == "refuse":
            raise self.too_fast(caller, route)
        if allowed.step != "normal" or not self._has_used_up_a_soft_one(caller, route):
            return allowed
        return allowed._replace(step="cheap")

    def capped(self, tokens: Tokens) -> Tokens:
        """A route's policy with its completions as short as the cost breaker wants them."""
        assert self.breaker is not None, "only the cost breaker steps down so far"
        most = min(self.breaker.max_completion, tokens.max_completion or self.breaker.max_completion)
        default = None if tokens.default_completion is None else min(most, tokens.default_completion)
        return tokens.model_copy(update={"max_completion": most, "default_completion": default})

    def too_fast(self, caller: Caller, route: str) -> SpendingTooFast:
        """Why a request that would cost something is refused at `cache_only` and `refuse`."""
        assert self.breaker is not None, "only the cost breaker steps down so far"
        return SpendingTooFast(retry_after_s=self.breaker.retry_s(caller, route))

    def observe(self, record: Record) -> None:
        """Have the cost breaker know what a finished request cost."""
        if self.breaker is not None and record.caller is not None and record.route is not None:
            nanousd = record.cost.nanousd if record.cost is not None else 0
            if nanousd or record.probes:
                self.breaker.spend(record.caller, record.route, nanousd, record.probes)

    @property
    def has_budgets(self) -> bool:
        return bool(self._plans.ceilings())

    async def recall(self, spent: Callable[[int, str, list[str]], Awaitable[tuple[int, int]]]) -> None:
        """Have on every budget at least what `spent` says (since when in milliseconds, kind, names → nano-dollars and
        tokens): for a store that has just begun to count. Raises what that raises, and StoreUnavailable."""
        now_ms = int(self._clock.wall() * 1000)
        known: dict[str, tuple[int, int]] = {}
        for ceiling in self._plans.ceilings():
            account = ceiling.account
            since_ms, kind = began_ms(account.per, now_ms), account.scope.partition(":")[0]
            nanousd, tokens = await spent(since_ms, kind, self._plans.payers(account.scope))
            known[ceiling.name] = (nanousd if account.unit == "usd" else tokens, now_ms)
        await self._store.restore(known)

    # ------------------------------------------------------------------ what there is to see

    @property
    def lost(self) -> Lost:
        """Leases that ended unrenewed and were charged what was known, as far as this process found them."""
        return self._keeper.lost

    def remaining_usd(self) -> dict[tuple[str, ...], float]:
        """Of each budget in the configuration `(scope and period,)` → dollars that are neither spent nor reserved, as
        last heard of; below 0 when more was spent than had been reserved."""
        return {
            (f"{ceiling.account.scope}:{ceiling.account.per}",): (ceiling.hard - self._used(ceiling)) / NANO
            for ceiling in self._configured
            if ceiling.account.unit == "usd" and ceiling.hard is not None
        }

    async def budgets(self) -> list[dict[str, Any]]:
        """Every budget in its present period, in dollars or tokens, as JSON. Raises StoreUnavailable."""
        found = []
        ceilings = self._plans.ceilings()
        for at in range(0, len(ceilings), _READ_AT_ONCE):
            some = ceilings[at : at + _READ_AT_ONCE]
            now_ms, balances = await self._store.read([ceiling.account for ceiling in some])
            found += [told(ceiling, balance, now_ms) for ceiling, balance in zip(some, balances, strict=True)]
        return found

    def _has_used_up_a_soft_one(self, caller: Caller, route: str) -> bool:
        plan = self._plans.plan(caller.name, caller.team, route)
        return plan is not None and any(self._used(ceiling) >= soft for ceiling, soft in plan.softs)

    def _used(self, ceiling: Ceiling) -> int:
        """Settled and reserved of the present period, as far as this process has heard."""
        used, at_ms = self._keeper.levels.get(ceiling.name, (0, 0))
        per, now_ms = ceiling.account.per, int(self._clock.wall() * 1000)
        is_over = used and counter_name("", per, at_ms) != counter_name("", per, now_ms)
        return 0 if is_over else used

    # ------------------------------------------------------------------ entering

    async def _enter(self, plan: Plan, demand: Demand, standing: dict[str, Standing]) -> Grant:
        ask = self._ask(plan, demand)
        if ask is None:
            return Grant("")
        try:
            answer = await self._store.admit(ask)
            if answer.verdict is Verdict.EMPTY:
                await self._keeper.restore()
                answer = await self._store.admit(ask)
            if answer.verdict is Verdict.REFUSED and ask.id and await self._keeper.catch_up():
                answer = await self._store.admit(ask)  # what this process had not given back yet may be there now
        except StoreUnavailable as error:
            return self._enter_unchecked(ask, error)
        except BaseException:  # cancelled: it may have been taken or not
            if ask.id:
                self._keeper.settle(Closing(ask.id, 0, 0, unsure=plan))
            raise
        self._note(plan, answer, standing)
        if answer.verdict is Verdict.ADMITTED:
            return self._open(Grant(ask.id, self._settle, completion_tokens=_reserved(ask))) if ask.id else Grant("")
        if answer.verdict is Verdict.CHEAP:
            raise CheapWanted
        raise refusal(ask, answer)

    def _ask(self, plan: Plan, demand: Demand) -> Ask | None:
        """None for a demand that takes nothing from any limit of `plan`."""
        if plan.ceilings:
            _demand_bounds(plan, demand)
        tokens = demand.prompt_tokens if demand.tokens is None else demand.tokens
        is_held = plan.holds and tokens > 0
        if not is_held and not plan.counts_requests:
            return None
        return Ask(
            plan=plan,
            id=f"{self._process}-{next(self._numbers):x}" if is_held else "",
            lease_ms=self._keeper.lease_ms,
            tokens=tokens,
            nanousd=demand.nanousd,
            prompt_tokens=demand.prompt_tokens,
            prompt_nanousd=demand.prompt_nanousd,
            may_be_cheap=demand.may_be_cheap,
        )

    def _enter_unchecked(self, ask: Ask, error: StoreUnavailable) -> Grant:
        """The store is away. What it may have taken all the same is given back, or charged, when it is there again."""
        is_open = ask.plan.may_fail_open or not ask.id
        if not is_open:
            if error.may_have_run:
                self._keeper.settle(Closing(ask.id, 0, 0, unsure=ask.plan))
            raise BudgetUnavailable from error
        if ask.plan.rates or ask.plan.slots:
            self.unchecked["limits"] += 1
        if not ask.id:
            return Grant("")
        if ask.plan.ceilings:
            self.unchecked["budgets"] += 1
        elif not error.may_have_run:
            return Grant("")

        def settle(grant: Grant) -> None:
            self._keeper.settle(Closing(ask.id, *_sane(grant), unsure=ask.plan))

        return Grant(ask.id, settle, completion_tokens=_reserved(ask))

    def _open(self, grant: Grant) -> Grant:
        self._keeper.open[grant.id] = grant
        return grant

    def _settle(self, grant: Grant) -> None:
        self._keeper.settle(Closing(grant.id, *_sane(grant)))

    def _note(self, plan: Plan, answer: Answer, standing: dict[str, Standing]) -> None:
        """What was learnt of rates, for the client, and of budgets, for the next decision."""
        if not answer.levels:
            return
        if plan.rates:
            standing.update(_tightest(plan, answer.levels))
        first = len(plan.rates) + len(plan.slots)
        for ceiling, level in zip(plan.ceilings, answer.levels[first:], strict=True):
            self._keeper.levels[ceiling.name] = (level, answer.now_ms)


class _Entry:
    """One request on its way in, and out."""

    __slots__ = ("_admission", "_demand", "_grant", "_plan", "_standing")

    def __init__(self, admission: Admission, plan: Plan, demand: Demand, standing: dict[str, Standing]) -> None:
        self._admission = admission
        self._plan = plan
        self._demand = demand
        self._standing = standing

    async def __aenter__(self) -> Grant:
        self._grant = await self._admission._enter(self._plan, self._demand, self._standing)
        return self._grant

    async def __aexit__(self, *_: object) -> None:
        self._grant.end()


class _Free:
    """Nothing applies, nothing is held."""

    _GRANT = Grant("")

    async def __aenter__(self) -> Grant:
        return self._GRANT

    async def __aexit__(self, *_: object) -> None:
        pass


_FREE = _Free()


def _demand_bounds(plan: Plan, demand: Demand) -> None:
    """Under a budget the worst case must be known, and what was used be told."""
    if demand.is_background:
        raise BackgroundUnmetered
    if demand.unpriced is not None and plan.counts_dollars:
        raise PriceUnknown(demand.unpriced)
    if demand.tokens is None:
        raise CompletionUnbounded


def _reserved(ask: Ask) -> int | None:
    """Of the completion."""
    return ask.tokens - ask.prompt_tokens if ask.plan.counts_tokens else None


def _sane(grant: Grant) -> tuple[int, int]:
    return min(grant.tokens, _MOST_CHARGED), min(grant.nanousd, _MOST_CHARGED)


def _tightest(plan: Plan, levels: Sequence[int]) -> dict[str, Standing]:
    """Of each kind of rate the one with the least left."""
    found: dict[str, Standing] = {}
    for rate, level in zip(plan.rates, levels, strict=False):
        here = standing_of(level, per_minute=rate.per_minute)
        if rate.kind not in found or here.remaining < found[rate.kind].remaining:
            found[rate.kind] = here
    return found
