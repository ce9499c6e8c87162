"""Several processes, one Redis: what holds for all of them together, also when one is killed."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from gateway.admission.plan import Account
from gateway.admission.stores import Balance, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
SOON_S = 0.2
"""From an order to its burst, so that those of several processes meet."""


class Process:
    """A worker that does one thing after the other."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child

    async def tell(self, order: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        if isinstance(order, dict):
            order = {"at": time.monotonic() + SOON_S, **order}
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        return json.loads(await self._child.stdout.readline())

    async def kill(self) -> None:
        """As `kill -9` does."""
        self._child.kill()
        await self._child.wait()

    async def stop(self) -> None:
        if self._child.returncode is None:
            assert self._child.stdin is not None
            self._child.stdin.close()
            await self._child.wait()


Start = Callable[..., Coroutine[Any, Any, list[Process]]]


@pytest.fixture
async def start(redis_server: RedisServer) -> AsyncIterator[Start]:
    """Starts processes with one configuration, and stops them after the test."""
    running: list[Process] = []

    async def begin(count: int, key: str, *, lease_s: float = 60) -> list[Process]:
        config = (
            f"store: {redis_server.url}\nstore_timeout_s: 5\nlease_s: {lease_s}\n"
            'upstreams: {openai: {base_url: "https://api.openai.com/v1"}}\n'
            "routes: [{name: main, upstream: openai}]\nteams: [{name: support}]\n"
            f"keys: [{{name: bot, key: secret-one, team: support, {key}}}]\n"
        )
        command = (sys.executable, "-m", "tests.support.admission_worker", redis_server.url)
        pipe = asyncio.subprocess.PIPE
        for _ in range(count):
            child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
            running.append(Process(child))
        await asyncio.gather(*(process.tell(config) for process in running))
        return running

    yield begin
    await asyncio.gather(*(process.stop() for process in running))


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisAdmissionStore]:
    async with Kv(redis_server.url, timeout_s=5, clock=SystemClock()) as kv:
        assert await kv.wait_until_up(PATIENCE_S)
        yield RedisAdmissionStore(kv)


async def balance(store: RedisAdmissionStore, unit: Any, per: Any = "total") -> Balance:
    _, (found,) = await store.read([Account("key:bot", unit, per)])
    return found


BUDGETS = "budgets: [{usd: 0.00005, per: total}, {tokens: 500, per: total}]"
"""For exactly 50 requests of 10 tokens and 1,000 nano-dollars."""
REQUEST = {"do": "burst", "tokens": 10, "nanousd": 1_000, "used": 1, "chance": 1}


async def test_200_requests_at_once_against_a_budget_for_50(start: Start, store: RedisAdmissionStore) -> None:
    processes = await start(2, BUDGETS)
    answers = await asyncio.gather(
        *(process.tell({**REQUEST, "requests": 100, "chance": seed}) for seed, process in enumerate(processes))
    )
    assert sum(answer["admitted"] for answer in answers) == 50
    assert sum(answer["BudgetExceeded"] for answer in answers) == 150
    assert all(answer["admitted"] for answer in answers)
    assert await balance(store, "tokens") == Balance(settled=500, reserved=0, lost=0, lost_grants=0)
    assert await balance(store, "usd") == Balance(settled=50_000, reserved=0, lost=0, lost_grants=0)


@pytest.mark.parametrize("seed", range(3))
async def test_clients_that_hang_up_neither_pass_a_budget_nor_lock_it_up(
    start: Start, store: RedisAdmissionStore, seed: int
) -> None:
    """Half of the requests leave at some moment: while they wait to be admitted, while they run, while they settle."""
    processes = await start(2, f"{BUDGETS}, limits: {{concurrent: 30}}")
    order = {**REQUEST, "requests": 100, "hang_ups": 0.5, "used": 0.5}
    spent = {"tokens": 0, "nanousd": 0}
    for again in range(4):
        await asyncio.gather(
            *(process.tell({**order, "chance": 8 * seed + 2 * again + at}) for at, process in enumerate(processes))
        )
        for books in await asyncio.gather(*(process.tell({"do": "spent"}) for process in processes)):
            spent = {unit: spent[unit] + amount for unit, amount in books.items()} if again == 3 else spent
        in_tokens, in_usd = await balance(store, "tokens"), await balance(store, "usd")
        assert in_tokens.settled <= 500
        assert in_usd.settled <= 50_000
        assert (in_tokens.reserved, in_usd.reserved) == (0, 0)
    assert (in_tokens.settled, in_usd.settled) == (spent["tokens"], spent["nanousd"])
    assert in_usd.settled > 0.9 * 50_000


async def test_300_requests_against_100_a_minute_over_two_processes(start: Start) -> None:
    processes = await start(2, "limits: {requests_per_minute: 100}")
    began = time.monotonic()
    answers = await asyncio.gather(*(process.tell({**REQUEST, "requests": 150}) for process in processes))
    refilled = (time.monotonic() - began) * 100 / 60
    admitted = sum(answer["admitted"] for answer in answers)
    assert 100 <= admitted <= 100 + refilled
    assert sum(answer["RateLimited"] for answer in answers) == 300 - admitted
    assert all(0 < answer["longest"] <= 0.6 for answer in answers)


async def test_retry_after_is_true(start: Start) -> None:
    (process,) = await start(1, "limits: {requests_per_minute: 60}")
    first = await process.tell({**REQUEST, "requests": 100})
    assert first["admitted"] >= 60
    wait = first["shortest"]
    assert 0 < wait <= 1
    await asyncio.sleep(wait)
    assert (await process.tell({**REQUEST, "requests": 1}))["admitted"] == 1


async def test_what_a_killed_process_held_comes_back_but_for_what_it_had_used(
    start: Start, store: RedisAdmissionStore
) -> None:
    """kill -9 of one holder: after the lease settled plus what is free is the budget, and what was lost is said."""
    holder, other = await start(2, f"{BUDGETS}, limits: {{concurrent: 60}}", lease_s=2)
    assert (await other.tell({**REQUEST, "requests": 10}))["admitted"] == 10
    await holder.tell({**REQUEST, "do": "hold", "requests": 30, "used": 0.3})
    await holder.kill()
    began = time.monotonic()
    assert await balance(store, "usd") == Balance(settled=10_000, reserved=30_000, lost=0, lost_grants=0)
    async with asyncio.timeout(PATIENCE_S):
        while (await balance(store, "usd")).reserved:  # noqa: ASYNC110 - a fact to be polled, not an event
            await asyncio.sleep(0.02)
    took_s = time.monotonic() - began
    assert await balance(store, "usd") == Balance(settled=19_000, reserved=0, lost=9_000, lost_grants=30)
    assert await balance(store, "tokens") == Balance(settled=190, reserved=0, lost=90, lost_grants=30)
    assert 1 < took_s < 6  # the lease, and not long after
    rest = await other.tell({**REQUEST, "requests": 100})
    assert (rest["admitted"], rest["BudgetExceeded"]) == (31, 69)
    assert await balance(store, "tokens") == Balance(settled=500, reserved=0, lost=90, lost_grants=30)
