"""Two gateways as processes, one Redis, one budget: nothing passes it, and nothing stays locked up in it."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import pytest

from gateway.admission.plan import Account
from gateway.admission.stores import Balance, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import NANO
from tests.support.gateway import CHAT, HELLO, Scrape
from tests.support.polling import until
from tests.support.process import Process, serving
from tests.support.redis_server import RedisServer
from tests.support.upstream import Reply, ScriptedUpstream, Seen, Step, Stream, chat_body, chat_chunks, usage

PATIENCE_S = 30.0
CONFIG = """\
server: {{port: 0, admin: {{port: 0}}}}
store: {store}
store_timeout_s: 5
lease_s: {lease_s}
auth: required
upstreams: {{up: {{base_url: "{upstream}"}}}}
routes: [{{name: default, upstream: up}}]
keys: [{{name: bot, key: the-bots-secret, budgets: [{{usd: {usd}, per: total}}, {{tokens: {tokens}, per: total}}]}}]
prices: {{"*": {{input: 100, output: 1000}}}}
"""
PROMPT, COMPLETION = 8, 2
"""Of each request, counted and used."""
COST = 8 * 100_000 + 2 * 1_000_000
"""Nano-dollars."""
KEY = {"Authorization": "Bearer the-bots-secret"}
ANSWER = chat_body("Hi.", usage=usage(PROMPT, COMPLETION))
CHUNKS = chat_chunks("Hi", ".", usage=usage(PROMPT, COMPLETION))


class Pair:
    """Two gateways, and what their Redis says."""

    def __init__(self, gateways: list[Process], http: aiohttp.ClientSession, store: RedisAdmissionStore) -> None:
        self.gateways = gateways
        self._http = http
        self._store = store

    async def chat(self, number: int, *, model: str = "m") -> str:
        """Status and error code; odd ones stream."""
        body = {"model": model, "messages": HELLO, "max_tokens": COMPLETION, "stream": number % 2 == 1, "seed": number}
        url = self.gateways[number // 2 % len(self.gateways)].url + CHAT
        async with self._http.post(url, data=json.dumps(body), headers=KEY) as response:
            answer = await response.read()
        if response.status == 200:
            return "200"
        return f"{response.status} {json.loads(answer)['error']['code']}"

    async def balances(self) -> tuple[Balance, Balance]:
        accounts = [Account("key:bot", "tokens", "total"), Account("key:bot", "usd", "total")]
        _, (tokens, usd) = await self._store.read(accounts)
        return tokens, usd

    async def until_nothing_is_reserved(self) -> tuple[Balance, Balance]:
        async def is_nothing() -> bool:
            return not any(balance.reserved for balance in await self.balances())

        await until(is_nothing, within_s=PATIENCE_S)
        return await self.balances()

    async def lost_requests(self) -> float:
        found = 0.0
        for gateway in self.gateways:
            async with self._http.get(f"{gateway.admin_url}/metrics") as response:
                found += Scrape(await response.text())("gateway_lost_requests_total")
        return found


@asynccontextmanager
async def pair(
    upstream: ScriptedUpstream, redis: RedisServer, folder: Path, *, lease_s: float, room_for: int
) -> AsyncIterator[Pair]:
    """Under budgets for `room_for` requests."""
    budgets = {"usd": room_for * COST / NANO, "tokens": room_for * (PROMPT + COMPLETION)}
    text = CONFIG.format(store=redis.url, upstream=upstream.base_url, lease_s=lease_s, **budgets)
    (folder / "gateway.yaml").write_text(text)
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(serving(cwd=folder)) for _ in range(2)]
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        kv = await stack.enter_async_context(Kv(redis.url, timeout_s=5, clock=SystemClock()))
        assert await kv.wait_until_up(PATIENCE_S)
        yield Pair(gateways, http, RedisAdmissionStore(kv))


def answer(request: Seen) -> Step:
    return Stream.of(*CHUNKS) if request.json()["stream"] else Reply.of(ANSWER)


async def test_200_at_once_against_a_budget_for_exactly_50(redis_server: RedisServer, tmp_path: Path) -> None:
    async with ScriptedUpstream(then=answer) as up, pair(up, redis_server, tmp_path, lease_s=60, room_for=50) as both:
        outcomes = Counter(await asyncio.gather(*(both.chat(number) for number in range(200))))
        assert outcomes == {"200": 50, "429 insufficient_quota": 150}
        assert len(up.requests) == 50
        tokens, usd = await both.until_nothing_is_reserved()
        assert tokens == Balance(settled=500, reserved=0, lost=0, lost_grants=0)
        assert usd == Balance(settled=140_000_000, reserved=0, lost=0, lost_grants=0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_bad_day_ends_with_the_books_in_order(redis_server: RedisServer, tmp_path: Path, seed: int) -> None:
    """Clients hang up, the upstream cuts streams, and one gateway is killed while it has 5 requests under way."""
    chance = random.Random(seed)

    def badly(request: Seen) -> Step:
        body = request.json()
        if body["model"] == "endless":
            return Stream.of(CHUNKS[1], asyncio.Event())
        if body["stream"] and chance.random() < 0.3:
            return Stream.of(*CHUNKS[: chance.randrange(1, 3)], done=False, cut=True)
        return answer(request)

    room_for = 5 + 60 + 5  # the last are left to be had afterwards, whoever hung up
    async with (
        ScriptedUpstream(then=badly) as up,
        pair(up, redis_server, tmp_path, lease_s=2, room_for=room_for) as both,
    ):

        async def chat_and_perhaps_leave(number: int) -> None:
            task = asyncio.create_task(both.chat(number))
            if chance.random() < 0.4:
                await asyncio.wait([task], timeout=chance.random() * 0.2)
                task.cancel()
            with suppress(asyncio.CancelledError, aiohttp.ClientError):
                await task

        held = [asyncio.create_task(both.chat(4 * n + 1, model="endless")) for n in range(5)]  # all at the first
        await up.seen(5)
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(chat_and_perhaps_leave(number))
        killed = both.gateways.pop(0)
        killed.child.kill()
        await asyncio.wait(held)
        most = room_for * (PROMPT + COMPLETION), room_for * COST
        tokens, usd = await both.until_nothing_is_reserved()
        assert tokens.settled <= most[0]
        assert usd.settled <= most[1]
        assert tokens.lost_grants == usd.lost_grants == await both.lost_requests() >= 5
        # A lease that was renewed in time knew of what its stream had said by then.
        assert PROMPT * tokens.lost_grants <= tokens.lost <= (PROMPT + COMPLETION) * tokens.lost_grants
        rest = Counter(await asyncio.gather(*(both.chat(2 * number) for number in range(100))))
        tokens, usd = await both.until_nothing_is_reserved()
        assert most[0] - (PROMPT + COMPLETION) < tokens.settled <= most[0] or usd.settled > most[1] - COST
        assert usd.settled <= most[1]
        assert set(rest) == {"200", "429 insufficient_quota"}
