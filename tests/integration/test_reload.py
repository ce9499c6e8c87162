"""Another configuration takes the place of the one in force, and no request notices."""

import asyncio
import json
from typing import Any

import pytest

from gateway.errors import ConfigError
from tests.support.gateway import CHAT, HELLO, config, gateway, loaded
from tests.support.upstream import Reply, Reset, ScriptedUpstream, Stream, chat_body, chat_chunks, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
ROUTE = {"name": "default", "upstream": "up"}


async def test_requests_go_by_the_new_configuration_from_the_next_one_on() -> None:
    one, two = ScriptedUpstream(then=ANSWER), ScriptedUpstream(then=ANSWER)
    async with one, two, gateway(config(one.base_url)) as gw:
        await gw.chat()
        await gw.reload(config(two.base_url))
        assert (await gw.chat()).status == 200
        assert (len(one.requests), len(two.requests)) == (1, 1)


async def test_a_request_in_flight_finishes_under_the_configuration_it_began_with() -> None:
    go_on = asyncio.Event()
    first, *rest = chat_chunks("Hel", "lo")[1:]
    one, two = ScriptedUpstream(Stream.of(first, go_on, *rest)), ScriptedUpstream(then=ANSWER)
    async with one, two, gateway(config(one.base_url)) as gw:
        document = json.dumps({"model": "m", "messages": HELLO, "stream": True})
        async with gw.http.post(gw.url + CHAT, data=document) as response:
            await response.content.readany()
            await gw.reload(config(two.base_url))
            assert (await gw.chat()).status == 200
            assert not one.requests[0].gone.is_set()
            go_on.set()
            assert (await response.content.read()).endswith(b"data: [DONE]\n\n")
        await asyncio.wait_for(one.requests[0].gone.wait(), 5)  # the old gateway is closed, and its connections


async def test_a_connection_that_is_kept_meets_the_new_configuration() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        reader, writer = await asyncio.open_connection(*gw.url.removeprefix("http://").split(":"))
        body = json.dumps({"model": "m", "messages": HELLO}).encode()
        request = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (CHAT.encode(), len(body), body)
        for key, status in ((None, b"200"), ("a-new-secret", b"401")):
            if key:
                keys = [{"name": "bot", "key": key}]
                await gw.reload(config(up.base_url, auth="required", keys=keys))
            writer.write(request)
            assert (await reader.readline()).split()[1] == status
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
        writer.close()


async def test_counters_go_on() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "gpt-5-mini", "code": "200"}
        for _ in range(3):
            await gw.chat()
            await gw.reload(config(up.base_url))
        assert await gw.metric("gateway_requests_total", **labels) == 3
        assert await gw.metric("gateway_upstream_attempts_total", upstream="up", outcome="ok") == 3


async def test_an_upstream_that_stays_keeps_its_connections() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        await gw.chat()
        await gw.reload(config(up.base_url, unknown_price="reject"))
        await gw.chat()
        assert up.connections == 1


async def test_stored_answers_and_used_limits_stay() -> None:
    route: dict[str, Any] = {**ROUTE, "cache": {}, "limits": {"requests_per_minute": 3}}
    async with ScriptedUpstream(ANSWER, ANSWER) as up, gateway(config(up.base_url, routes=[route])) as gw:
        await gw.chat()
        await gw.reload(config(up.base_url, routes=[route], unknown_price="reject"))
        assert (await gw.chat()).headers["Cache-Status"].startswith("gateway; hit")
        assert (await gw.chat(messages=[{"role": "user", "content": "other"}])).status == 200
        assert (await gw.chat()).status == 429


async def test_what_is_known_of_a_failing_target_stays() -> None:
    async with ScriptedUpstream(then=Reset()) as up:
        upstreams: dict[str, Any] = {"up": {"base_url": up.base_url, "retries": {"attempts": 1}}}
        async with gateway(config("", upstreams=upstreams)) as gw:
            for _ in range(5):
                await gw.chat()
            await gw.reload(config("", upstreams=upstreams, unknown_price="reject"))
            assert await gw.metric("gateway_breaker_open", upstream="up") == 1
            upstreams["up"]["connect_timeout_s"] = 4
            await gw.reload(config("", upstreams=upstreams))
            assert await gw.metric("gateway_breaker_open", upstream="up") == 0, "it is another upstream now"


async def test_a_configuration_that_cannot_be_built_changes_nothing() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        broken = {"up": {"base_url": "https://localhost/v1", "ca_file": "/nowhere.pem"}}
        with pytest.raises(ConfigError):
            await gw.live.prepare(loaded(config("", upstreams=broken)))
        gw.live.commit()
        assert (await gw.chat()).status == 200


async def test_a_configuration_that_was_prepared_and_dropped_changes_nothing() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, ScriptedUpstream() as other, gateway(config(up.base_url)) as gw:
        await gw.live.prepare(loaded(config(other.base_url)))
        await gw.live.abandon()
        gw.live.commit()
        assert (await gw.chat()).status == 200
        assert other.requests == []


async def test_no_request_fails_while_configurations_come_and_go() -> None:
    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw:
        is_over = False

        async def ask() -> set[int]:
            statuses = set()
            while not is_over:
                statuses.add((await gw.chat()).status)
            return statuses

        asking = [asyncio.create_task(ask()) for _ in range(8)]
        for n in range(10):
            await gw.reload(config(up.base_url, lease_s=60 + n))
        is_over = True
        assert set().union(*await asyncio.gather(*asking)) == {200}
