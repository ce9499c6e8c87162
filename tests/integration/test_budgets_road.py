"""Limits and budgets on the way of a request, on both stores."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis

from gateway.migrations.upgrade import upgrade
from tests.support.gateway import ADMIN_KEY, config, gateway
from tests.support.redis_cluster import cluster
from tests.support.redis_server import RedisServer, find_binary
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)), headers=[("x-ratelimit-limit-requests", "9999")])
PRICES = {"small": {"input": 100, "output": 1000}, "large": {"input": 1000, "output": 10_000}}
"""A request of 8 + 2 tokens costs 8 x 100,000 + 2 x 1,000,000 nano-dollars on `small`: $0.0028."""
CALL_USD = 0.0028
WORST_USD = 0.0108
"""8 + 10 tokens: what is reserved with max_tokens 10."""


def limited(url: str, store: str, **route: Any) -> dict[str, Any]:
    return config(
        url,
        store=store,
        store_timeout_s=2,
        prices=PRICES,
        tiers={"cheap": ["up/small"], "expensive": ["up/large"]},
        routes=[{"name": "default", "upstream": "up", **route}],
    )


async def test_a_budget_is_never_overshot_and_what_is_not_used_comes_back(store: str) -> None:
    budget = {"usd": 5 * CALL_USD + WORST_USD, "per": "total"}
    async with ScriptedUpstream(then=ANSWER) as up, gateway(limited(up.base_url, store, budgets=[budget])) as gw:
        statuses = [(await gw.chat(model="small", max_tokens=10)).status for _ in range(8)]
        assert statuses == [200] * 6 + [429] * 2
        refused = await gw.chat(model="small", max_tokens=10)
        assert (refused.error["type"], refused.error["code"]) == ("insufficient_quota", "insufficient_quota")
        assert refused.headers["x-should-retry"] == "false"
        assert len(up.requests) == 6
        left = budget["usd"] - 6 * CALL_USD  # type: ignore[operator]
        await gw.until(
            lambda scrape: scrape("gateway_budget_remaining_usd", scope="route:default:total") == pytest.approx(left)
        )


async def test_fifty_at_once_get_what_the_budget_holds(store: str) -> None:
    budget = {"usd": 10 * WORST_USD, "per": "day"}
    async with ScriptedUpstream(then=ANSWER) as up, gateway(limited(up.base_url, store, budgets=[budget])) as gw:
        answers = await asyncio.gather(*(gw.chat(model="small", max_tokens=10, seed=n) for n in range(50)))
        assert {answer.status for answer in answers} == {200, 429}
        assert len(up.requests) * CALL_USD <= 10 * WORST_USD


async def test_a_stream_and_a_client_that_leaves_are_charged_and_settled(store: str) -> None:
    step = Stream.of(*chat_chunks("Hel", "lo", usage=usage(8, 2)))
    budget = {"tokens": 1000, "per": "total"}
    async with ScriptedUpstream(step, then=ANSWER) as up, gateway(limited(up.base_url, store, budgets=[budget])) as gw:
        await gw.chat(model="small", stream=True, max_tokens=900)
        assert (await gw.chat(model="small", max_tokens=900)).status == 200  # only 10 tokens of the first were used


async def test_hits_cost_nothing_and_take_nothing(store: str) -> None:
    budget = {"usd": WORST_USD, "per": "total"}
    document = limited(store=store, url="", budgets=[budget], cache={})
    async with ScriptedUpstream(ANSWER) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            assert [(await gw.chat(model="small", max_tokens=10)).status for _ in range(5)] == [200] * 5
            assert len(up.requests) == 1


async def test_a_request_limit_holds_and_says_when_to_come_back(store: str) -> None:
    limits = {"requests_per_minute": 3}
    async with ScriptedUpstream(then=ANSWER) as up, gateway(limited(up.base_url, store, limits=limits)) as gw:
        answers = [await gw.chat(model="small") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
        assert answers[0].headers["x-ratelimit-remaining-requests"] == "2"
        assert answers[0].headers["x-upstream-ratelimit-limit-requests"] == "9999"
        assert answers[3].error["code"] == "rate_limit_exceeded"
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
        assert (await gw.request("POST", "/v1/audio/speech", body=b"{}")).status == 429
        assert len(up.requests) == 3


async def test_a_soft_budget_goes_on_with_the_cheap_tier(store: str) -> None:
    budgets = [{"usd": 0.05, "per": "day", "on_exceeded": "cheap"}, {"usd": 10, "per": "day"}]
    route = {"upstream": None, "tier": "auto", "router": {"threshold": 0.0}, "budgets": budgets}
    document = limited("", store, **route)
    del document["routes"][0]["upstream"]
    async with ScriptedUpstream(then=ANSWER) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            tiers = [(await gw.chat(model="auto", max_tokens=2)).headers["x-gateway-tier"] for _ in range(4)]
            assert tiers == ["expensive", "cheap", "cheap", "cheap"]
            decided = {"route": "default", "tier": "cheap", "reason": "budget"}
            assert await gw.metric("gateway_router_decisions_total", **decided) == 3


async def test_under_a_dollar_budget_everything_must_be_bounded_and_priced(store: str) -> None:
    budget = {"usd": 10, "per": "day"}
    async with ScriptedUpstream() as up, gateway(limited(up.base_url, store, budgets=[budget])) as gw:
        unbounded = await gw.chat(model="small")
        assert unbounded.status == 400
        assert "max_" in unbounded.error["message"]
        assert "`tokens.default_completion`" in unbounded.error["message"]
        unpriced = await gw.chat(model="house-model", max_tokens=5)
        assert (unpriced.status, unpriced.error["code"]) == (400, "model_price_unknown")
        passed = await gw.request("POST", "/v1/audio/speech", body=b"{}")
        assert passed.status == 404  # no route without a budget, and none lists the path
        assert up.requests == []


async def test_without_redis_limits_let_pass_and_budgets_hold(redis_server: RedisServer) -> None:
    budget = {"usd": 10, "per": "day"}
    routes = [
        {"name": "held", "match": {"models": ["small"]}, "upstream": "up", "budgets": [budget]},
        {"name": "open", "upstream": "up", "limits": {"requests_per_minute": 1}},
    ]
    document = limited("", redis_server.url)
    document["routes"] = routes
    async with ScriptedUpstream(then=ANSWER) as up:
        document["upstreams"]["up"]["base_url"] = up.base_url
        async with gateway(document) as gw:
            redis_server.kill()
            held = await gw.chat(model="small", max_tokens=5)
            assert (held.status, held.error["code"]) == (503, "budget_unavailable")
            assert held.headers["Retry-After"] == "1"
            assert [(await gw.chat(model="large", max_tokens=5)).status for _ in range(3)] == [200] * 3
            assert await gw.metric("gateway_unchecked_requests_total", what="limits") == 3


@pytest.mark.parametrize("limit", [{"budgets": [{"tokens": 100_000, "per": "day"}]}, {"limits": {"concurrent": 5}}])
async def test_a_stream_that_passes_its_limit_is_cut_where_tokens_are_counted(
    limit: dict[str, Any], store: str
) -> None:
    endless = Stream.of(*chat_chunks(*[" word"] * 400, usage=usage(8, 400)))
    async with ScriptedUpstream(then=endless) as up, gateway(limited(up.base_url, store, **limit)) as gw:
        answer = await gw.chat(model="gpt-4o", stream=True, max_tokens=10, stream_options={"include_usage": True})
        is_counted = "budgets" in limit
        assert answer.body.count(b'" word"') == (10 if is_counted else 400)
        assert answer.body.endswith(b"data: [DONE]\n\n")
        if is_counted:
            assert b'"finish_reason":"length"' in answer.body
            assert b'"completion_tokens":10' in answer.body
            await up.requests[0].gone.wait()
        await gw.until(lambda scrape: scrape("gateway_cut_streams_total", route="default") == int(is_counted))


async def test_a_budget_in_memory_goes_on_after_a_restart_from_what_the_ledger_says(tmp_path: Path) -> None:
    budgets = [{"usd": 10 * CALL_USD, "per": "day"}, {"tokens": 100, "per": "total"}]
    async with ScriptedUpstream(then=ANSWER) as up:
        document = limited(up.base_url, "memory", budgets=budgets, cache={})
        document["server"]["admin"]["key"] = ADMIN_KEY
        document["ledger"] = f"sqlite:///{tmp_path}/ledger.db"
        await asyncio.to_thread(upgrade, document["ledger"])
        for _ in range(2):
            async with gateway(document) as gw:
                for seed in (1, 1, 2):  # the second is a hit and costs nothing
                    assert (await gw.chat(model="small", max_tokens=10, seed=seed)).status == 200
        assert len(up.requests) == 4
        async with gateway(document) as gw:
            found = (await gw.admin("GET", "/admin/budgets")).json()["budgets"]
            assert [budget["spent"] for budget in found] == [pytest.approx(4 * CALL_USD), 40]


async def test_on_a_cluster_all_of_admission_lives_in_one_slot() -> None:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server here")
    budgets = [{"tokens": 45, "per": "day"}, {"usd": 1, "per": "month"}]
    limits = {"requests_per_minute": 100, "tokens_per_minute": 1000, "concurrent": 5}
    with cluster(binary) as nodes:
        store = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with ScriptedUpstream(then=ANSWER) as up:
            document = limited(up.base_url, store, budgets=budgets, limits=limits, cache={})
            async with gateway(document) as gw:
                statuses = [(await gw.chat(model="small", max_tokens=10, seed=n)).status for n in range(5)]
        assert statuses == [200, 200, 200, 429, 429]
        kept = [b"gw:{admission}:budget" in node.content() for node in nodes]
        assert sum(kept) == 1


async def test_a_stream_under_way_tells_its_lease_what_it_has_used(redis_server: RedisServer) -> None:
    goes_on = asyncio.Event()
    step = Stream.of(*chat_chunks(" one", " two", " three", usage=usage(8, 3))[:4], goes_on, {"choices": []})
    budget = {"tokens": 1000, "per": "total"}
    async with ScriptedUpstream(then=step) as up:
        document = limited(up.base_url, redis_server.url, budgets=[budget])
        async with gateway({**document, "lease_s": 1}) as gw, redis.Redis.from_url(redis_server.url) as store:
            asking = asyncio.create_task(gw.chat(model="gpt-4o", stream=True, max_tokens=900))
            async with asyncio.timeout(10):
                used: set[int] = set()
                while 8 + 3 not in used:
                    names = [name async for name in store.scan_iter("gw:{admission}:grant:*")]
                    used |= {int(await store.hget(name, "used_tokens") or 0) for name in names}
            assert used <= {8, 11}  # the prompt from the first moment on; then what has come
            goes_on.set()
            await asking
