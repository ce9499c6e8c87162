"""The way of a chat completion over real sockets: what reaches the upstream, what reaches the client."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from tests.support.gateway import CHAT, HELLO, RunningGateway, config, gateway
from tests.support.upstream import (
    DONE,
    Reply,
    Reset,
    ScriptedUpstream,
    Stall,
    Stream,
    chat_body,
    chat_chunks,
    event,
    usage,
)

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))


async def stream_of(gw: RunningGateway, **fields: Any) -> bytes:
    return (await gw.chat(stream=True, **fields)).body


async def test_the_body_reaches_the_upstream_byte_for_byte() -> None:
    body = (
        b'{ "model":"gpt-5-mini", "temperature": 1.0, "seed": 18446744073709551616, "x": 1e2,\n'
        b' "messages":[{"role":"user","content":"\\ud83d\\ude00 \\ud800 \xc3\xa9"}], "unknown": {"b":1,"a":null} }'
    )
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.request("POST", CHAT, body=body)
        assert answer.status == 200
        assert up.requests[0].body == body
        assert up.requests[0].path == "/v1/chat/completions"


async def test_the_answer_reaches_the_client_byte_for_byte() -> None:
    odd = json.dumps(chat_body("Hello.", usage=usage(8, 2)), indent=3).encode() + b"\n"
    async with ScriptedUpstream(Reply(200, odd)) as up, gateway(config(up.base_url)) as gw:
        assert (await gw.chat()).body == odd


async def test_the_upstream_sees_our_key_and_not_the_clients() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw:
        await gw.chat(key="sk-of-the-client", headers={"X-Stainless-Lang": "python", "Cookie": "a=b"})
        seen = up.requests[0]
        assert seen.header("Authorization") == "Bearer upstream-secret"
        assert seen.header("X-Stainless-Lang") == "python"
        assert seen.header("Cookie") is None
        assert b"sk-of-the-client" not in str(seen.headers).encode()


async def test_a_stream_passes_untouched_but_for_the_usage_nobody_asked_for() -> None:
    chunks = chat_chunks("Hel", "lo", usage=usage(8, 2))
    async with ScriptedUpstream(Stream.of(*chunks)) as up, gateway(config(up.base_url)) as gw:
        body = await stream_of(gw)
        assert body == b"".join(map(event, chunks[:-1])) + DONE
        assert up.requests[0].json()["stream_options"] == {"include_usage": True}


async def test_usage_that_the_client_asked_for_passes() -> None:
    chunks = chat_chunks("Hel", "lo", usage=usage(8, 2))
    async with ScriptedUpstream(Stream.of(*chunks)) as up, gateway(config(up.base_url)) as gw:
        body = await stream_of(gw, stream_options={"include_usage": True})
        assert body == b"".join(map(event, chunks)) + DONE


async def test_each_event_leaves_as_it_arrives() -> None:
    go_on = asyncio.Event()
    first, *rest = chat_chunks("Hel", "lo")[1:]
    async with ScriptedUpstream(Stream.of(first, go_on, *rest)) as up, gateway(config(up.base_url)) as gw:
        document = json.dumps({"model": "m", "messages": HELLO, "stream": True})
        async with gw.http.post(gw.url + CHAT, data=document) as response:
            assert await response.content.readany() == event(first)
            go_on.set()
            assert await response.content.read() == b"".join(map(event, rest)) + DONE


async def test_an_upstream_error_is_passed_on_as_it_is() -> None:
    refusal = {"error": {"message": "no", "type": "invalid_request_error", "param": "temperature", "code": None}}
    step = Reply.of(refusal, 400, [("x-request-id", "req_up")])
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.chat(temperature=9)
        assert (answer.status, answer.json()) == (400, refusal)
        assert answer.headers["x-upstream-request-id"] == "req_up"


@pytest.mark.parametrize(
    ("step", "within_s", "status", "code"),
    [(Reset(), 30, 502, "upstream_unavailable"), (Stall(), 0.3, 504, "upstream_timeout")],
)
async def test_an_upstream_that_fails_is_a_502_or_a_504(
    step: Reset | Stall, within_s: float, status: int, code: str
) -> None:
    async with ScriptedUpstream(then=step) as up:
        upstreams = {"up": {"base_url": up.base_url, "total_timeout_s": within_s}}
        async with gateway(config(up.base_url, upstreams=upstreams)) as gw:
            answer = await gw.chat()
            assert (answer.status, answer.error["code"]) == (status, code)
            assert up.base_url not in answer.body.decode()


async def test_an_error_before_the_first_event_is_a_status() -> None:
    error = event({"error": {"message": "overloaded", "type": "server_error"}})
    async with ScriptedUpstream(then=Stream([b": hold on\n\n", error])) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.chat(stream=True)
        assert answer.status == 502
        assert "overloaded" in answer.error["message"]


@pytest.mark.parametrize("is_cut", [True, False])
async def test_a_stream_that_breaks_off_says_so_and_is_not_done(is_cut: bool) -> None:
    chunks = chat_chunks("Hel", "lo")[:2]
    async with ScriptedUpstream(Stream.of(*chunks, done=False, cut=is_cut)) as up, gateway(config(up.base_url)) as gw:
        body = await stream_of(gw)
        assert body.startswith(b"".join(map(event, chunks)))
        last = json.loads(body.removeprefix(b"".join(map(event, chunks))).removeprefix(b"data: "))
        assert last["error"]["code"] == "upstream_cut"
        assert b"[DONE]" not in body
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "gpt-5-mini", "code": "502"}
        assert await gw.metric("gateway_requests_total", **labels) == 1


async def test_a_stream_that_stalls_is_ended() -> None:
    first = chat_chunks("Hel")[0]
    async with ScriptedUpstream(Stream.of(first, asyncio.Event())) as up:
        upstreams = {"up": {"base_url": up.base_url, "idle_timeout_s": 0.2}}
        async with gateway(config(up.base_url, upstreams=upstreams)) as gw:
            body = await stream_of(gw)
            assert b'"code":"upstream_timeout"' in body
            assert b"[DONE]" not in body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIRST_EVENT = event(chat_chunks("Hel")[0])


@pytest.mark.parametrize(
    ("step", "stream"),
    [
        pytest.param(Stall(), False, id="before the answer"),
        pytest.param(Stall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"id'), False, id="within the answer"),
        pytest.param(Stall(), True, id="before the stream"),
        pytest.param(Stall(STREAM_HEAD), True, id="before the first event"),
        pytest.param(
            Stall(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(FIRST_EVENT), FIRST_EVENT)), True, id="within the stream"
        ),
    ],
)
async def test_a_client_that_leaves_ends_the_upstream_call(step: Stall, stream: bool) -> None:
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        document = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "stream": stream})
        call = asyncio.create_task(gw.request("POST", CHAT, body=document.encode()))
        (seen,) = await up.seen(1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        async with asyncio.timeout(5):
            await seen.gone.wait()
        labels = {"route": "default", "endpoint": "chat", "tier": "none", "model": "gpt-5-mini", "code": "499"}
        await gw.until(lambda sample: sample("gateway_requests_total", **labels) == 1)
        spent = {"route": "default", "tier": "none", "model": "gpt-5-mini", "source": "estimated"}
        assert await gw.metric("gateway_cost_usd_total", **spent) > 0  # the prompt at least


async def test_a_second_target_answers_when_the_first_cannot() -> None:
    async with ScriptedUpstream(Reset()) as bad, ScriptedUpstream(ANSWER) as good:
        document = config(
            good.base_url,
            upstreams={"bad": {"base_url": bad.base_url}, "good": {"base_url": good.base_url}},
            tiers={"cheap": ["bad/gpt-5-nano", "good/gpt-5-mini"]},
            routes=[{"name": "default", "tier": "cheap"}],
        )
        async with gateway(document) as gw:
            answer = await gw.chat(model="auto")
            assert answer.status == 200
            assert answer.headers["x-gateway-model"] == "good/gpt-5-mini"
            assert good.requests[0].json()["model"] == "gpt-5-mini"
            assert await gw.metric("gateway_upstream_attempts_total", upstream="bad", outcome="connect") == 1
            assert await gw.metric("gateway_upstream_attempts_total", upstream="good", outcome="ok") == 1


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, None),
        (b'{"model":"m"}', 400, "missing_required_parameter"),
        (b'{"model":"m","messages":[]}', 400, "empty_array"),
        (b'{"model":"m","messages":"hi"}', 400, "invalid_type"),
        (b'{"model":"a","model":"b","messages":[{"role":"user","content":"x"}]}', 400, None),
        (b'{"model":"other","messages":[{"role":"user","content":"x"}]}', 404, "model_not_found"),
    ],
)
async def test_what_cannot_be_served_never_reaches_the_upstream(body: bytes, status: int, code: str | None) -> None:
    routes = [{"name": "default", "match": {"models": ["gpt-*"]}, "upstream": "up"}]
    async with ScriptedUpstream() as up, gateway(config(up.base_url, routes=routes)) as gw:
        answer = await gw.request("POST", CHAT, body=body)
        assert (answer.status, answer.error["code"]) == (status, code)
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["x-request-id"].startswith("req_")
        assert up.requests == []


async def test_a_gzipped_body_is_read() -> None:
    body = gzip.compress(json.dumps({"model": "gpt-5-mini", "messages": HELLO}).encode())
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.request("POST", CHAT, body=body, headers={"Content-Encoding": "gzip"})
        assert answer.status == 200
        assert up.requests[0].json()["messages"] == HELLO


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_over_the_limit_is_refused_however_it_is_packed(encoding: str) -> None:
    big = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "pad": "x" * 2_000_000}).encode()
    body = gzip.compress(big) if encoding == "gzip" else big
    async with ScriptedUpstream() as up:
        document = config(up.base_url)
        document["server"]["max_body_mb"] = 1
        async with gateway(document) as gw:
            answer = await gw.request("POST", CHAT, body=body, headers={"Content-Encoding": encoding})
            assert (answer.status, answer.error["code"]) == (413, "request_too_large")
            assert up.requests == []


async def test_beyond_the_cap_in_flight_the_answer_is_503_at_once() -> None:
    async with ScriptedUpstream(Stall()) as up:
        document = config(up.base_url)
        document["server"]["max_in_flight"] = 1
        async with gateway(document) as gw:
            first = asyncio.create_task(gw.chat())
            await up.seen(1)
            answer = await gw.chat()
            assert (answer.status, answer.error["code"]) == (503, "overloaded")
            assert answer.headers["Retry-After"] == "1"
            assert (await gw.request("GET", "/healthz")).status == 200
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)


async def test_silence_within_a_stream_is_bridged_by_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.call.PING_S", 0.05)
    first, *rest = chat_chunks("Hel", "lo")[1:]
    go_on = asyncio.Event()
    async with ScriptedUpstream(Stream.of(first, go_on, *rest)) as up, gateway(config(up.base_url)) as gw:
        document = json.dumps({"model": "m", "messages": HELLO, "stream": True})
        async with gw.http.post(gw.url + CHAT, data=document) as response:
            got = await response.content.readany()
            while not got.endswith(b": ping\n\n: ping\n\n"):
                got += await response.content.readany()
            go_on.set()
            got += await response.content.read()
            assert got.replace(b": ping\n\n", b"") == b"".join(map(event, [first, *rest])) + DONE
