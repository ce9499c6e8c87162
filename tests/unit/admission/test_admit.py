"""What a request meets on its way in and leaves behind on its way out, with the store in memory."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gateway.admission.admit import HIT, Admission, CheapWanted, Demand
from gateway.admission.keeper import Grant
from gateway.admission.memory import MemoryAdmissionStore
from gateway.admission.stores import Answer, Ask, Closing
from gateway.clock import ManualClock
from gateway.errors import (
    BudgetExceeded,
    BudgetUnavailable,
    CompletionUnbounded,
    DemandTooLarge,
    PriceUnknown,
    RateLimited,
    StoreUnavailable,
)
from gateway.values import Caller, Standing
from tests.support.config import read

BASE = """\
store: redis://localhost
upstreams: {openai: {base_url: "https://api.openai.com/v1"}}
tiers: {cheap: [openai/gpt-5-mini], expensive: [openai/gpt-5.2]}
"""
DOLLAR = 1_000_000_000
BOT = Caller("bot", team="support")
OTHER = Caller("other", team="support")
STRANGER = Caller("client-0123456789ab", has_own_credentials=True)


def config(*, key: str = "", team: str = "", route: str = "", gateway: str = "") -> str:
    return (
        BASE
        + f"routes: [{{name: main, tier: auto, {route}}}]\n"
        + f"teams: [{{name: support, {team}}}]\n"
        + f"keys: [{{name: bot, key: secret-one, team: support, {key}}},"
        + " {name: other, key: secret-two, team: support}]\n"
        + gateway
    )


class Watched(MemoryAdmissionStore):
    """Knows what it was asked."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.asked = 0
        self.is_away = False
        self.settled: list[Closing] = []

    async def admit(self, ask: Ask) -> Answer:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("admit")
        return await super().admit(ask)

    async def settle(self, closings: Sequence[Closing]) -> None:
        if self.is_away:
            raise StoreUnavailable("settle")
        self.settled += closings
        await super().settle(closings)


class Door:
    """An admission and everything around it."""

    def __init__(self, text: str) -> None:
        self.clock = ManualClock()
        self.store = Watched(self.clock)
        self.admission = Admission(read(text).config, self.store, self.clock)
        self.standing: dict[str, Standing] = {}

    def admit(self, demand: Demand, caller: Caller = BOT, route: str = "main") -> AbstractAsyncContextManager[Grant]:
        self.standing = {}
        return self.admission.admit(caller, route, demand, self.standing)

    async def passes(self, demand: Demand, caller: Caller = BOT) -> None:
        async with self.admit(demand, caller):
            pass

    async def spend(self, nanousd: int, tokens: int = 1) -> None:
        async with self.admit(Demand(tokens=tokens, nanousd=nanousd)) as grant:
            grant.settle(tokens, nanousd)

    async def settled(self) -> None:
        """Everything that is over has reached the store."""
        await self.admission._keeper.catch_up()

    async def left_usd(self, scope: str = "key:bot:day") -> float:
        await self.settled()
        await self.admission._keeper.beat()
        return self.admission.remaining_usd()[scope,]


@asynccontextmanager
async def door(**parts: str) -> AsyncIterator[Door]:
    here = Door(config(**parts))
    async with here.admission:
        yield here


def demand(tokens: int, nanousd: int = 0) -> Demand:
    return Demand(tokens=tokens, nanousd=nanousd, prompt_tokens=tokens // 2, prompt_nanousd=nanousd // 2)


# ------------------------------------------------------------------ nothing to check


async def test_where_nothing_applies_no_store_is_asked() -> None:
    async with door(key="limits: {requests_per_minute: 1}") as here:
        for _ in range(5):
            await here.passes(demand(10), OTHER)
            await here.passes(demand(10), STRANGER)
        assert here.store.asked == 0


async def test_a_cache_hit_asks_only_for_its_request() -> None:
    async with door(key="budgets: [{usd: 1, per: day}], limits: {concurrent: 1, tokens_per_minute: 5}") as here:
        await here.passes(HIT)
        assert here.store.asked == 0
    async with door(key="limits: {requests_per_minute: 1}") as here:
        await here.passes(HIT)
        with pytest.raises(RateLimited):
            await here.passes(HIT)


async def test_a_hit_passes_where_everything_is_spent() -> None:
    limits = "limits: {requests_per_minute: 100, tokens_per_minute: 100, concurrent: 1}"
    async with door(key=f"budgets: [{{usd: 1, per: day}}], {limits}") as here, here.admit(demand(100, DOLLAR)):
        await here.passes(HIT)


# ------------------------------------------------------------------ limits


async def test_requests_beyond_the_limit_are_told_when_to_come_back() -> None:
    async with door(key="limits: {requests_per_minute: 100}") as here:
        for left in reversed(range(100)):
            await here.passes(HIT)
            assert here.standing["requests"].remaining == left
        with pytest.raises(RateLimited) as refused:
            await here.passes(HIT)
        assert refused.value.retry_after_s == 0.6
        assert refused.value.message == (
            "Rate limit reached: key 'bot' is allowed 100 requests per minute. Retry in 0.6 s."
        )
        assert here.standing == {"requests": Standing(100, 0, 60.0)}
        here.clock.advance(0.599)
        with pytest.raises(RateLimited):
            await here.passes(HIT)
        here.clock.advance(0.001)
        await here.passes(HIT)


async def test_what_is_refused_takes_nothing_from_any_limit() -> None:
    async with door(key="limits: {requests_per_minute: 5}", team="limits: {requests_per_minute: 1}") as here:
        await here.passes(HIT)
        for _ in range(10):
            with pytest.raises(RateLimited, match="team 'support'"):
                await here.passes(HIT)
        here.clock.advance(60)
        await here.passes(HIT)
        assert here.standing == {"requests": Standing(1, 0, 60.0)}


async def test_keys_of_one_team_share_its_limit() -> None:
    async with door(team="limits: {requests_per_minute: 2}") as here:
        await here.passes(HIT, BOT)
        await here.passes(HIT, OTHER)
        with pytest.raises(RateLimited):
            await here.passes(HIT, BOT)


async def test_the_longest_wait_of_several_limits_is_told() -> None:
    limits = "limits: {requests_per_minute: 60, tokens_per_minute: 100}"
    async with door(key=limits, route="limits: {requests_per_minute: 1}") as here:
        await here.passes(demand(90))
        await here.settled()
        with pytest.raises(RateLimited, match="route 'main' is allowed 1 requests per minute") as refused:
            await here.passes(demand(10))
        assert refused.value.retry_after_s == 60


async def test_unused_tokens_come_back_and_more_than_was_reserved_is_owed() -> None:
    async with door(key="limits: {tokens_per_minute: 100}") as here:
        async with here.admit(demand(100)) as grant:
            assert here.standing == {"tokens": Standing(100, 0, 60.0)}
            grant.settle(30, 0)
        await here.settled()
        async with here.admit(Demand(tokens=None, prompt_tokens=70)) as grant:
            grant.settle(170, 0)
        await here.settled()
        with pytest.raises(RateLimited) as refused:
            await here.passes(demand(1))
        assert refused.value.retry_after_s == 60.6


async def test_more_tokens_than_a_minute_ever_has_is_no_matter_of_waiting() -> None:
    async with door(key="limits: {tokens_per_minute: 100}") as here:
        with pytest.raises(DemandTooLarge, match="may use 101 tokens") as refused:
            await here.passes(demand(101))
        assert refused.value.retry_after_s is None


async def test_slots_are_held_while_requests_are_under_way() -> None:
    async with door(key="limits: {concurrent: 2}") as here:
        async with here.admit(demand(1)), here.admit(demand(1)):
            with pytest.raises(RateLimited, match="2 requests at a time"):
                await here.passes(demand(1))
            await here.passes(HIT)
        await here.passes(demand(1))


async def test_one_request_after_the_other_never_meets_its_own_shadow() -> None:
    """The next request of a client that waited for its answer finds what the last one held, however fast it comes."""
    async with door(key="limits: {concurrent: 1}, budgets: [{usd: 1, per: day}]") as here:
        for _ in range(100):
            async with here.admit(demand(1, DOLLAR - 100)) as grant:
                grant.settle(1, 1)


# ------------------------------------------------------------------ budgets


async def test_what_a_request_may_cost_is_reserved_and_what_it_did_cost_is_charged() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        async with here.admit(demand(10, 600_000_000)) as grant:
            with pytest.raises(BudgetExceeded):
                await here.passes(demand(10, 600_000_000))
            assert await here.left_usd() == 0.4
            grant.settle(4, 250_000_000)
            grant.settle(9, 999_999_999)
        assert await here.left_usd() == 0.75
        await here.passes(demand(10, 600_000_000))


async def test_a_refusal_says_what_was_wanted_and_what_is_left() -> None:
    async with door(team="budgets: [{usd: 1, per: month}, {tokens: 50, per: total}]") as here:
        await here.spend(999_999_995)
        with pytest.raises(BudgetExceeded) as refused:
            await here.passes(demand(10, 6))
        assert refused.value.message == (
            "This request may cost up to $0.000000006, and the budget of team 'support' for this month has $0.000000005"
            " left. It resets at 2027-02-01 00:00 UTC."
        )
        with pytest.raises(BudgetExceeded) as refused:
            await here.passes(demand(50, 5))
        assert refused.value.message == (
            "This request may cost up to 50 tokens, and the budget of team 'support' in all has 49 tokens left."
        )


async def test_leaving_without_settling_charges_what_was_reported() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        async with here.admit(demand(10, DOLLAR)) as grant:
            grant.report(3, 200_000_000)
            grant.report(2, 300_000_000)
            grant.report(4, 100_000_000)
        assert await here.left_usd() == 0.7
        assert [(closing.tokens, closing.nanousd) for closing in here.store.settled] == [(4, 300_000_000)]


async def test_a_cancelled_request_is_settled() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        is_in = asyncio.Event()

        async def request() -> None:
            async with here.admit(demand(10, DOLLAR)) as grant:
                grant.report(1, 100_000_000)
                is_in.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(request())
        await is_in.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await here.left_usd() == 0.9


async def test_budgets_begin_anew_with_their_period() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        await here.spend(DOLLAR)
        here.clock.advance(16 * 3600 - 1)  # it is 08:00
        with pytest.raises(BudgetExceeded):
            await here.spend(1)
        assert here.admission.remaining_usd() == {("key:bot:day",): 0.0}
        here.clock.advance(1)
        assert here.admission.remaining_usd() == {("key:bot:day",): 1.0}
        await here.spend(DOLLAR)


async def test_a_request_over_midnight_is_charged_to_the_day_it_began() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        async with here.admit(demand(1, DOLLAR)) as grant:
            here.clock.advance(86_400)
            async with here.admit(demand(1, DOLLAR)):
                grant.settle(1, DOLLAR)
        assert await here.left_usd() == 1.0


async def test_the_whole_gateway_may_have_a_budget() -> None:
    async with door(gateway="budgets: [{usd: 1, per: total}]") as here:
        await here.passes(demand(1, DOLLAR), STRANGER)
        async with here.admit(demand(1, DOLLAR), STRANGER):
            with pytest.raises(BudgetExceeded, match="the budget of this gateway in all has"):
                await here.passes(demand(1, 1))


async def test_a_budget_wants_to_know_the_worst_case() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]", team="budgets: [{tokens: 9, per: day}]") as here:
        with pytest.raises(CompletionUnbounded):
            await here.passes(Demand(tokens=None, prompt_tokens=5))
        with pytest.raises(PriceUnknown, match="'mystery'"):
            await here.passes(Demand(tokens=5, prompt_tokens=5, unpriced="mystery"))
        with pytest.raises(CompletionUnbounded):
            await here.passes(Demand(tokens=None, prompt_tokens=5), OTHER)
        await here.passes(Demand(tokens=5, prompt_tokens=5, unpriced="mystery"), OTHER)


# ------------------------------------------------------------------ soft budgets

SOFT = "budgets: [{usd: 1, per: day, on_exceeded: cheap}, {usd: 3, per: day}]"


async def test_past_a_soft_budget_the_cheap_tier_goes_on() -> None:
    async with door(key=SOFT) as here:
        await here.spend(900_000_000)
        dear = Demand(tokens=1, nanousd=200_000_000, may_be_cheap=True)
        assert here.admission.state(BOT, "main").step == "normal"
        with pytest.raises(CheapWanted):
            await here.passes(dear)
        await here.spend(200_000_000)
        assert here.admission.state(BOT, "main").step == "cheap"
        assert here.admission.state(OTHER, "main").step == "normal"
        await here.spend(1_900_000_000)
        with pytest.raises(BudgetExceeded):
            await here.spend(1)
        assert await here.left_usd() == 0.0


async def test_a_soft_budget_is_whole_again_in_the_next_period() -> None:
    async with door(key=SOFT) as here:
        await here.spend(DOLLAR)
        assert here.admission.state(BOT, "main").step == "cheap"
        here.clock.advance(86_400)
        assert here.admission.state(BOT, "main").step == "normal"


# ------------------------------------------------------------------ a store that is away


async def test_limits_fail_open_and_it_is_counted() -> None:
    async with door(key="limits: {requests_per_minute: 1, concurrent: 1}") as here:
        here.store.is_away = True
        for _ in range(3):
            await here.passes(demand(1))
        assert here.admission.unchecked == {"limits": 3}


async def test_budgets_fail_closed() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        here.store.is_away = True
        with pytest.raises(BudgetUnavailable) as refused:
            await here.passes(demand(1, 1))
        assert refused.value.retry_after_s == 1
        await here.passes(HIT)
        assert here.admission.unchecked == {}


async def test_a_budget_that_lets_pass_is_charged_when_the_store_is_back() -> None:
    async with door(key="budgets: [{usd: 1, per: day, on_store_down: allow}]") as here:
        here.store.is_away = True
        async with here.admit(demand(1, 1)) as grant:
            grant.settle(7, 300_000_000)
        assert here.admission.unchecked == {"budgets": 1}
        here.store.is_away = False
        assert await here.left_usd() == 0.7


async def test_one_budget_that_holds_is_enough_to_refuse() -> None:
    lenient = "budgets: [{usd: 1, per: day, on_store_down: allow}]"
    async with door(key=lenient, team="budgets: [{tokens: 9, per: day}]") as here:
        here.store.is_away = True
        with pytest.raises(BudgetUnavailable):
            await here.passes(demand(1, 1))


# ------------------------------------------------------------------ leases


async def test_a_request_that_nobody_renews_is_charged_what_is_known_of_it() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        keeper = here.admission._keeper
        grant = await here.admit(demand(10, 500_000_000)).__aenter__()
        grant.report(6, 300_000_000)
        await keeper.beat()
        keeper.open.clear()  # its process is gone
        for _ in range(4):
            here.clock.advance(15)
            await keeper.beat()
        assert here.admission.remaining_usd() == {("key:bot:day",): 0.7}
        assert (here.admission.lost.grants, here.admission.lost.tokens) == (1, 6)
        assert here.admission.lost.nanousd == 300_000_000
        grant.settle(7, 350_000_000)  # it was not gone after all
        assert await here.left_usd() == 0.65


async def test_a_request_keeps_its_lease_for_as_long_as_it_lives() -> None:
    async with door(key="budgets: [{usd: 1, per: day}]") as here:
        async with here.admit(demand(10, 500_000_000)):
            for _ in range(400):
                here.clock.advance(15)
                await here.admission._keeper.beat()
            assert here.admission.remaining_usd() == {("key:bot:day",): 0.5}
        assert here.admission.lost.grants == 0


async def test_a_pause_of_everything_ends_no_lease() -> None:
    """A laptop that slept: the clock jumps, then the living renew, and only then may leases end."""
    async with door(key="budgets: [{usd: 1, per: total}]") as here:
        keeper = here.admission._keeper
        async with here.admit(demand(10, 500_000_000)):
            await keeper.beat()
            here.clock.advance(8 * 3600)
            assert (await here.store.sweep(keeper.beat_ms)).lost.grants == 0
            await keeper.beat()
        assert await here.left_usd("key:bot:total") == 1.0
