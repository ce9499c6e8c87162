"""The upstream client against real servers: what it sends, what it makes of what comes back, whom it trusts."""

import asyncio
import base64
import gzip
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.config.model import Upstream
from gateway.errors import ConfigError, UpstreamCut, UpstreamError, UpstreamTimeout, UpstreamUnavailable
from gateway.upstream.client import UpstreamClient
from gateway.upstream.http1 import Connection
from tests.support.proxy import ForwardProxy
from tests.support.upstream import Raw, Reply, ScriptedUpstream, Seen, Stall, Step, Stream

TLS = Path(__file__).parents[2] / "support" / "tls"
AUTHORITY = str(TLS / "authority.pem")
LIMIT = 1 << 26


def client(base_url: str, environ: dict[str, str] | None = None, **config: Any) -> UpstreamClient:
    return UpstreamClient("up", Upstream(base_url=base_url, **config), environ=environ or {})


async def post(client: UpstreamClient, body: Any = b"{}", **given: Any) -> tuple[int, bytes]:
    reply = await client.send("POST", "/chat/completions", headers=CIMultiDict(), body=body, **given)
    try:
        return reply.status, await reply.read(LIMIT)
    finally:
        reply.close()


def echo(request: Seen) -> Reply:
    return Reply(200, request.body, [("X-Method", request.method)])


def server_tls(name: str = "localhost") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / f"{name}.pem")
    return context


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server of the test's own; its port. Waits for its connections' end, so that none outlives the loop."""
    ended: list[asyncio.Future[None]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.get_running_loop().create_future()
        ended.append(done)
        try:
            await handler(reader, writer)
        except ConnectionError:
            pass  # the client has left
        finally:
            writer.transport.abort()
            done.set_result(None)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(5):
            await asyncio.gather(*ended)


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        await asyncio.sleep(0)
        yield piece


# ------------------------------------------------------------------ requests and answers


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with ScriptedUpstream(then=echo) as up, client(up.base_url) as gw:
        for body in (b"one", b"two", b"three" * 100_000):
            assert await post(gw, body) == (200, body)
        assert (up.connections, gw.in_flight) == (1, 0)
        assert [seen.header("Content-Length") for seen in up.requests] == ["3", "3", "500000"]


@pytest.mark.parametrize("length", ["10", None])
async def test_a_body_may_come_in_pieces(length: str | None) -> None:
    async with ScriptedUpstream(then=echo) as up, client(up.base_url) as gw:
        headers = CIMultiDict({"Content-Length": length} if length else {})
        reply = await gw.send("PUT", "/files", headers=headers, body=pieces(b"hello", b"", b"world"), raw=True)
        assert await reply.read(LIMIT) == b"helloworld"
        reply.close()
        assert up.requests[0].header("Transfer-Encoding") == (None if length else "chunked")
        assert up.requests[0].header("Content-Length") == length
        assert await post(gw) == (200, b"{}")
        assert up.connections == 1


async def test_large_bodies_pass_both_ways() -> None:
    blocks = [random.Random(seed).randbytes(70_000) for seed in range(100)]
    async with ScriptedUpstream(then=echo) as up, client(up.base_url) as gw:
        assert await post(gw, pieces(*blocks)) == (200, b"".join(blocks))
        assert await post(gw, b"".join(blocks)) == (200, b"".join(blocks))
        assert up.connections == 1


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("POST", None, "0"), ("PUT", b"", "0"), ("GET", None, None), ("DELETE", None, None)],
)
async def test_an_empty_body_is_said_to_be_one_where_one_is_expected(
    method: str, body: bytes | None, length: str | None
) -> None:
    async with ScriptedUpstream(then=echo) as up, client(up.base_url) as gw:
        reply = await gw.send(method, "/files/1", headers=CIMultiDict(), body=body)
        assert await reply.read(LIMIT) == b""
        reply.close()
        assert up.requests[0].method == method
        assert up.requests[0].header("Content-Length") == length


async def test_the_head_of_an_answer_without_its_body() -> None:
    raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    async with ScriptedUpstream(raw, then=echo) as up, client(up.base_url) as gw:
        reply = await gw.send("HEAD", "/models", headers=CIMultiDict(), body=None)
        assert (reply.headers["Content-Length"], await reply.read(LIMIT)) == ("5", b"")
        reply.close()
        assert await post(gw) == (200, b"{}")


async def test_chunks_come_as_they_arrive() -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    async with ScriptedUpstream(Stream([b"one", gates[0], b"two", gates[1]])) as up, client(up.base_url) as gw:
        reply = await gw.send("POST", "/x", headers=CIMultiDict(), body=b"{}")
        assert reply.is_event_stream
        assert await reply.next_chunk(5) == b"one"
        with pytest.raises(UpstreamTimeout):
            await reply.next_chunk(0.01)
        gates[0].set()
        assert await reply.next_chunk(5) == b"two"
        gates[1].set()
        assert await reply.next_chunk(5) == b""
        assert gw.in_flight == 1
        reply.close()
        assert gw.in_flight == 0


async def test_an_answer_compressed_all_the_same_is_unpacked() -> None:
    text = b"hello " * 100_000
    packed = gzip.compress(text, mtime=0)
    answer = Reply(200, packed, [("Content-Encoding", "gzip")])
    async with ScriptedUpstream(answer, answer) as up, client(up.base_url) as gw:
        assert await post(gw) == (200, text)
        assert await post(gw, raw=True) == (200, packed)
        assert [seen.header("Accept-Encoding") for seen in up.requests] == ["identity", None]


async def test_an_answer_may_come_before_the_body_is_sent() -> None:
    stop = asyncio.Event()
    has_ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while not stop.is_set():
                yield b"x" * 1000
                await asyncio.sleep(0)
        finally:
            has_ended.set()

    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        while await reader.read(1 << 16):
            pass

    async with serving(answer_at_once) as port, client(f"http://127.0.0.1:{port}") as gw:
        assert await post(gw, endless(), raw=True) == (413, b"no")
        async with asyncio.timeout(5):
            await has_ended.wait()


async def test_a_slow_reader_holds_the_upstream_back() -> None:
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with serving(flood) as port, client(f"http://127.0.0.1:{port}") as gw:
        reply = await gw.send("POST", "/x", headers=CIMultiDict(), body=b"")
        before = -1
        while before != sent:  # until the server can send no more
            before = sent
            await asyncio.sleep(0.1)
        assert len(await reply.next_chunk(5)) < 1_500_000
        async with asyncio.timeout(5):
            while sent == before:
                await reply.next_chunk(5)
        reply.close()


# ------------------------------------------------------------------ limits, failures, giving up


async def test_no_more_connections_than_allowed_and_the_rest_wait() -> None:
    go_on = asyncio.Event()

    async def held(request: Seen) -> Reply:
        await go_on.wait()
        return echo(request)

    async with ScriptedUpstream(then=held) as up, client(up.base_url, max_connections=2) as gw:
        tasks = [asyncio.create_task(post(gw, b"%d" % number)) for number in range(4)]
        await up.seen(2)
        assert gw.in_flight == 4
        with pytest.raises(UpstreamUnavailable, match="Too many"):
            await post(gw)
        go_on.set()
        assert await asyncio.gather(*tasks) == [(200, b"%d" % number) for number in range(4)]
        assert up.connections == 2


async def test_whatever_is_cancelled_when_each_gets_its_own_answer() -> None:
    rng = random.Random(4)

    async def answer(request: Seen) -> Step:
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if request.body == b"last":
            return echo(request)
        if rng.random() < 0.1:
            return Stream([request.body[:3], request.body[3:]], cut=rng.random() < 0.5, headers=())
        if rng.random() < 0.1:
            return Raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(request.body), request.body))
        return Reply(200, request.body)

    async def ask(gw: UpstreamClient, number: int) -> bool:
        body = b"request %d" % number
        try:
            async with asyncio.timeout(rng.random() * 0.02 if rng.random() < 0.5 else 5):
                return await post(gw, body if rng.random() < 0.8 else pieces(body[:4], body[4:])) == (200, body)
        except (TimeoutError, UpstreamCut):
            return True
        except UpstreamUnavailable as error:  # a connection that the server closed just then
            return "unanswered" in str(error)

    async with ScriptedUpstream(then=answer) as up, client(up.base_url, max_connections=100) as gw:
        for start in range(0, 1000, 100):
            assert all(await asyncio.gather(*(ask(gw, start + number) for number in range(100))))
        assert gw.in_flight == 0
        assert await post(gw, b"last") == (200, b"last")


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async with ScriptedUpstream(Stall(), then=echo) as up, client(up.base_url) as gw:
        task = asyncio.create_task(post(gw))
        (seen,) = await up.seen(1)
        task.cancel()
        async with asyncio.timeout(5):
            await seen.gone.wait()
        assert gw.in_flight == 0
        assert await post(gw) == (200, b"{}")


async def test_a_connection_that_the_upstream_closed_is_not_used() -> None:
    raw = Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with ScriptedUpstream(raw, raw, then=echo) as up, client(up.base_url) as gw:
        for _ in range(2):
            assert await post(gw) == (200, b"ok")
            await asyncio.sleep(0.01)  # what the loop is told meanwhile
        assert await post(gw) == (200, b"{}")
        assert up.connections == 3


async def test_a_connection_closed_within_this_turn_of_the_loop_is_found_out() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    connection = Connection(loop)
    await loop.create_connection(lambda: connection, sock=ours)
    assert connection.is_fresh(2.0)
    theirs.close()
    assert connection.is_open  # nobody has told us yet
    assert not connection.is_fresh(2.0)
    connection.abort()
    await asyncio.sleep(0.01)


async def test_an_upstream_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with client(f"http://127.0.0.1:{port}/v1") as gw:
        with pytest.raises(UpstreamUnavailable, match="could not be reached"):
            await post(gw)
        assert gw.in_flight == 0


async def test_a_name_that_does_not_resolve(caplog: pytest.LogCaptureFixture) -> None:
    async with client("http://no-such-host.invalid/v1", api_key="secret") as gw:
        for _ in range(2):
            with pytest.raises(UpstreamUnavailable) as caught:
                await post(gw)
            assert str(caught.value) == "The model API's host name could not be resolved."
    (line,) = caplog.messages
    assert line.startswith("upstream up, no-such-host.invalid:80: ")


async def test_the_second_address_serves_where_the_first_does_not() -> None:
    async with ScriptedUpstream(then=echo) as up, client(f"http://localhost:{up.port}") as gw:  # ::1, then 127.0.0.1
        assert await post(gw) == (200, b"{}")


async def test_a_connection_that_takes_too_long_is_a_timeout_and_nothing_was_sent() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(say_nothing) as port, client(f"https://127.0.0.1:{port}", connect_timeout_s=0.1) as gw:
        with pytest.raises(UpstreamTimeout, match=r"within 0\.1 s") as caught:
            await post(gw)
        assert not caught.value.was_sent


async def test_closing_the_client_ends_what_is_under_way() -> None:
    async with ScriptedUpstream(Stream([b"one", asyncio.Event()])) as up:
        async with client(up.base_url) as gw:
            reply = await gw.send("POST", "/x", headers=CIMultiDict(), body=b"{}")
            assert await reply.next_chunk(None) == b"one"
        with pytest.raises(UpstreamError):
            await reply.next_chunk(None)
        reply.close()
        async with asyncio.timeout(5):
            await up.requests[0].gone.wait()


# ------------------------------------------------------------------ TLS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_tls_with_an_authority_of_ones_own(host: str) -> None:
    names: list[str | None] = []
    context = server_tls()
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    async with (
        ScriptedUpstream(then=echo, tls=context) as up,
        client(f"https://{host}:{up.port}/v1", ca_file=AUTHORITY) as gw,
    ):
        for body in (b"one", b"two" * 300_000):
            assert await post(gw, body) == (200, body)
        assert await post(gw, pieces(b"in ", b"pieces")) == (200, b"in pieces")
        assert up.connections == 1
        assert names == ["localhost" if host == "localhost" else None]


@pytest.mark.parametrize(("certificate", "ca_file"), [("localhost", None), ("elsewhere", AUTHORITY)])
async def test_a_certificate_that_does_not_hold_is_refused(certificate: str, ca_file: str | None) -> None:
    async with (
        ScriptedUpstream(then=echo, tls=server_tls(certificate)) as up,
        client(up.base_url, ca_file=ca_file) as gw,
    ):
        with pytest.raises(UpstreamUnavailable, match="certificate could not be verified"):
            await post(gw)
        assert up.requests == []


async def test_a_server_without_tls_is_refused() -> None:
    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with serving(answer_at_once) as port, client(f"https://127.0.0.1:{port}") as gw:
        with pytest.raises(UpstreamUnavailable, match="No secure connection"):
            await post(gw)


def test_a_ca_file_that_is_none_is_an_error_at_the_start() -> None:
    for path in ("no-such-file.pem", str(TLS / "README.md")):
        with pytest.raises(ConfigError, match=r"upstreams\.up\.ca_file"):
            client("https://api.example.com", ca_file=path)


# ------------------------------------------------------------------ proxies

CREDENTIALS = base64.b64encode(b"me:secret").decode()


@pytest.mark.parametrize("proxy_scheme", ["http", "https"])
async def test_https_goes_through_a_tunnel(proxy_scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.dial._system_trust", lambda: ssl.create_default_context(cafile=AUTHORITY))
    tls = server_tls() if proxy_scheme == "https" else None
    async with (
        ScriptedUpstream(then=echo, tls=server_tls()) as up,
        ForwardProxy(up.port, tls=tls) as proxy,
        client(
            "https://upstream.test/v1",
            {"HTTPS_PROXY": f"{proxy_scheme}://me:secret@localhost:{proxy.port}"},
            ca_file=AUTHORITY,
        ) as gw,
    ):
        for body in (b"one", b"two" * 300_000):
            assert await post(gw, body) == (200, body)
        (head,) = proxy.heads
        assert (
            head
            == (
                "CONNECT upstream.test:443 HTTP/1.1\r\nHost: upstream.test:443\r\n"
                f"Proxy-Authorization: Basic {CREDENTIALS}\r\n\r\n"
            ).encode()
        )
        assert up.requests[0].path == "/v1/chat/completions"
        assert up.requests[0].header("Proxy-Authorization") is None


async def test_plain_http_is_asked_of_the_proxy_by_its_whole_url() -> None:
    async with (
        ScriptedUpstream(then=echo) as up,
        ForwardProxy(up.port) as proxy,
        client("http://upstream.test:8000/v1", {"http_proxy": f"http://me:secret@127.0.0.1:{proxy.port}"}) as gw,
    ):
        assert await post(gw) == (200, b"{}")
        assert up.requests[0].path == "http://upstream.test:8000/v1/chat/completions"
        assert up.requests[0].header("Host") == "upstream.test:8000"
        assert up.requests[0].header("Proxy-Authorization") == f"Basic {CREDENTIALS}"


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\n\r\nI speak first",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-A: ",
        b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000,
    ],
)
async def test_a_proxy_that_makes_no_tunnel(refusal: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with (
        ForwardProxy(1, refusal=refusal) as proxy,
        client("https://upstream.test/v1", {"https_proxy": f"http://me:secret@localhost:{proxy.port}"}) as gw,
    ):
        with pytest.raises(UpstreamUnavailable) as caught:
            await post(gw)
        assert str(caught.value) == "The proxy in front of the model API made no connection to it."
        (line,) = caplog.messages
        assert f"upstream up, upstream.test:443 by way of the proxy localhost:{proxy.port}: the proxy " in line
        assert "secret" not in caplog.text
        assert CREDENTIALS not in caplog.text


async def test_this_machine_is_never_reached_through_a_proxy() -> None:
    environ = {"http_proxy": "http://127.0.0.1:1", "all_proxy": "http://127.0.0.1:1"}
    async with ScriptedUpstream(then=echo) as up, client(up.base_url, environ) as gw:
        assert await post(gw) == (200, b"{}")
