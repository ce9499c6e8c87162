"""The scripted upstream does what its docstring promises; every test of ours with a bad server rests on it."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.upstream import (
    Raw,
    Reply,
    Reset,
    ScriptedUpstream,
    Seen,
    Stall,
    Stream,
    chat_body,
    chat_chunks,
    usage,
)


async def test_steps_are_played_in_order_and_requests_kept_byte_for_byte() -> None:
    async with (
        ScriptedUpstream(Reply(429, b"slow down", [("Retry-After", "1")]), Reply.of(chat_body("Hi."))) as upstream,
        aiohttp.ClientSession() as client,
    ):
        async with client.post(f"{upstream.base_url}/chat/completions?a=%20b", data=b'{"x": 1.0}') as first:
            assert (first.status, first.headers["Retry-After"], await first.read()) == (429, "1", b"slow down")
        async with client.post(f"{upstream.base_url}/chat/completions", data=b"{}", headers={"X-Odd": "y"}) as second:
            assert (await second.json())["choices"][0]["message"]["content"] == "Hi."
    seen = upstream.requests
    assert (seen[0].method, seen[0].path, seen[0].body) == ("POST", "/v1/chat/completions?a=%20b", b'{"x": 1.0}')
    assert ("X-Odd", "y") in seen[1].headers
    assert seen[1].header("x-odd") == "y"
    assert (seen[0].connection, seen[1].connection, upstream.connections) == (0, 0, 1)


async def test_what_comes_after_the_script_is_told_so() -> None:
    async with (
        ScriptedUpstream() as upstream,
        aiohttp.ClientSession() as client,
        client.get(upstream.base_url) as reply,
    ):
        assert reply.status == 500
        assert (await reply.json())["error"]["message"] == "the script is over; this is request 1"


async def test_a_stream_waits_for_its_events() -> None:
    gate = asyncio.Event()
    first, *rest = chat_chunks("Hi", usage=usage(3, 1))
    async with (
        ScriptedUpstream(Stream.of(first, gate, *rest)) as upstream,
        aiohttp.ClientSession() as client,
        client.post(upstream.base_url) as reply,
    ):
        assert b'"role":"assistant"' in await reply.content.readuntil(b"\n\n")
        gate.set()
        tail = await reply.read()
    assert tail.count(b"data: ") == 4
    assert tail.endswith(b"data: [DONE]\n\n")


async def test_a_cut_stream_ends_without_its_terminator() -> None:
    async with (
        ScriptedUpstream(Stream([b"data: 1\n\n"], cut=True)) as upstream,
        aiohttp.ClientSession() as client,
        client.post(upstream.base_url) as reply,
    ):
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()


@pytest.mark.parametrize("step", [Reset(), Raw(b""), Raw(b"HTTP/1.1 200 OK\r\nContent-Le")])
async def test_a_server_that_dies_before_its_answer(step: Raw | Reset) -> None:
    async with ScriptedUpstream(then=step) as upstream, aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.ClientConnectionError):
            await client.post(upstream.base_url)


async def test_a_stall_ends_when_the_client_leaves() -> None:
    async with ScriptedUpstream(Stall()) as upstream:
        async with aiohttp.ClientSession() as client:
            asking = asyncio.create_task(client.post(upstream.base_url))
            (request,) = await upstream.seen(1)
            assert not request.gone.is_set()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await request.gone.wait()


async def test_a_handler_sees_the_request_and_a_chunked_body_is_put_together() -> None:
    def echo(request: Seen) -> Reply:
        return Reply.of({"got": request.body.decode()})

    async def body() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with (
        ScriptedUpstream(then=echo) as upstream,
        aiohttp.ClientSession() as client,
        client.post(upstream.base_url, data=body()) as reply,
    ):
        assert await reply.json() == {"got": "one two"}
