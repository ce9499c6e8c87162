"""Repeats on the way of a request: the second is a hit, whoever may share it, on both stores."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.gateway import config, gateway
from tests.support.redis_server import RedisServer
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, event, usage

ANSWER = Reply.of(chat_body("Hello there.", usage=usage(8, 2)))
STREAM = Stream.of(*chat_chunks("Hello", " there.", usage=usage(8, 2)))
TEAMS = [{"name": "red"}, {"name": "blue"}]
KEYS = [
    {"name": "red-1", "key": "key-red-one", "team": "red"},
    {"name": "red-2", "key": "key-red-two", "team": "red"},
    {"name": "blue-1", "key": "key-blue-one", "team": "blue"},
]


def cached(url: str, store: str, **policy: Any) -> dict[str, Any]:
    route = {"name": "default", "upstream": "up", "cache": {"ttl_s": 60, **policy}}
    return config(url, store=store, store_timeout_s=2, auth="required", teams=TEAMS, keys=KEYS, routes=[route])


async def test_the_second_identical_request_is_a_hit(store: str) -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        miss = await gw.chat(key="key-red-one")
        hit = await gw.chat(key="key-red-one")
        assert miss.headers["Cache-Status"] == "gateway; fwd=miss; stored"
        assert hit.headers["Cache-Status"].startswith("gateway; hit; ttl=")
        assert hit.headers["Age"] == "0"
        assert hit.body == miss.body
        assert hit.headers["x-gateway-cost-usd"] == "0.000000000"
        assert len(up.requests) == 1


async def test_spacing_and_key_order_make_no_difference(store: str) -> None:
    body = b'{"messages": [{"content":"hello", "role":"user"}],\n "model":"gpt-5-mini"}'
    auth = {"Authorization": "Bearer key-red-one"}
    async with ScriptedUpstream(ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        await gw.chat(key="key-red-one")
        hit = await gw.request("POST", "/v1/chat/completions", body=body, headers=auth)
        assert hit.headers["Cache-Status"].startswith("gateway; hit")
        assert len(up.requests) == 1


@pytest.mark.parametrize(
    ("share", "sharers"),
    [("key", {"key-red-one"}), ("team", {"key-red-one", "key-red-two"}), ("everyone", {key["key"] for key in KEYS})],
)
async def test_an_answer_is_shared_as_far_as_the_route_says_and_no_further(
    store: str, share: str, sharers: set[str]
) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, store, share=share)) as gw:
        await gw.chat(key="key-red-one")
        for key in ("key-red-two", "key-blue-one"):
            calls = len(up.requests)
            await gw.chat(key=key)
            assert (len(up.requests) == calls) == (key in sharers)


@pytest.mark.parametrize("is_filled_by_stream", [True, False])
async def test_a_hit_answers_streamed_or_not_whatever_filled_it(store: str, is_filled_by_stream: bool) -> None:
    step = STREAM if is_filled_by_stream else ANSWER
    async with ScriptedUpstream(step) as up, gateway(cached(up.base_url, store)) as gw:
        await gw.chat(key="key-red-one", stream=is_filled_by_stream)
        plain = await gw.chat(key="key-red-one")
        streamed = await gw.chat(key="key-red-one", stream=True, stream_options={"include_usage": True})
        assert len(up.requests) == 1
        assert plain.json()["choices"][0]["message"]["content"] == "Hello there."
        assert plain.json()["usage"]["total_tokens"] == 10
        lines = streamed.body.decode().split("\n\n")
        assert lines[-2:] == ["data: [DONE]", ""]
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        assert "".join(delta.get("content") or "" for delta in deltas) == "Hello there."
        assert chunks[-1]["usage"]["total_tokens"] == 10


@pytest.mark.parametrize(
    "step",
    [
        Stream.of(*chat_chunks("Hel")[:2], done=False, cut=True),
        Reply.of(chat_body("Hello.", finish_reason=""), 200),
        Reply.of({"error": {"message": "no"}}, 400),
        Reply(200, b"<html>"),
    ],
)
async def test_what_is_not_a_complete_answer_is_not_stored(store: str, step: Reply | Stream) -> None:
    async with ScriptedUpstream(step, ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        await gw.chat(key="key-red-one", stream=isinstance(step, Stream))
        assert (await gw.chat(key="key-red-one")).json()["choices"][0]["message"]["content"] == "Hello there."
        assert len(up.requests) == 2


async def test_the_client_may_ask_for_a_new_answer_or_for_none(store: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        absent = await gw.chat(key="key-red-one", headers={"Cache-Control": "only-if-cached"})
        assert (absent.status, absent.error["code"]) == (504, "not_cached")
        assert up.requests == []
        await gw.chat(key="key-red-one", headers={"Cache-Control": "no-store"})
        await gw.chat(key="key-red-one")
        assert len(up.requests) == 2
        fresh = await gw.chat(key="key-red-one", headers={"Cache-Control": "no-cache"})
        assert fresh.headers["Cache-Status"] == "gateway; fwd=bypass; detail=no_cache; stored"
        assert len(up.requests) == 3


async def test_a_request_that_makes_state_upstream_goes_around_the_cache(store: str) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, store)) as gw:
        for _ in range(2):
            answer = await gw.chat(key="key-red-one", store=True)
            assert answer.headers["Cache-Status"] == "gateway; fwd=bypass; detail=stores_upstream"
        assert len(up.requests) == 2


async def test_without_redis_requests_go_on(redis_server: RedisServer) -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(cached(up.base_url, redis_server.url)) as gw:
        redis_server.kill()
        for _ in range(3):
            answer = await gw.chat(key="key-red-one")
            assert answer.status == 200
            assert answer.headers["Cache-Status"] == "gateway; fwd=bypass; detail=store"
        assert await gw.metric("gateway_store_up") == 0
        assert len(up.requests) == 3


async def test_a_stream_is_replayed_at_its_pace_where_the_route_wants_that(store: str) -> None:
    """The pauses of a scripted stream (0.3 s in all) come again, for who streams; whole answers come at once."""
    first, *rest = chat_chunks("One", " two", " three.", usage=usage(8, 3))
    slow = Stream([event(first), *(part for chunk in rest for part in (0.06, event(chunk))), DONE])
    async with ScriptedUpstream(slow) as up, gateway(cached(up.base_url, store, replay="original")) as gw:
        loop = asyncio.get_running_loop()
        live = await gw.chat(key="key-red-one", stream=True)
        began = loop.time()
        hit = await gw.chat(key="key-red-one", stream=True)
        assert loop.time() - began > 0.12
        assert hit.headers["Cache-Status"].startswith("gateway; hit")
        assert hit.body.endswith(DONE)
        plain = await gw.chat(key="key-red-one")
        assert plain.json()["choices"][0]["message"]["content"] == "One two three."
        assert live.body.count(b"data:") >= 4
        assert len(up.requests) == 1


async def test_who_leaves_a_paced_replay_ends_it() -> None:
    role, first, *rest = chat_chunks("One", " two", " three.", usage=usage(8, 3))
    slow = Stream([event(role), event(first), 0.7, *map(event, rest), DONE])
    async with ScriptedUpstream(slow) as up, gateway(cached(up.base_url, "memory", replay="original")) as gw:
        await gw.chat(key="key-red-one", stream=True)
        leaving = asyncio.create_task(gw.chat(key="key-red-one", stream=True))
        await gw.until(lambda scrape: scrape("gateway_in_flight_requests") == 1)
        leaving.cancel()
        await gw.until_within(0.6, lambda scrape: scrape("gateway_in_flight_requests") == 0)
