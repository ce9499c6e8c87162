"""What operators see of the cache and have it forget, and what it serves while the upstream fails."""

import asyncio
import json
import os
import sys
from functools import partial
from typing import Any

import pytest

from gateway.clock import ManualClock
from tests.support.gateway import Answer, RunningGateway, config, gateway
from tests.support.polling import until
from tests.support.upstream import Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

ANSWER = Reply.of(chat_body("Hello there.", usage=usage(8, 2)))
DOWN = Reply.of({"error": {"message": "down"}}, 503)
KEYS = [{"name": "bot", "key": "key-of-bot-1"}, {"name": "red-1", "key": "key-of-red-1", "team": "red"}]
ADMIN = {"Authorization": "Bearer admin-key"}


def cached(url: str, store: str, **policy: Any) -> dict[str, Any]:
    route = {"name": "default", "upstream": "up", "cache": {"ttl_s": 60, "share": "team", **policy}}
    server = {"port": 0, "admin": {"port": 0, "key": "admin-key"}}
    sections: dict[str, Any] = {"server": server, "store": store, "store_timeout_s": 2, "routes": [route]}
    up = {"base_url": url, "retries": {"attempts": 1}, "breaker": {"failures": 1000}}
    return config(url, **sections, auth="required", teams=[{"name": "red"}], keys=KEYS, upstreams={"up": up})


async def purge(gw: RunningGateway, **what: Any) -> Answer:
    async with gw.http.post(f"{gw.admin_url}/admin/cache/purge", json=what, headers=ADMIN) as response:
        return Answer(response.status, response.headers.copy(), await response.read())


async def stats(gw: RunningGateway) -> Any:
    async with gw.http.get(f"{gw.admin_url}/admin/cache", headers=ADMIN) as response:
        return await response.json()


async def is_stored(gw: RunningGateway) -> bool:
    """Also in Redis, which goes on after the answer."""
    return all(each["flights"] == 0 for each in (await stats(gw))["processes"])


async def is_miss(gw: RunningGateway, key: str) -> bool:
    return not await is_hit(gw, key)


async def is_hit(gw: RunningGateway, key: str) -> bool:
    answer = await gw.chat(key=key, headers={"Cache-Control": "only-if-cached"})
    return answer.status == 200


@pytest.mark.parametrize(
    ("what", "gone"),
    [
        ({"route": "default"}, {"key-of-bot-1", "key-of-red-1"}),
        ({"all": True}, {"key-of-bot-1", "key-of-red-1"}),
        ({"key": "bot"}, {"key-of-bot-1"}),
        ({"team": "red", "route": "default"}, {"key-of-red-1"}),
    ],
    ids=["route", "all", "key", "team"],
)
async def test_what_is_purged_is_gone_and_nothing_else(store: str, what: dict[str, Any], gone: set[str]) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        for key in ("key-of-bot-1", "key-of-red-1"):
            await gw.chat(key=key)
            assert await is_hit(gw, key)
        assert (await purge(gw, **what)).json() == {"purged": what, "processes": 1}
        for key in gone:
            await until(partial(is_miss, gw, key))
        assert await is_hit(gw, "key-of-bot-1") == ("key-of-bot-1" not in gone)
        assert await is_hit(gw, "key-of-red-1") == ("key-of-red-1" not in gone)


async def test_a_purge_must_say_what(store: str) -> None:
    async with ScriptedUpstream() as up, gateway(cached(up.base_url, store)) as gw:
        for what in (
            {},
            {"all": False},
            {"all": True, "route": "default"},
            {"key": "bot", "team": "red"},
            {"key": 5},
            {"all": 1},
        ):
            assert (await purge(gw, **what)).status == 400
        slip = await purge(gw, route="defualt")
        assert slip.error["message"] == "No route is called 'defualt'; there are: default."
        slip = await purge(gw, key="nope")
        assert (slip.status, slip.error["param"]) == (400, "key")
        assert slip.error["message"].startswith("No key is called 'nope'; the configuration has: bot, ")


async def test_operators_see_hits_and_savings_of_each_route(store: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        for _ in range(3):
            await gw.chat(key="key-of-bot-1")
        found = await stats(gw)
        spent = 8 * 250 + 2 * 2000
        figures = dict.fromkeys(("semantic", "coalesced", "stale", "bypass"), 0)
        figures |= {"hit": 2, "miss": 1, "saved_nanousd": 2 * spent}
        assert found["routes"] == {"default": figures}
        assert [(each["entries"], each["is_local_on"]) for each in found["processes"]] == [(1, True)]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "cache", "stats", "--admin", gw.admin_url),
            env={**os.environ, "GATEWAY_ADMIN_KEY": "admin-key"},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await child.communicate()
        assert said.decode().splitlines()[1].split() == ["default", "2", "0", "0", "0", "1", "0", "66.7%", "0.000012"]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "cache", "purge", "--all", "--admin", gw.admin_url),
            env={**os.environ, "GATEWAY_ADMIN_KEY": "admin-key"},
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await child.communicate()
        assert said == b"purged: everything\n"


@pytest.mark.parametrize("is_stream", [True, False])
async def test_a_stale_answer_is_better_than_an_error(store: str, is_stream: bool) -> None:
    """Not to those who say how old it may be, nor beyond its time."""
    policy, clock = {"ttl_s": 60, "stale_if_error_s": 60}, ManualClock()
    async with ScriptedUpstream(ANSWER, then=DOWN) as up, gateway(cached(up.base_url, store, **policy), clock) as gw:
        await gw.chat(key="key-of-bot-1")
        await until(partial(is_stored, gw))
        clock.advance(61)
        assert not await is_hit(gw, "key-of-bot-1")
        stale = await gw.chat(key="key-of-bot-1", stream=is_stream)
        assert stale.status == 200
        assert b"Hello" in stale.body
        assert stale.headers["Cache-Status"].startswith("gateway; hit; ttl=-1; detail=stale_if_error")
        assert stale.headers["Age"] == "61"
        assert (await gw.chat(key="key-of-bot-1", headers={"Cache-Control": "max-age=60"})).status == 503
        assert (await gw.chat(key="key-of-bot-1", headers={"Cache-Control": "no-cache"})).status == 503
        assert await gw.metric("gateway_cache_requests_total", route="default", result="stale") == 1
        assert len(up.requests) == 4


async def test_without_leave_an_error_is_an_error(store: str) -> None:
    clock = ManualClock()
    async with ScriptedUpstream(ANSWER, then=DOWN) as up, gateway(cached(up.base_url, store, ttl_s=60), clock) as gw:
        await gw.chat(key="key-of-bot-1")
        await until(partial(is_stored, gw))
        clock.advance(61)
        assert (await gw.chat(key="key-of-bot-1")).status == 503


async def test_a_stream_that_was_begun_is_not_mended_with_a_stale_one() -> None:
    cut = Stream.of(*chat_chunks("Hel")[:2], done=False, cut=True)
    policy, clock = {"ttl_s": 60, "stale_if_error_s": 60}, ManualClock()
    async with ScriptedUpstream(ANSWER, then=cut) as up, gateway(cached(up.base_url, "memory", **policy), clock) as gw:
        await gw.chat(key="key-of-bot-1")
        await until(partial(is_stored, gw))
        clock.advance(61)
        broken = await gw.chat(key="key-of-bot-1", stream=True)
        events = [json.loads(line[6:]) for line in broken.body.decode().split("\n\n") if line]
        assert "error" in events[-1]
        assert b"there" not in broken.body
