"""Clients that send what nobody should: bodies, framing, paths and credentials, on both lanes.

Whatever they send, the gateway answers with a clear 4xx, or cuts the connection; nothing reaches the
upstream that should not.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import aiohttp
import uvloop

from tests.chaos import vectors
from tests.chaos.clients import AUTHORIZED, KEY, judged
from tests.chaos.faulty import answer_to
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.upstream import ScriptedUpstream

FUZZED = 10_000
AT_ONCE = 16
ADMIN_KEY = "key-of-the-operators"


async def send(gw: Running, path: str, body: bytes, *, chunked: bool) -> str:
    """One POST, by the fast lane or, in chunks, by aiohttp's; what is wrong with the answer, if anything."""

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    data: Any = pieces() if chunked else body
    try:
        async with gw.http.post(gw.url + path, data=data, headers=AUTHORIZED) as response:
            told = judged(response.status, response.content_type, await response.read())
    except aiohttp.ClientError as error:
        return f"no answer: {error!r}"
    if told.status >= 500 or (told.status >= 400 and not told.is_honest):
        return f"{told.status}"
    return ""


async def send_all(gw: Running, requests: Sequence[tuple[str, bytes]]) -> Counter[str]:
    wrong: Counter[str] = Counter()

    async def hand(first: int) -> None:
        for number in range(first, len(requests), AT_ONCE):
            path, body = requests[number]
            if verdict := await send(gw, path, body, chunked=number % 2 == 1):
                wrong[verdict] += 1

    await asyncio.gather(*(hand(first) for first in range(AT_ONCE)))
    return wrong


def damaged(rng: Random, body: bytes) -> bytes:
    data = bytearray(body)
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at : at + rng.randrange(1, 9)] = b""
            case 1:
                data[at:at] = rng.randbytes(rng.randrange(1, 5))
            case 2:
                data[at:at] = rng.choice(vectors.PIECES)
            case 3 if data:
                data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
            case _:
                data = data[:at] if at else data
    return bytes(data)


async def raw(url: str, data: bytes) -> bytes:
    """What comes back for these very bytes, until the connection closes or nothing comes for a while."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    received = b""
    try:
        writer.write(data)
        async with asyncio.timeout(1):
            while more := await reader.read(65_536):
                received += more
                if b"\r\n\r\n" in received and not received.startswith(b"HTTP/1.1 1"):
                    break
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.close()
    return received


def status_of(answer: bytes) -> int:
    """0 for none at all."""
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0


async def run() -> list[Figure]:
    rng = Random(7)
    async with ScriptedUpstream(then=answer_to) as up:
        document = config(
            {"up": {"base_url": up.base_url}},
            server={"admin": {"port": 0, "key": ADMIN_KEY}},
            routes=[{"name": "default", "upstream": "up"}],
        )
        async with running(document) as gw:
            figures = [
                await _bodies(gw, up, [(path, damaged(rng, body)) for path, body in vectors.bodies(FUZZED, rng)]),
                await _types(gw),
                await _walls(gw, up, "request smuggling vectors", list(vectors.smuggling(KEY)), "smuggled"),
                await _walls(gw, up, "path tricks", list(vectors.paths(KEY)), ""),
                await _doors(gw, up),
            ]
            tracebacks = gw.log().count("Traceback")
            async with gw.http.get(gw.url + "/healthz") as response:
                is_alive = response.status == 200
    figures.append(
        Figure("tracebacks, and alive after it all", f"{tracebacks}, {is_alive}", "none", not tracebacks and is_alive)
    )
    return figures


async def _bodies(gw: Running, up: ScriptedUpstream, requests: Sequence[tuple[str, bytes]]) -> Figure:
    up.requests.clear()
    wrong = await send_all(gw, requests)
    broken = sum(not _is_request(seen.body) for seen in up.requests)
    measured = f"{sum(wrong.values())} wrong {dict(wrong) or ''}, {broken} of {len(up.requests)} forwarded broken"
    return Figure(f"{len(requests):,} fuzzed bodies", measured, "no 5xx, none forwarded", not wrong and not broken)


def _is_request(body: bytes) -> bool:
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and isinstance(document.get("model"), str)


async def _types(gw: Running) -> Figure:
    requests = list(vectors.wrong_types())
    wrong = await send_all(gw, requests)
    return Figure(
        f"{len(requests):,} wrong types", f"{sum(wrong.values())} wrong {dict(wrong) or ''}", "no 5xx", not wrong
    )


async def _walls(gw: Running, up: ScriptedUpstream, what: str, requests: list[bytes], mark: str) -> Figure:
    """None may be answered with a 2xx or 5xx, and none may reach the upstream (under a path with `mark`)."""
    up.requests.clear()
    through: list[bytes] = []
    for data in requests:
        before = len(up.requests)
        status = status_of(await raw(gw.url, data))
        reached = [seen for seen in up.requests[before:] if mark in seen.path]
        if reached or status >= 500 or (not mark and status < 400 and status):
            through.append(data)
    told = f"{len(through)} through: {through[:2]}" if through else "none through"
    return Figure(f"{len(requests)} {what}", told, "none through", not through)


async def _doors(gw: Running, up: ScriptedUpstream) -> Figure:
    up.requests.clear()
    open_doors: list[str] = []
    number = 0
    for method, path, headers in vectors.credentials(KEY):
        number += 1
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        data = f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 2\r\n\r\n{{}}"
        if status_of(await raw(gw.url, data.encode("latin-1"))) not in (400, 401):
            open_doors.append(f"{method} {path} {headers}")
    for path, headers in vectors.operators(ADMIN_KEY, KEY):
        number += 1
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        data = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n"
        if status_of(await raw(gw.admin_url, data.encode("latin-1"))) not in (400, 401, 404):
            open_doors.append(f"admin {path} {headers}")
    opened = [*open_doors, *(seen.path for seen in up.requests)]
    return Figure(
        f"{number} ways around authentication", f"{len(opened)} open {opened[:2] or ''}", "none open", not opened
    )


def main() -> list[Figure]:
    return uvloop.run(run())
