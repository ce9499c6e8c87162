"""Admission while its Redis is killed, frozen, emptied, read-only or full, and when it is back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import redis

from gateway.admission.admit import Admission, Demand
from gateway.admission.plan import Account
from gateway.admission.stores import Balance, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.errors import BudgetExceeded, BudgetUnavailable, RateLimited
from gateway.kv import Kv
from gateway.values import Caller
from tests.support.config import read
from tests.support.redis_server import RedisServer, find_binary, free_port

PATIENCE_S = 20.0
BOT = Caller("bot")
DOLLAR = 1_000_000_000
BUDGET = "budgets: [{usd: 1, per: total}]"
LENIENT = "budgets: [{usd: 1, per: total, on_store_down: allow}]"
LIMITS = "limits: {requests_per_minute: 3, concurrent: 2}"
DIME = Demand(tokens=10, nanousd=DOLLAR // 10, prompt_tokens=5, prompt_nanousd=DOLLAR // 20)


class Gate:
    """One process's admission."""

    def __init__(self, admission: Admission, kv: Kv) -> None:
        self.admission = admission
        self.kv = kv
        self.store = admission._store
        self.keeper = admission._keeper

    async def spend(self, nanousd: int = DIME.nanousd) -> None:
        async with self.admission.admit(BOT, "main", DIME, {}) as grant:
            grant.settle(10, nanousd)

    async def is_admitted(self) -> bool:
        try:
            await self.spend()
        except RateLimited:
            return False
        return True

    async def balance(self) -> Balance:
        _, (found,) = await self.store.read([Account("key:bot", "usd", "total")])
        return found

    async def settled(self) -> Balance:
        """Where the budget stands once everything that is over has reached the store."""
        async with asyncio.timeout(PATIENCE_S):
            while self.keeper._dealt_with < self.keeper._taken_in:
                await self.keeper._has_tried.wait()
        return await self.balance()


@asynccontextmanager
async def gate(server: RedisServer, key: str, *, timeout_s: float = 1.0, lease_s: float = 60) -> AsyncIterator[Gate]:
    config = read(
        f"store: {server.url}\nlease_s: {lease_s}\n"
        'upstreams: {openai: {base_url: "https://api.openai.com/v1"}}\n'
        "routes: [{name: main, upstream: openai}]\n"
        f"keys: [{{name: bot, key: secret-one, {key}}}]\n"
    ).config
    clock = SystemClock()
    async with Kv(server.url, timeout_s=timeout_s, clock=clock) as kv:
        assert await kv.wait_until_up(PATIENCE_S)
        async with Admission(config, RedisAdmissionStore(kv), clock) as admission:
            await admission._keeper.beat()
            yield Gate(admission, kv)


@pytest.fixture
def admin(redis_server: RedisServer) -> "redis.Redis":
    return redis.Redis.from_url(redis_server.url)


async def seconds(work: Awaitable[object]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began


async def refused(gate: Gate) -> None:
    with pytest.raises(BudgetUnavailable):
        await gate.spend()


Break = Callable[[RedisServer], None]
Mend = Callable[[RedisServer], None]
BROKEN: dict[str, tuple[Break, Mend]] = {
    "killed": (RedisServer.kill, RedisServer.start),
    "frozen": (RedisServer.freeze, RedisServer.thaw),
}


@pytest.fixture(params=BROKEN)
def outage(request: pytest.FixtureRequest) -> tuple[Break, Mend]:
    return BROKEN[request.param]


# ------------------------------------------------------------------ away


async def test_budgets_fail_closed_at_once_and_hold_again(
    redis_server: RedisServer, outage: tuple[Break, Mend]
) -> None:
    """The first requests wait one deadline at most, those after them not at all."""
    away, back = outage
    async with gate(redis_server, BUDGET, timeout_s=0.2) as here:
        await here.spend()
        away(redis_server)
        assert await seconds(asyncio.gather(*(refused(here) for _ in range(50)))) < 1
        assert await seconds(asyncio.gather(*(refused(here) for _ in range(50)))) < 0.2
        back(redis_server)
        assert await here.kv.wait_until_up(5)
        await here.spend()


async def test_limits_fail_open_and_hold_again_within_five_seconds(
    redis_server: RedisServer, outage: tuple[Break, Mend]
) -> None:
    away, back = outage
    async with gate(redis_server, LIMITS, timeout_s=0.2) as here:
        away(redis_server)
        await asyncio.gather(*(here.spend() for _ in range(20)))
        assert here.admission.unchecked == {"limits": 20}
        back(redis_server)
        assert await here.kv.wait_until_up(5)
        await here.settled()
        assert not all([await here.is_admitted() for _ in range(4)])


async def test_a_budget_that_lets_pass_is_charged_afterwards_once(
    redis_server: RedisServer, outage: tuple[Break, Mend]
) -> None:
    away, back = outage
    async with gate(redis_server, LENIENT, timeout_s=0.2) as here:
        away(redis_server)
        await asyncio.gather(*(here.spend() for _ in range(5)))
        assert here.admission.unchecked == {"budgets": 5}
        back(redis_server)
        assert await here.kv.wait_until_up(PATIENCE_S)
        assert await here.settled() == Balance(DOLLAR // 2, 0, 0, 0)


async def test_what_a_frozen_server_does_when_it_wakes_is_undone(redis_server: RedisServer) -> None:
    """It finds commands in its sockets whose clients have long gone: nothing may stay reserved by them."""
    async with gate(redis_server, BUDGET, timeout_s=0.1) as here:
        redis_server.freeze()
        await asyncio.gather(*(refused(here) for _ in range(5)))
        redis_server.thaw()
        assert await here.kv.wait_until_up(PATIENCE_S)
        assert await here.settled() == Balance(0, 0, 0, 0)
        for _ in range(10):
            await here.spend()
        assert await here.settled() == Balance(DOLLAR, 0, 0, 0)


async def test_what_ended_during_an_outage_is_settled_after_it(redis_server: RedisServer) -> None:
    async with gate(redis_server, BUDGET, timeout_s=0.1) as here:
        async with here.admission.admit(BOT, "main", DIME, {}) as grant:
            redis_server.freeze()
            await refused(here)
            grant.settle(10, 7)
        redis_server.thaw()
        assert await here.settled() == Balance(7, 0, 0, 0)


async def test_a_process_that_stops_settles_what_it_can(redis_server: RedisServer) -> None:
    async with gate(redis_server, BUDGET) as here:
        for _ in range(5):
            await here.spend()
    async with gate(redis_server, BUDGET) as here:
        assert await here.balance() == Balance(DOLLAR // 2, 0, 0, 0)


async def test_a_process_stops_although_the_store_is_away(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(redis_server, BUDGET, timeout_s=0.1) as here:
        async with here.admission.admit(BOT, "main", DIME, {}):
            redis_server.freeze()
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert "admission: 1 requests could not be settled; their leases end by themselves" in caplog.messages


# ------------------------------------------------------------------ emptied


async def test_a_server_that_lost_everything_is_told_what_was_spent(
    redis_server: RedisServer, admin: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(redis_server, BUDGET) as here, gate(redis_server, BUDGET) as other:
        for _ in range(7):
            await here.spend()
        await here.settled()
        await other.keeper.beat()
        admin.flushall()
        for _ in range(2):  # the first that comes tells what it knows
            await other.spend()
        assert await other.settled() == Balance(DOLLAR * 9 // 10, 0, 0, 0)
        await here.keeper.beat()
        await here.spend()
        with pytest.raises(BudgetExceeded):
            await other.spend()
    assert "admission: the store lost what it held; it is told of 1 budgets" in caplog.messages


async def test_a_server_restarted_empty_is_told_too(redis_server: RedisServer) -> None:
    async with gate(redis_server, BUDGET) as here:
        for _ in range(10):
            await here.spend()
        await here.settled()
        redis_server.kill()
        redis_server.start()
        await refused(here)  # its connections are those of the server that is gone
        assert await here.kv.wait_until_up(PATIENCE_S)
        with pytest.raises(BudgetExceeded):
            await here.spend()


async def test_requests_under_way_survive_the_loss_of_their_reservation(
    redis_server: RedisServer, admin: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    async with gate(redis_server, f"{BUDGET}, {LIMITS}") as here:
        async with here.admission.admit(BOT, "main", DIME, {}) as grant:
            admin.flushall()
            await here.keeper.beat()
            grant.settle(10, 5)
        assert await here.settled() == Balance(DOLLAR // 10, 0, 0, 0)  # as reserved: the dearer of what it may be
        assert "admission: 1 open requests lost their lease: they could not be renewed" in caplog.messages


# ------------------------------------------------------------------ there, but not well


async def test_a_full_server_goes_on_counting(redis_server: RedisServer, admin: "redis.Redis") -> None:
    """Its memory is full of cached answers that it will not evict: they are refused, requests are not."""
    async with gate(redis_server, f"{BUDGET}, {LIMITS}") as here:
        admin.config_set("maxmemory", 1)
        try:
            await here.spend()
            assert await here.settled() == Balance(DOLLAR // 10, 0, 0, 0)
        finally:
            admin.config_set("maxmemory", 0)


async def test_a_server_that_evicts_keeps_what_was_spent(redis_server: RedisServer, admin: "redis.Redis") -> None:
    """volatile-lru: everything with a time to live may go, and does."""
    async with gate(redis_server, f"{BUDGET}, {LIMITS}", lease_s=3600) as here:
        admin.config_set("maxmemory-policy", "volatile-lru")
        try:
            await here.spend()
            async with here.admission.admit(BOT, "main", DIME, {}) as grant:
                await here.kv.set("gw:cache:1", b"an answer", 3600)
                await here.settled()
                admin.config_set("maxmemory", 1)
                with pytest.raises(redis.exceptions.OutOfMemoryError):
                    admin.set("more", "than there is room for")
                assert admin.keys("gw:cache:*") == []
                grant.settle(10, 5)
            assert await here.settled() == Balance(DOLLAR // 10 + 5, 0, 0, 0)
        finally:
            admin.config_set("maxmemory", 0)
            admin.config_set("maxmemory-policy", "noeviction")


async def test_a_server_that_would_evict_budgets_is_warned_of(
    redis_server: RedisServer, admin: "redis.Redis", caplog: pytest.LogCaptureFixture
) -> None:
    admin.config_set("maxmemory-policy", "allkeys-lru")
    try:
        async with gate(redis_server, BUDGET):
            pass
    finally:
        admin.config_set("maxmemory-policy", "noeviction")
    assert "maxmemory-policy is allkeys-lru: when its memory is full, it forgets budgets" in caplog.text


async def test_a_server_that_may_only_be_read_is_as_good_as_away(
    redis_server: RedisServer, admin: "redis.Redis"
) -> None:
    """A replica, after a failover: budgets fail closed, limits open, and what ended is settled when it is over."""
    async with gate(redis_server, BUDGET) as here, gate(redis_server, LIMITS) as limited:
        async with here.admission.admit(BOT, "main", DIME, {}) as grant:
            admin.replicaof("127.0.0.1", 1)
            try:
                await refused(here)
                await asyncio.gather(*(limited.spend() for _ in range(5)))
                assert limited.admission.unchecked == {"limits": 5}
                grant.settle(10, 5)
            finally:
                admin.replicaof("NO", "ONE")
        assert await here.settled() == Balance(5, 0, 0, 0)


# ------------------------------------------------------------------ scripts, slots, growth


async def test_a_server_that_lost_its_scripts_is_sent_them_again(
    redis_server: RedisServer, admin: "redis.Redis"
) -> None:
    async with gate(redis_server, BUDGET) as here:
        admin.script_flush()
        await asyncio.gather(*(here.spend() for _ in range(10)))
        assert here.kv.errors == {}


async def test_all_keys_of_admission_live_in_one_slot() -> None:
    """A server in cluster mode refuses a script that reaches into a second one."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server here")
    server = RedisServer(binary, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    try:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(PATIENCE_S):
                while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            async with gate(server, f"{BUDGET}, {LIMITS}") as here:
                await here.spend()
                assert await here.settled() == Balance(DOLLAR // 10, 0, 0, 0)
            slots = {client.execute_command("CLUSTER", "KEYSLOT", key) for key in client.keys("gw:*")}
            assert len(slots) == 1
    finally:
        server.close()


async def test_nothing_is_left_of_requests_that_are_over(redis_server: RedisServer, admin: "redis.Redis") -> None:
    budgets = "budgets: [{usd: 100, per: day}, {tokens: 100000, per: month}]"
    async with gate(redis_server, f"{budgets}, limits: {{tokens_per_minute: 100000, concurrent: 200}}") as here:
        await asyncio.gather(*(here.spend() for _ in range(100)))
        await here.settled()
        kinds = sorted(str(key).split(":")[2].rstrip("'") for key in admin.keys("gw:{admission}:*"))
        assert kinds == ["beat", "budget", "budget", "ends", "tokens"]
        assert admin.zcard("gw:{admission}:ends") == 2
