"""What every connection is held to, whichever lane serves it: time, order, size, plain speech."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz.corpus import HOSTILE
from tests.support.gateway import CHAT, HELLO, RunningGateway, config, gateway
from tests.support.upstream import Reply, ScriptedUpstream, Stall, Stream, chat_body, chat_chunks, event, usage

ANSWER = Reply.of(chat_body("Hello."))
BODY = json.dumps({"model": "gpt-5-mini", "messages": HELLO}).encode()
STREAMED = json.dumps({"model": "gpt-5-mini", "messages": HELLO, "stream": True}).encode()
DURATION = {"route": "default", "endpoint": "chat"}
TLS = Path(__file__).parent.parent / "support" / "tls"


def limited(url: str, **server: Any) -> dict[str, Any]:
    return config(url, server={"port": 0, "admin": {"port": 0}, **server})


def post(body: bytes = BODY, *headers: str, path: str = CHAT) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A client that says what it likes, in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        return int(head[0].split()[1]), headers, await self.reader.readexactly(int(headers["content-length"]))

    async def rest(self) -> bytes:
        """All that comes until the gateway closes the connection, or cuts it."""
        async with asyncio.timeout(5):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""


@asynccontextmanager
async def connected(gw: RunningGateway, tls: ssl.SSLContext | None = None) -> AsyncIterator[Connection]:
    host, port = gw.url.partition("://")[2].split(":")
    name = "localhost" if tls else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=tls, server_hostname=name)
    try:
        yield Connection(reader, writer)
    finally:
        writer.transport.abort()


# ------------------------------------------------------------------ plain speech


async def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed() -> None:
    async with ScriptedUpstream() as up, gateway(config(up.base_url)) as gw:
        for data in HOSTILE:
            async with connected(gw) as client:
                client.say(data)
                status, headers, body = await client.answer()
                assert (status, headers["content-type"]) == (400, "application/json"), data
                assert json.loads(body)["error"]["type"] == "invalid_request_error"
                assert headers["x-request-id"].startswith("req_")
                assert await client.rest() == b"", data
        assert up.requests == []


async def test_a_good_request_before_a_bad_one_is_answered() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as client:
        client.say(post())
        assert (await client.answer())[0] == 200
        client.say(b"what?\r\n\r\n")
        assert (await client.answer())[0] == 400
        assert await client.rest() == b""


async def test_all_kinds_of_requests_share_a_connection() -> None:
    listed = Reply.of({"object": "list", "data": []})
    async with (
        ScriptedUpstream(ANSWER, listed, ANSWER, ANSWER) as up,
        gateway(limited(up.base_url, cors={"origins": ["https://page.example"]})) as gw,
        connected(gw) as client,
    ):
        client.say(post() + post(b"{}", path="/v1/files") + post() + post(BODY, "Origin: https://page.example"))
        assert [(await client.answer())[0] for _ in range(4)] == [200, 200, 200, 200]
        assert [seen.path for seen in up.requests] == [CHAT, "/v1/files", CHAT, CHAT]


# ------------------------------------------------------------------ time


@pytest.mark.parametrize("sent", [1, 30, 60])
async def test_a_head_that_does_not_come_in_time_is_cut(sent: int) -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(limited(up.base_url, header_timeout_s=0.2)) as gw,
        connected(gw) as client,
    ):
        client.say(post()[:sent])
        assert await client.rest() == b""


async def test_a_head_that_dribbles_in_is_cut_too() -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(limited(up.base_url, header_timeout_s=0.3)) as gw,
        connected(gw) as client,
    ):
        closed = asyncio.create_task(client.rest())
        for byte in post()[:100]:
            client.say(bytes([byte]))
            await asyncio.wait([closed], timeout=0.02)
            if closed.done():
                break
        assert closed.done()
        assert await closed == b""


async def test_a_body_that_does_not_come_in_time_is_answered_with_408() -> None:
    async with (
        ScriptedUpstream() as up,
        gateway(limited(up.base_url, body_timeout_s=0.2)) as gw,
        connected(gw) as client,
    ):
        client.say(post()[:-5])
        status, _, body = await client.answer()
        assert (status, json.loads(body)["error"]["code"]) == (408, "request_timeout")
        assert up.requests == []


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    async with (
        ScriptedUpstream(ANSWER) as up,
        gateway(limited(up.base_url, keep_alive_s=0.2)) as gw,
        connected(gw) as client,
    ):
        client.say(post())
        assert (await client.answer())[0] == 200
        assert await client.rest() == b""


async def test_a_client_that_reads_nothing_is_cut_and_the_upstream_let_go() -> None:
    endless = Stream([event(chunk) for chunk in chat_chunks("x" * 500_000)[:2]] * 60, cut=True)
    async with (
        ScriptedUpstream(endless) as up,
        gateway(limited(up.base_url, write_timeout_s=0.3)) as gw,
        connected(gw) as client,
    ):
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.say(post(STREAMED))
        (seen,) = await up.seen(1)
        async with asyncio.timeout(10):
            await seen.gone.wait()
        await gw.until(lambda sample: sample("gateway_in_flight_requests") == 0)


async def test_a_client_that_does_not_read_a_long_answer_is_cut() -> None:
    long = Reply.of(chat_body("x" * 20_000_000, usage=usage(8, 2)))
    async with (
        ScriptedUpstream(long) as up,
        gateway(limited(up.base_url, write_timeout_s=0.3)) as gw,
        connected(gw) as client,
    ):
        client.reader._transport.pause_reading()  # type: ignore[attr-defined]
        client.say(post())
        await up.seen(1)
        await gw.until(lambda sample: sample("gateway_request_duration_seconds_count", **DURATION) == 1)
        client.reader._transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await client.rest()) < len(long.body)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_is_noticed_at_once(stream: bool) -> None:
    async with ScriptedUpstream(Stall()) as up, gateway(config(up.base_url)) as gw, connected(gw) as client:
        client.say(post(STREAMED if stream else BODY))
        (seen,) = await up.seen(1)
        client.writer.write_eof()
        async with asyncio.timeout(1):
            await seen.gone.wait()
        await gw.until(lambda sample: sample("gateway_in_flight_requests") == 0)


# ------------------------------------------------------------------ size


async def test_many_pipelined_requests_are_answered_in_order_without_being_gathered_up() -> None:
    bodies = [json.dumps({"model": "gpt-5-mini", "messages": HELLO, "n": n, "pad": "x" * 9000}) for n in range(1, 100)]

    async def answers(client: Connection) -> list[int]:
        return [(await client.answer())[0] for _ in bodies]

    async with ScriptedUpstream(then=ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as client:
        reading = asyncio.create_task(answers(client))
        client.say(b"".join(post(body.encode()) for body in bodies))
        assert await reading == [200] * 99
        assert [seen.json()["n"] for seen in up.requests] == list(range(1, 100))


async def test_what_is_refused_for_want_of_room_leaves_the_connection_usable() -> None:
    async with ScriptedUpstream(Stall(), then=ANSWER) as up:
        document = limited(up.base_url, max_in_flight=1)
        async with gateway(document) as gw, connected(gw) as first, connected(gw) as second:
            first.say(post())
            (seen,) = await up.seen(1)
            request = post()
            second.say(request[:-20])
            status, headers, body = await second.answer()
            assert (status, headers["retry-after"]) == (503, "1")
            assert json.loads(body)["error"]["code"] == "overloaded"
            first.writer.transport.abort()
            await seen.gone.wait()
            second.say(request[-20:] + request)
            assert (await second.answer())[0] == 200


async def test_a_connection_is_closed_after_the_answer_if_the_client_wants_it() -> None:
    async with ScriptedUpstream(ANSWER) as up, gateway(config(up.base_url)) as gw, connected(gw) as client:
        client.say(post(BODY, "Connection: close"))
        status, headers, _ = await client.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.rest() == b""


# ------------------------------------------------------------------ TLS


async def test_tls_serves_whole_answers_and_streams() -> None:
    trusting = ssl.create_default_context(cafile=TLS / "authority.pem")
    tls = {"cert": str(TLS / "localhost.pem"), "key": str(TLS / "localhost.pem")}
    async with (
        ScriptedUpstream(ANSWER, Stream.of(*chat_chunks("Hel", "lo")), ANSWER) as up,
        gateway(limited(up.base_url, tls=tls)) as gw,
        connected(gw, trusting) as client,
    ):
        assert gw.url.startswith("https://")
        client.say(post())
        assert (await client.answer())[2] == ANSWER.body
        client.say(post(STREAMED))
        assert (await client.reader.readuntil(b"0\r\n\r\n")).count(b"data: ") == 5
        client.say(post(b"{}", path="/v1/files"))
        assert (await client.answer())[0] == 200
