"""Random histories of admission, played on a store and on the model side by side; every answer has to agree."""

from abc import ABCMeta, abstractmethod
from collections.abc import Coroutine
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    StateMachineMeta,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from gateway.admission.plan import Account, Ceiling, Plan, Rate, Slots
from gateway.admission.stores import AdmissionStore, Answer, Ask, Closing, Verdict
from tests.support.admission_model import BEAT_MS, LEASE_MS, Model

TOP = 9_000_000_000_000_000


def ceiling(account: Account, hard: int | None, soft: int | None = None) -> Ceiling:
    return Ceiling(account, account.name, hard, soft, may_fail_open=False)


KEY = Plan(
    rates=(Rate("key:a", "requests", 7), Rate("key:a", "tokens", 999)),
    slots=(Slots("key:a", 3),),
    ceilings=(ceiling(Account("key:a", "usd", "hour"), 5_000), ceiling(Account("key:a", "tokens", "day"), 1_500)),
)
TEAM = Plan(
    rates=(Rate("team:t", "tokens", 2_000),),
    slots=(),
    ceilings=(
        ceiling(Account("team:t", "usd", "month"), TOP, 9_000),
        ceiling(Account("team:t", "tokens", "total"), 9_000, 4_000),
    ),
)
WHOLE = Plan(rates=(), slots=(), ceilings=(ceiling(Account("gateway", "usd", "total"), TOP),))
"""Amounts near the highest that Lua can add up."""
FEW = Plan(rates=(), slots=(), ceilings=(ceiling(Account("route:r", "tokens", "hour"), 4),))
ALL = Plan(
    rates=KEY.rates + TEAM.rates,
    slots=KEY.slots + TEAM.slots,
    ceilings=KEY.ceilings + TEAM.ceilings + WHOLE.ceilings,
)
PLANS = {"key": KEY, "team": TEAM, "few": FEW, "whole": WHOLE, "all": ALL}
CEILINGS = ALL.ceilings + FEW.ceilings
ACCOUNTS = [each.account for each in CEILINGS]

STARTS_MS = (1_709_204_399_500, 1_798_761_590_000, 1_793_448_000_000)
"""Just before 2024-02-29T11:00, before 2027-01-01T00:00, and at 2026-10-31T12:00."""
STEPS_MS = st.one_of(
    st.integers(0, 2_000),
    st.integers(0, 4 * BEAT_MS),
    st.sampled_from([3_600_000, 86_400_000, 31 * 86_400_000]),
    st.integers(-600_000, -1),
)
PARTS = st.sampled_from([0, 1, 10, 50, 99, 100])
"""Percent of what was reserved."""
WANTED = st.tuples(
    st.sampled_from(["key", "key", "team", "team", "few", "all", "whole"]),
    st.one_of(st.sampled_from([0, 1, 1, 2, 333, 500, 999, 1_000]), st.integers(0, 60), st.integers(0, 1_200)),  # tokens
    st.sampled_from([0, 1, 5, 7, TOP // 1_000]),  # nano-dollars each
    PARTS,  # the prompt's
    st.booleans(),  # may be cheap
    st.booleans(),  # the client is not sure that it was opened
)


class _AbstractMachine(StateMachineMeta, ABCMeta):
    """Hypothesis's machines have a metaclass of their own."""


class AdmissionMachine(RuleBasedStateMachine, metaclass=_AbstractMachine):
    """Subclasses bring the store, a way to run its coroutines, and its clock."""

    grants = Bundle("grants")

    @abstractmethod
    def new_store(self) -> AdmissionStore: ...

    @abstractmethod
    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any: ...

    @abstractmethod
    def set_time(self, now_ms: int) -> None:
        """Have the store's clock show this, whichever way that is."""

    @initialize(start_ms=st.sampled_from(STARTS_MS))
    def begin(self, start_ms: int) -> None:
        self.store = self.new_store()
        self.model = Model(start_ms)
        self.latest_ms = start_ms
        self.is_honest = True
        """Nobody has used more than was reserved, nor used anything without asking."""
        self.is_unsure: dict[str, bool] = {}
        self.set_time(start_ms)
        self.run(self.store.restore({}))

    # -------------------------------------------------------------- time

    @rule(step_ms=STEPS_MS)
    def time_passes(self, step_ms: int) -> None:
        assume(self.model.now_ms + step_ms > self.latest_ms - 1_800_000)  # ended periods are kept for a day only
        self.model.now_ms += step_ms
        self.latest_ms = max(self.latest_ms, self.model.now_ms)
        self.set_time(self.model.now_ms)

    # -------------------------------------------------------------- requests

    @rule(target=grants, wanted=st.lists(WANTED, min_size=1, max_size=5))
    def admit(self, wanted: list[tuple[str, int, int, int, bool, bool]]) -> Any:
        return multiple(*(ask for each in wanted if (ask := self._admit(*each))))

    @rule(target=grants, amounts=st.lists(st.integers(1, 3), min_size=3, max_size=6))
    def admit_a_crowd(self, amounts: list[int]) -> Any:
        """Up to the limit and beyond it, to the token."""
        return multiple(*(ask for tokens in amounts if (ask := self._admit("few", tokens, 1, 100, False, False))))

    def _admit(
        self, plan: str, tokens: int, price: int, prompt: int, may_be_cheap: bool, is_unsure: bool
    ) -> Ask | None:
        prompt_tokens = tokens * prompt // 100
        name = f"p-{len(self.is_unsure)}" if tokens else ""
        ask = Ask(
            PLANS[plan], name, LEASE_MS, tokens, tokens * price, prompt_tokens, prompt_tokens * price, may_be_cheap
        )
        answer, expected = self.run(self.store.admit(ask)), self.model.admit(ask)
        assert _facts(answer) == _facts(expected), f"{_facts(answer)}, expected {_facts(expected)}"
        if not name or answer.verdict is not Verdict.ADMITTED:
            return None
        self.is_unsure[name] = is_unsure
        return ask

    @precondition(lambda self: len(self.is_unsure) % 5 == 1)
    @rule(plan=st.sampled_from(["key", "team", "all"]), tokens=st.integers(1, 500), is_used=st.booleans())
    def close_before_it_is_opened(self, plan: str, tokens: int, is_used: bool) -> None:
        """A store that answered too late: its client has gone on, and the command is still under way."""
        name = f"late-{len(self.model.never_opened)}-{self.model.now_ms}"
        assume(name not in self.model.never_opened)
        self._settle(Closing(name, tokens * is_used, 7 * tokens * is_used, unsure=PLANS[plan]))
        self.is_honest = self.is_honest and not is_used
        ask = Ask(PLANS[plan], name, LEASE_MS, tokens, tokens * 7, tokens, tokens * 7)
        assert self.run(self.store.admit(ask)).verdict is self.model.admit(ask).verdict is Verdict.CLOSED

    @rule(ask=grants, part=PARTS)
    def settle(self, ask: Ask, part: int) -> None:
        """For the first time, once more, or late."""
        if self.model.stories[ask.id].state == "lost":
            self.is_honest = False  # what came back when it was lost may be gone
        self._settle(self._closing(ask, part))

    @rule(ask=consumes(grants), part=st.sampled_from([101, 300]))
    def settle_with_more_than_was_reserved(self, ask: Ask, part: int) -> None:
        assume(ask.nanousd < TOP // 1_000)  # beyond 2**53 in all, Redis is no longer exact
        self.is_honest = False
        self._settle(self._closing(ask, part))

    def _closing(self, ask: Ask, part: int) -> Closing:
        unsure = ask.plan if self.is_unsure[ask.id] else None
        return Closing(ask.id, ask.tokens * part // 100, ask.nanousd * part // 100, unsure)

    def _settle(self, closing: Closing) -> None:
        if closing.id in self.model.stories and closing.unsure is not None:
            assume(self.model.stories[closing.id].forget_ms >= 0)  # nobody repeats a settlement after an hour
        self.run(self.store.settle([closing]))
        self.model.settle(closing)

    # -------------------------------------------------------------- leases

    @rule(ask=grants, part=PARTS)
    def renew(self, ask: Ask, part: int) -> None:
        uses = [(ask.id, ask.tokens * part // 100, ask.nanousd * part // 100)]
        assert self.run(self.store.renew(uses, LEASE_MS)) == self.model.renew(uses)

    @rule()
    def sweep(self) -> None:
        assert self.run(self.store.sweep(BEAT_MS)).lost == self.model.sweep()

    @rule(gaps_ms=st.lists(st.sampled_from([BEAT_MS, BEAT_MS, BEAT_MS, 31_000, 44_000]), min_size=1, max_size=6))
    def beat(self, gaps_ms: list[int]) -> None:
        """Sweeps as a living process does them, if it is not kept from it."""
        for gap_ms in gaps_ms:
            self.time_passes(gap_ms)
            self.sweep()

    # -------------------------------------------------------------- what always holds

    @invariant()
    def balances_agree(self) -> None:
        now_ms, balances = self.run(self.store.read(ACCOUNTS))
        assert now_ms == self.model.now_ms
        assert balances == [self.model.balance(account) for account in ACCOUNTS]

    @invariant()
    def no_budget_is_passed(self) -> None:
        if self.is_honest:
            for each in CEILINGS:
                assert each.hard is not None
                assert self.model.spent(each.account) <= each.hard


def _facts(answer: Answer) -> tuple[int, Verdict, list[int]]:
    return answer.now_ms, answer.verdict, list(answer.levels)
