"""More than there is room for: idle connections by the thousand, megabytes made to be slow, readers that do not read,
answers without end. Memory stays bounded, and nobody else waits."""

import asyncio
import json
import re
import resource
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from tests.chaos.clients import AUTHORIZED, CHAT, KEY, chat, percentile
from tests.chaos.faulty import CHUNKS, JSON_HEAD, healthy, is_stream
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.upstream import Raw, ScriptedUpstream, Seen, Step, Stream, event

IDLE = 2000
MB = 1 << 20
WRITE_TIMEOUT_S = 2
BIG_EVENT = b"data: " + b"x" * (64 * MB) + b"\n\n"


def rss_mb(pid: int) -> float:
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


async def idle_connections() -> list[Figure]:
    async with ScriptedUpstream(then=healthy) as up, running(config({"up": {"base_url": up.base_url}})) as gw:
        await _serve_some(gw, 200)
        before = rss_mb(gw.pid)
        held = [await _served_once(gw) for _ in range(IDLE)]
        per_connection = (rss_mb(gw.pid) - before) * 1024 / IDLE
        for writer in held:
            writer.close()
    told = f"{per_connection:.1f} KB each"
    return [Figure(f"{IDLE:,} idle connections", told, "at most 60 KB", per_connection <= 60)]


async def _served_once(gw: Running) -> asyncio.StreamWriter:
    """A connection after one request."""
    host, port = gw.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = chat("hello")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", answer, re.IGNORECASE)
    assert length is not None
    await reader.readexactly(int(length[1]))
    return writer


async def _serve_some(gw: Running, count: int) -> None:
    for _ in range(count):
        (await _served_once(gw)).close()


HEAVY: dict[str, bytes] = {
    "400,000 nested brackets": b'{"model":"gpt-5-mini","messages":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    "10 MB of brackets": b'{"model":"gpt-5-mini","messages":[' + b"[]," * (3 * MB) + b"[]]}",
    "a megabyte of one letter": chat("a" * MB),
    "a megabyte of blanks": chat(" " * MB),
    "20 MB of line ends": chat("a\n" * (20 * MB // 3 - 100)),
    "20 MB of an image": chat("A" * (20 * MB - 300)),
    "100,000 messages": json.dumps(
        {"model": "auto", "messages": [{"role": "user", "content": "x" * 60}] * 99_000}
    ).encode(),
    "80,000 logit biases": json.dumps(
        {"model": "auto", "messages": [], "logit_bias": {str(n): 1 for n in range(80_000)}}
    ).encode(),
}


async def heavy_bodies() -> list[Figure]:
    """How long a small request waits while one client sends such a body; quiet moments beside it, for comparison."""
    figures = []
    async with ScriptedUpstream(then=healthy) as up, running(config({"up": {"base_url": up.base_url}})) as gw:
        await _serve_some(gw, 50)
        quiet_ms = percentile(await _waits_ms(gw, asyncio.sleep(1)), 0.99)
        for name, body in HEAVY.items():
            worst = [max(await _waits_ms(gw, _post(gw, body))) for _ in range(3)]
            stall_ms = max(0.0, sorted(worst)[1] - quiet_ms)
            figures.append(Figure(f"others wait for {name}", f"{stall_ms:.0f} ms", "100 ms", stall_ms <= 100))
    return figures


async def _post(gw: Running, body: bytes) -> None:
    async with gw.http.post(gw.url + CHAT, data=body, headers=AUTHORIZED) as response:
        await response.read()
        assert response.status < 500, response.status


async def _waits_ms(gw: Running, work: Coroutine[None, None, None]) -> list[float]:
    """Of small requests, one after the other, while `work` goes on."""
    task = asyncio.create_task(work)
    waits: list[float] = []
    while not task.done() or not waits:
        began = time.monotonic()
        async with gw.http.get(gw.url + "/healthz") as response:
            await response.read()
        waits.append((time.monotonic() - began) * 1000)
        await asyncio.sleep(0.002)
    await task
    return waits


async def endless_answers() -> list[Figure]:
    """Bodies, events and streams without end, and clients that do not read them."""

    async def endless(seen: Seen) -> Step:
        if b"event" in seen.body:
            return Stream([BIG_EVENT])
        if is_stream(seen):
            return Stream([event(CHUNKS[1]) * 400] * 4000)
        return Raw(JSON_HEAD + b"Content-Length: 1000000000\r\n\r\n{" + b" " * (100 * MB))

    figures = []
    async with ScriptedUpstream(then=endless) as up:
        document = config(
            {"up": {"base_url": up.base_url, "retries": {"attempts": 1}, "total_timeout_s": 20}},
            server={"write_timeout_s": WRITE_TIMEOUT_S},
        )
        async with running(document) as gw:
            for name, prompt, stream, most_mb in (
                ("a whole answer without end", "body", False, 250),
                ("an event of 64 MB", "event", True, 160),
            ):
                before = rss_mb(gw.pid)
                status, peak = await _peak(gw, chat(prompt, stream=stream))
                grown = peak - before
                told = f"{status}, +{grown:.0f} MB"
                figures.append(Figure(name, told, f"502, +{most_mb} MB at most", status == 502 and grown <= most_mb))
            before = rss_mb(gw.pid)
            cut_s, peak = await _reads_nothing(gw)
            figures.append(
                Figure(
                    "a client that reads nothing of a stream",
                    f"cut after {cut_s:.1f} s, +{peak - before:.0f} MB",
                    f"about {WRITE_TIMEOUT_S} s, +25 MB at most",
                    cut_s < WRITE_TIMEOUT_S + 4 and peak - before <= 25,
                )
            )
    return figures


async def _peak(gw: Running, body: bytes) -> tuple[int, float]:
    """The status, and the most memory the gateway had meanwhile."""
    async with _watching(gw) as peaks, gw.http.post(gw.url + CHAT, data=body, headers=AUTHORIZED) as response:
        await response.read()
    return response.status, max(peaks)


@asynccontextmanager
async def _watching(gw: Running) -> AsyncIterator[list[float]]:
    peaks = [rss_mb(gw.pid)]

    async def watch() -> None:
        while True:
            peaks.append(rss_mb(gw.pid))
            await asyncio.sleep(0.01)

    task = asyncio.create_task(watch())
    try:
        yield peaks
    finally:
        task.cancel()


async def _reads_nothing(gw: Running) -> tuple[float, float]:
    """Seconds until the gateway lets such a client go, and the most memory it had meanwhile."""
    host, port = gw.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    body = chat("hello", stream=True)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    began = time.monotonic()
    async with _watching(gw) as peaks:
        writer.write(head.encode() + body)
        async with asyncio.timeout(30):
            is_seen = False
            while True:
                async with gw.http.get(gw.admin_url + "/metrics") as response:
                    busy = "gateway_in_flight_requests 0.0" not in await response.text()
                is_seen = is_seen or busy
                if is_seen and not busy:
                    break
                await asyncio.sleep(0.1)
    writer.close()
    return time.monotonic() - began, max(peaks)


async def too_many_at_once() -> list[Figure]:
    go_on = asyncio.Event()

    async def held(seen: Seen) -> Step:
        await go_on.wait()
        return healthy(seen)

    places = 20
    async with ScriptedUpstream(then=held) as up:
        document = config({"up": {"base_url": up.base_url}}, server={"max_in_flight": places})
        async with running(document) as gw:
            filling = [asyncio.create_task(_status(gw)) for _ in range(places)]
            await up.seen(places)
            began = time.monotonic()
            refused = [await _status(gw) for _ in range(200)]
            took_ms = (time.monotonic() - began) * 1000 / len(refused)
            go_on.set()
            served = await asyncio.gather(*filling)
    told = f"503 with Retry-After in {took_ms:.1f} ms"
    is_kept = set(refused) == {(503, "1")} and {status for status, _ in served} == {200}
    return [Figure("more than max_in_flight", told, "at once; the others served", is_kept)]


async def _status(gw: Running) -> tuple[int, str | None]:
    async with gw.http.post(gw.url + CHAT, data=chat("hello"), headers=AUTHORIZED) as response:
        await response.read()
        return response.status, response.headers.get("Retry-After")


def main() -> list[Figure]:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return [
        figure
        for attack in (idle_connections, heavy_bodies, endless_answers, too_many_at_once)
        for figure in uvloop.run(attack())
    ]
