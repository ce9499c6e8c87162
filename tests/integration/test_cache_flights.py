"""Identical requests at once: one upstream call, whoever comes, goes or asks for another form."""

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest
from yarl import URL

from tests.support.gateway import CHAT, HELLO, Answer, RunningGateway, config, gateway
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Seen, Stream, chat_body, chat_chunks, event, usage

KEYS = [{"name": "a", "key": "key-of-a-1234", "team": "red"}, {"name": "b", "key": "key-of-b-1234", "team": "red"}]
PLAIN = chat_body("Hello there.", usage=usage(8, 2))
CHUNKS = chat_chunks("Hello", " there.", usage=usage(8, 2))


def cached(url: str, **sections: Any) -> dict[str, Any]:
    route = {"name": "default", "upstream": "up", "cache": {"ttl_s": 60, "share": "team"}}
    sections = {"teams": [{"name": "red"}], "keys": KEYS, "auth": "required", "routes": [route], **sections}
    return config(url, **sections)


def text(answer: Answer) -> str:
    """What the model said, in either form of answer."""
    if answer.headers["Content-Type"].startswith("application/json"):
        return str(answer.json()["choices"][0]["message"]["content"])
    events = [line.removeprefix("data: ") for line in answer.body.decode().split("\n\n") if line]
    assert events[-1] == "[DONE]"
    choices = [choice for line in events[:-1] for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


async def until_waiting(gw: RunningGateway, count: int) -> None:
    """`count` requests are being served."""
    await gw.until(lambda scrape: scrape("gateway_in_flight_requests") >= count)


class Held:
    """A step of an upstream's script that answers when it is told to."""

    def __init__(self, step: Reply | Stream) -> None:
        self.release = asyncio.Event()
        self._step = step

    async def __call__(self, _: Seen) -> Reply | Stream:
        await self.release.wait()
        return self._step


@pytest.mark.parametrize("opens", ["plain", "streamed"])
async def test_requests_at_once_share_one_call_in_either_form(opens: str) -> None:
    held = Held(Reply.of(PLAIN) if opens == "plain" else Stream.of(*CHUNKS))
    async with ScriptedUpstream(held) as up, gateway(cached(up.base_url)) as gw:
        first = asyncio.create_task(gw.chat(key="key-of-a-1234", stream=opens == "streamed"))
        await up.seen(1)
        others = [
            asyncio.create_task(gw.chat(key=key, stream=is_stream))
            for key in ("key-of-a-1234", "key-of-b-1234")
            for is_stream in (True, False)
            for _ in range(5)
        ]
        await until_waiting(gw, 21)
        held.release.set()
        answers = await asyncio.gather(first, *others)
        assert [text(answer) for answer in answers] == ["Hello there."] * 21
        assert answers[0].headers["Cache-Status"].startswith("gateway; fwd=miss")
        assert {answer.headers["Cache-Status"] for answer in answers[1:]} == {"gateway; fwd=miss; collapsed"}
        assert len(up.requests) == 1
        scrape = await gw.metrics()
        assert scrape("gateway_cache_requests_total", route="default", result="coalesced") == 20
        spent = scrape("gateway_cost_usd_total", route="default", tier="none", model="gpt-5-mini", source="computed")
        assert scrape("gateway_saved_usd_total", route="default", reason="coalesced") == pytest.approx(20 * spent)


async def test_who_comes_late_to_a_stream_gets_its_beginning_at_once_and_then_reads_live() -> None:
    release = asyncio.Event()
    step = Stream([event(CHUNKS[0]), event(CHUNKS[1]), release, *(event(chunk) for chunk in CHUNKS[2:]), DONE])
    async with ScriptedUpstream(step) as up, gateway(cached(up.base_url)) as gw:
        first, second = await asyncio.gather(*(begin(gw, key) for key in ("key-of-a-1234", "key-of-b-1234")))
        for response in (first, second):
            assert b"Hello" in await response.content.readany()
        release.set()
        for response in (first, second):
            assert (await response.read()).endswith(DONE)
        assert len(up.requests) == 1


async def begin(gw: RunningGateway, key: str, **fields: Any) -> aiohttp.ClientResponse:
    """A streamed chat whose head and first event have arrived."""
    body = {"model": "gpt-5-mini", "messages": HELLO, "stream": True, **fields}
    return await gw.http.post(gw.url + CHAT, json=body, headers={"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_opener_that_leaves_before_the_answer_harms_nobody_and_pays(is_stream: bool) -> None:
    held = Held(Stream.of(*CHUNKS) if is_stream else Reply.of(PLAIN))
    async with ScriptedUpstream(held) as up, gateway(cached(up.base_url)) as gw:
        opener = asyncio.create_task(gw.chat(key="key-of-a-1234", stream=is_stream))
        await up.seen(1)
        follower = asyncio.create_task(gw.chat(key="key-of-b-1234", stream=is_stream))
        await until_waiting(gw, 2)
        opener.cancel()
        await asyncio.wait([opener])
        held.release.set()
        assert text(await follower) == "Hello there."
        labels = {"route": "default", "tier": "none", "model": "gpt-5-mini"}
        await gw.until(lambda scrape: scrape("gateway_cost_usd_total", source="computed", **labels) > 0)
        hit = await gw.chat(key="key-of-b-1234")
        assert hit.headers["Cache-Status"].startswith("gateway; hit")
        assert len(up.requests) == 1


async def test_an_opener_that_leaves_in_the_middle_of_a_stream_harms_nobody() -> None:
    release = asyncio.Event()
    step = Stream([event(CHUNKS[0]), event(CHUNKS[1]), release, *(event(chunk) for chunk in CHUNKS[2:]), DONE])
    async with ScriptedUpstream(step) as up, gateway(cached(up.base_url)) as gw:
        opener = await begin(gw, "key-of-a-1234")
        follower = await begin(gw, "key-of-b-1234")
        opener.close()
        release.set()
        assert (await follower.read()).endswith(DONE)
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "gpt-5-mini"}
        await gw.until(lambda scrape: scrape("gateway_requests_total", code="499", **labels) == 1)
        assert len(up.requests) == 1


async def test_who_waits_for_the_whole_gets_it_when_the_stream_s_own_client_has_left() -> None:
    release = asyncio.Event()
    step = Stream([event(CHUNKS[0]), event(CHUNKS[1]), release, *(event(chunk) for chunk in CHUNKS[2:]), DONE])
    async with ScriptedUpstream(step) as up, gateway(cached(up.base_url)) as gw:
        opener = await begin(gw, "key-of-a-1234")
        whole = asyncio.create_task(gw.chat(key="key-of-b-1234"))
        await until_waiting(gw, 2)
        opener.close()
        release.set()
        assert text(await whole) == "Hello there."
        assert len(up.requests) == 1


@pytest.mark.parametrize("leaves_first", [0, 1])
async def test_the_call_ends_with_its_last_reader(leaves_first: int) -> None:
    step = Stream([event(CHUNKS[1]), asyncio.Event()])
    async with ScriptedUpstream(step) as up, gateway(cached(up.base_url)) as gw:
        readers = [await begin(gw, "key-of-a-1234"), await begin(gw, "key-of-b-1234")]
        readers[leaves_first].close()
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "gpt-5-mini", "code": "499"}
        if leaves_first == 1:  # the opener stays for the bill when it leaves first
            await gw.until(lambda scrape: scrape("gateway_requests_total", **labels) == 1)
        assert not up.requests[0].gone.is_set()
        readers[1 - leaves_first].close()
        await asyncio.wait_for(up.requests[0].gone.wait(), 5)
        await gw.until(lambda scrape: scrape("gateway_requests_total", **labels) == 2)
        assert await gw.metric("gateway_in_flight_requests") == 0


async def test_a_call_that_fails_fails_for_all_who_waited_and_is_asked_anew_after() -> None:
    held = Held(Reply.of({"error": {"message": "no"}}, 400))
    async with ScriptedUpstream(held, Reply.of(PLAIN)) as up, gateway(cached(up.base_url)) as gw:
        requests = [asyncio.create_task(gw.chat(key="key-of-a-1234"))]
        await up.seen(1)
        requests += [asyncio.create_task(gw.chat(key="key-of-b-1234", stream=n % 2 == 0)) for n in range(4)]
        await until_waiting(gw, 5)
        held.release.set()
        assert {answer.status for answer in await asyncio.gather(*requests)} == {400}
        assert text(await gw.chat(key="key-of-b-1234")) == "Hello there."
        assert len(up.requests) == 2


async def test_a_stream_that_is_cut_is_cut_for_all_and_not_kept() -> None:
    release = asyncio.Event()
    step = Stream([event(CHUNKS[0]), event(CHUNKS[1]), release], cut=True)
    async with ScriptedUpstream(step, Reply.of(PLAIN)) as up, gateway(cached(up.base_url)) as gw:
        readers = [await begin(gw, "key-of-a-1234"), await begin(gw, "key-of-b-1234")]
        whole = asyncio.create_task(gw.chat(key="key-of-b-1234"))
        await until_waiting(gw, 3)
        release.set()
        for response in readers:
            body = await response.read()
            assert b'"error"' in body
            assert b"[DONE]" not in body
        assert (await whole).status == 502
        assert text(await gw.chat(key="key-of-a-1234")) == "Hello there."


async def test_who_waits_for_a_request_that_is_refused_goes_itself() -> None:
    keys = [{**KEYS[0], "limits": {"requests_per_minute": 1}}, KEYS[1]]
    async with ScriptedUpstream(then=Reply.of(PLAIN)) as up, gateway(cached(up.base_url, keys=keys)) as gw:
        await gw.chat(key="key-of-a-1234", temperature=0)
        answers = await asyncio.gather(*(gw.chat(key=key) for key in ("key-of-a-1234", "key-of-b-1234") * 3))
        assert {answer.status for answer in answers[::2]} == {429}
        assert {answer.status for answer in answers[1::2]} == {200}
        assert len(up.requests) == 2


async def test_usage_goes_to_those_who_asked_for_it() -> None:
    held = Held(Stream.of(*CHUNKS))
    async with ScriptedUpstream(held) as up, gateway(cached(up.base_url)) as gw:
        wishes = [False, True, False, True]
        requests = []
        for wish in wishes:
            options: dict[str, Any] = {"stream_options": {"include_usage": True}} if wish else {}
            requests.append(asyncio.create_task(gw.chat(key="key-of-a-1234", stream=True, **options)))
            await up.seen(1)
        await until_waiting(gw, 4)
        held.release.set()
        answers = await asyncio.gather(*requests)
        assert [b'"usage": {' in answer.body or b'"usage":{' in answer.body for answer in answers] == wishes


async def test_a_client_that_reads_nothing_stalls_nobody_else() -> None:
    long = chat_chunks(*(["word " * 2_000] * 600), usage=usage(8, 2))  # 6 MB, more than sockets hold
    route = {"name": "default", "upstream": "up", "cache": {"ttl_s": 60, "share": "team", "max_entry_kb": 8192}}
    async with ScriptedUpstream(Stream.of(*long)) as up, gateway(cached(up.base_url, routes=[route])) as gw:
        with socket.socket() as stalled:  # it opens the flight
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((URL(gw.url).host, URL(gw.url).port))
            body = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "stream": True}).encode()
            head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key-of-a-1234\r\n"
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            stalled.sendall(head.encode() + body)
            await up.seen(1)
            whole = await gw.chat(key="key-of-b-1234", stream=True)
            assert whole.body.endswith(DONE)
            assert await gw.metric("gateway_in_flight_requests") == 1
            hit = await gw.chat(key="key-of-b-1234")
            assert hit.headers["Cache-Status"].startswith("gateway; hit")
            assert len(text(hit)) == 6_000_000
            assert len(up.requests) == 1
