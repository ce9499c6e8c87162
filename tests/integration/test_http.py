"""HTTP as clients of all kinds speak it, down to the bytes on the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.gateway import CHAT, HELLO, RunningGateway, config, gateway
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Stream, chat_body, chat_chunks, event, usage

ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))
BODY = json.dumps({"model": "gpt-5-mini", "messages": HELLO}).encode()
STREAMED = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "stream": True}).encode()


@asynccontextmanager
async def connected(gw: RunningGateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = gw.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


def post(body: bytes, *headers: str, version: str = "1.1") -> bytes:
    lines = [f"POST {CHAT} HTTP/{version}", "Host: gateway", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def read_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status, headers = await read_head(reader)
    return status, await reader.readexactly(int(headers["content-length"]))


async def test_one_connection_serves_many_requests() -> None:
    async with (
        ScriptedUpstream(then=ANSWER) as up,
        gateway(config(up.base_url)) as gw,
        connected(gw) as (reader, writer),
    ):
        for _ in range(3):
            writer.write(post(BODY))
            assert await read_answer(reader) == (200, ANSWER.body)


async def test_pipelined_requests_are_answered_in_order() -> None:
    answers = [Reply.of(chat_body(f"answer {n}")) for n in range(4)]
    async with (
        ScriptedUpstream(*answers) as up,
        gateway(config(up.base_url)) as gw,
        connected(gw) as (reader, writer),
    ):
        writer.write(post(BODY) * 4)
        for answer in answers:
            assert await read_answer(reader) == (200, answer.body)


@pytest.mark.parametrize("cut", [1, 20, 60, 100, 150])
async def test_a_request_may_arrive_in_pieces(cut: int) -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as (reader, writer):
        request = post(BODY)
        writer.write(request[:cut])
        await writer.drain()
        writer.write(request[cut:])
        assert await read_answer(reader) == (200, ANSWER.body)


async def test_a_chunked_request_body_is_read() -> None:
    head = f"POST {CHAT} HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    half = len(BODY) // 2
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:half], BODY[half:])) + b"0\r\n\r\n"
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as (reader, writer):
        writer.write(head + chunks)
        assert await read_answer(reader) == (200, ANSWER.body)
        assert up.requests[0].body == BODY


async def test_a_client_that_waits_for_100_is_told_to_go_on() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as (reader, writer):
        request = post(BODY, "Expect: 100-continue")
        writer.write(request.removesuffix(BODY))
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(BODY)
        assert await read_answer(reader) == (200, ANSWER.body)


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_http_1_0_client_is_served_and_the_connection_closed(is_stream: bool) -> None:
    chunks = chat_chunks("Hel", "lo")
    step = Stream.of(*chunks) if is_stream else ANSWER
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw, connected(gw) as (reader, writer):
        writer.write(post(STREAMED if is_stream else BODY, version="1.0"))
        status, headers = await read_head(reader)
        assert status == 200
        assert "transfer-encoding" not in headers
        expected = b"".join(map(event, chunks)) + DONE if is_stream else ANSWER.body
        assert await reader.read() == expected


async def test_a_20_mb_body_passes() -> None:
    padding = "x" * 19_000_000
    body = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "metadata": {"pad": padding}}).encode()
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw:
        assert (await gw.request("POST", CHAT, body=body)).status == 200
        assert up.requests[0].body == body


async def test_repeated_headers_of_an_answer_stay_repeated() -> None:
    step = Reply.of(chat_body(), 200, [("X-Warning", "one"), ("x-warning", "two"), ("retry-after-ms", "50")])
    async with ScriptedUpstream(step) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.chat()
        assert answer.headers.getall("x-warning") == ["one", "two"]
        assert answer.headers["retry-after-ms"] == "50"


async def test_other_methods_on_an_inference_path_are_passed_through() -> None:
    async with (
        ScriptedUpstream(then=Reply.of({"object": "list", "data": []})) as up,
        gateway(config(up.base_url)) as gw,
    ):
        assert (await gw.request("GET", CHAT)).json()["object"] == "list"
        assert (await gw.request("POST", f"{CHAT}/chatcmpl-1", body=b'{"metadata":{}}')).status == 200
        assert (await gw.request("DELETE", "/v1/models/ft:x")).status == 200
        assert [(seen.method, seen.path) for seen in up.requests] == [
            ("GET", CHAT),
            ("POST", f"{CHAT}/chatcmpl-1"),
            ("DELETE", "/v1/models/ft:x"),
        ]


async def test_head_is_answered_without_a_body() -> None:
    listing = Reply.of({"object": "list", "data": []})
    async with ScriptedUpstream(listing) as up, gateway(config(up.base_url)) as gw:
        answer = await gw.request("HEAD", "/v1/models")
        assert (answer.status, answer.body) == (200, b"")


async def test_an_upload_is_passed_on_while_it_comes_in() -> None:
    """The upstream has the first part before the client has sent the second."""
    arrived = asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        await arrived.wait()
        yield b"second"

    async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"second")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, gateway(config(url)) as gw, gw.http.post(gw.url + "/v1/files", data=parts()) as response:
        assert await response.read() == b"{}"
