"""What a call to an upstream costs us: CPU time of this process per request, ours beside a plain aiohttp session.

    python -m tests.bench.upstream_client

The upstream is another process and costs nothing here. `whole` reads a 521-byte JSON answer,
`stream` 50 chunks of 233 bytes that arrive one by one, 5 ms apart; 32 requests are under way at
once, all on kept connections. Rounds of both clients alternate; shown are median, lowest and
highest. Compare within a run only.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

import aiohttp
import uvloop
from multidict import CIMultiDict

from gateway.config.model import Upstream
from gateway.upstream.client import UpstreamClient

AT_ONCE = 32
EVENTS = 50
PAUSE_S = 0.005
ANSWER = b'{"id":"chatcmpl-1","object":"chat.completion","choices":[{"message":{"content":"%s"}}]}' % (b"x" * 436)
EVENT = b"data: " + b"x" * 225 + b"\n\n"
REQUEST = b'{"model":"gpt-5-mini","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 457)
HEADERS = (
    ("Accept", "application/json"),
    ("Content-Type", "application/json"),
    ("User-Agent", "OpenAI/Python 3.54.0"),
    ("X-Stainless-Lang", "python"),
    ("X-Stainless-OS", "Linux"),
    ("X-Stainless-Arch", "x64"),
    ("X-Stainless-Runtime", "CPython"),
    ("X-Stainless-Runtime-Version", "3.11.7"),
)
"""What OpenAI's client sends, less what the gateway takes out."""
REPLY_HEAD = b"".join(
    line + b"\r\n"
    for line in (
        b"HTTP/1.1 200 OK",
        b"Date: Sun, 22 Nov 2026 08:49:37 GMT",
        b"openai-processing-ms: 312",
        b"openai-version: 2020-10-01",
        b"x-ratelimit-limit-requests: 10000",
        b"x-ratelimit-limit-tokens: 200000",
        b"x-ratelimit-remaining-requests: 9999",
        b"x-ratelimit-remaining-tokens: 199984",
        b"x-request-id: req_0123456789abcdef",
        b"Server: cloudflare",
    )
)
WHOLE = b"%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (REPLY_HEAD, len(ANSWER), ANSWER)
STREAM_HEAD = b"%sContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" % REPLY_HEAD
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)

Call = Callable[[str], Awaitable[int]]
"""POST to a path; returns the length of the answer's body."""


class MockUpstream(asyncio.Protocol):
    """Answers /whole and /stream; a request is taken to be one that ends with the request body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self.request = b""

    def data_received(self, data: bytes) -> None:
        self.request += data
        if not self.request.endswith(REQUEST):
            return
        is_stream = self.request.startswith(b"POST /v1/stream")
        self.request = b""
        self.transport.write(STREAM_HEAD if is_stream else WHOLE)
        if is_stream:
            self._send(EVENTS)

    def _send(self, left: int) -> None:
        self.transport.write(CHUNK if left else b"0\r\n\r\n")
        if left:
            asyncio.get_running_loop().call_later(PAUSE_S, self._send, left - 1)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(MockUpstream, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


async def ours(client: UpstreamClient, path: str) -> int:
    reply = await client.send("POST", path, headers=CIMultiDict(HEADERS), body=REQUEST)
    size = 0
    while chunk := await reply.next_chunk(60):
        size += len(chunk)
    reply.close()
    return size


async def plain_aiohttp(session: aiohttp.ClientSession, base: str, path: str) -> int:
    size = 0
    async with session.post(base + path, data=REQUEST, headers=HEADERS) as reply:
        while chunk := await reply.content.readany():
            size += len(chunk)
    return size


async def cpu_us(call: Call, path: str, count: int, expected: int) -> float:
    """CPU microseconds of this process per request, over `count` of them."""

    async def some() -> None:
        for _ in range(count // AT_ONCE):
            assert await call(path) == expected

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return (time.process_time() - began) / (count // AT_ONCE * AT_ONCE) * 1e6


async def measure(port: int, rounds: int) -> None:
    base = f"http://127.0.0.1:{port}/v1"
    async with UpstreamClient("up", Upstream(base_url=base)) as client, aiohttp.ClientSession() as session:
        calls: dict[str, Call] = {
            "gateway's client": partial(ours, client),
            "plain aiohttp": partial(plain_aiohttp, session, base),
        }
        for path, count, expected in (("/whole", 6_400, len(ANSWER)), ("/stream", 320, EVENTS * len(EVENT))):
            found: dict[str, list[float]] = {name: [] for name in calls}
            for round_ in range(rounds + 1):
                for name, call in calls.items():
                    cost = await cpu_us(call, path, count, expected)
                    if round_:  # the first one warms up
                        found[name].append(cost)
            for name, costs in found.items():
                low, middle, high = min(costs), statistics.median(costs), max(costs)
                sys.stdout.write(f"{path[1:]:8} {name:18} {middle:8.1f} us a request  ({low:.1f} to {high:.1f})\n")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--serve", action="store_true", help="be the upstream")
    given = options.parse_args()
    if given.serve:
        uvloop.run(serve())
        return
    command = [sys.executable, "-m", "tests.bench.upstream_client", "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as upstream:
        assert upstream.stdout is not None
        try:
            uvloop.run(measure(int(upstream.stdout.readline()), given.rounds))
        finally:
            upstream.terminate()


if __name__ == "__main__":
    main()
