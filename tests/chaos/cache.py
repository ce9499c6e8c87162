"""The response cache: one call for many, whoever is lost; nobody's answer to another; a store in trouble.

Gateways as processes of their own, a real redis-server or a cluster of three, and an upstream that answers every
prompt with the prompt itself, so that an answer that reached somebody else's request is seen. One part of it:
`python -m tests.chaos.cache together|lost|hang-ups|troubles|cluster`.
"""

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import redis

from tests.chaos.figures import Figure, table
from tests.support.gateway import CHAT
from tests.support.process import Process, serving
from tests.support.redis_cluster import cluster
from tests.support.redis_server import RedisServer, find_binary
from tests.support.upstream import DONE, Reply, ScriptedUpstream, Seen, Step, Stream, chat_body, chat_chunks, usage

ALONE_S = 1.0
"""How long the upstream takes for one answer, where that matters."""
RATE = 200
PHASE_S = 4.0
CONFIG = """\
server: {{port: 0, admin: {{port: 0}}}}
auth: none
store: {store}
ledger: none
upstreams: {{up: {{base_url: "{url}", retries: {{attempts: 1}}, breaker: {{failures: 100000}}}}}}
routes: [{{name: default, upstream: up, cache: {{ttl_s: 600, share: everyone}}}}]
"""


@dataclass
class Found:
    """What was measured."""

    part: str = ""
    figures: list[Figure] = field(default_factory=list)

    def check(self, what: str, measured: str, promised: str, *, holds: bool) -> None:
        self.figures.append(Figure(f"{self.part}: {what}", measured, promised, holds=holds))


class Echo:
    """Answers with what was asked, after `delay_s`."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.cuts = False
        self.asked: Counter[str] = Counter()

    async def __call__(self, seen: Seen) -> Step:
        body = seen.json()
        prompt = body["messages"][0]["content"]
        self.asked[prompt] += 1
        is_cut = self.cuts
        if self.delay_s and not body.get("stream"):
            await asyncio.sleep(self.delay_s)
        if is_cut:
            return Stream([b"x"], cut=True, headers=(("Content-Type", "application/json"),))
        if not body.get("stream"):
            return Reply.of(chat_body(prompt, usage=usage(8, 2)))
        chunks = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in chat_chunks(prompt, usage=usage(8, 2))]
        return Stream([*chunks[:2], self.delay_s, *chunks[2:], DONE])


@asynccontextmanager
async def gateways(count: int, store: str, echo: Echo) -> AsyncIterator[tuple[list[Process], aiohttp.ClientSession]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = await stack.enter_async_context(ScriptedUpstream(then=echo))
        (folder / "gateway.yaml").write_text(CONFIG.format(store=store, url=up.base_url))
        started = [await stack.enter_async_context(serving(cwd=folder)) for _ in range(count)]
        for process in started:
            stack.callback(asyncio.create_task(_read_away(process)).cancel)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        yield started, http


async def _read_away(process: Process) -> None:
    assert process.child.stderr is not None
    while await process.child.stderr.read(1 << 16):
        pass


async def ask(http: aiohttp.ClientSession, at: Process, prompt: str, *, stream: bool = False) -> tuple[int, str, float]:
    """Status, what was said, and seconds."""
    began = time.monotonic()
    body = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": prompt}], "stream": stream}
    async with http.post(at.url + CHAT, json=body) as response:
        raw = await response.read()
    return response.status, said(raw) if response.status == 200 else "", time.monotonic() - began


def said(raw: bytes) -> str:
    if not raw.startswith((b"data:", b":")):
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    lines = [line[6:] for line in raw.decode().split("\n\n") if line.startswith("data: {")]
    events = [json.loads(line) for line in lines]
    if any("error" in each for each in events):
        return "(error)"
    return "".join(choice["delta"].get("content") or "" for each in events for choice in each["choices"])


# ------------------------------------------------------------------ one call for all


async def together(store: str, found: Found) -> None:
    found.part = "100 at once, two processes"
    echo = Echo()
    async with gateways(2, store, echo) as (pair, http):
        for stream in (False, True):
            echo.delay_s, prompt = ALONE_S, f"together {stream}"
            answers = await asyncio.gather(*(ask(http, pair[n % 2], prompt, stream=stream) for n in range(100)))
            slowest = max(took for _, _, took in answers)
            what = "streamed" if stream else "plain"
            is_right = all(answer[:2] == (200, prompt) for answer in answers)
            found.check(f"{what}, answered right", f"{len(answers)}", "100", holds=is_right)
            found.check(f"{what}, upstream calls", str(echo.asked[prompt]), "1", holds=echo.asked[prompt] == 1)
            late = f"{slowest - ALONE_S:.2f} s"
            found.check(f"{what}, slowest less one call", late, "under 1 s", holds=slowest < ALONE_S + 1)


async def leader_lost(store: str, found: Found) -> None:
    found.part = "lost"
    for what in ("killed", "hung up", "upstream cut"):
        echo = Echo()
        echo.delay_s, prompt = ALONE_S, f"lost {what}"
        async with gateways(2, store, echo) as (pair, http):
            echo.cuts = what == "upstream cut"
            leader = asyncio.create_task(ask(http, pair[0], prompt))
            while not echo.asked[prompt]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            here = 0 if what == "killed" else 25
            waiting = [asyncio.create_task(ask(http, pair[0], prompt)) for _ in range(here)]
            waiting += [asyncio.create_task(ask(http, pair[1], prompt)) for _ in range(50)]
            await asyncio.sleep(0.3)
            lost = time.monotonic()
            if what == "killed":
                pair[0].child.kill()
            elif what == "hung up":
                leader.cancel()
            echo.cuts = False
            answers = await asyncio.gather(*waiting)
            late = time.monotonic() - lost - ALONE_S
            await asyncio.gather(leader, return_exceptions=True)
            right = sum(answer[:2] == (200, prompt) for answer in answers)
            told = sum(answer[0] == 502 for answer in answers)
            expected = len(answers) if what != "upstream cut" else 50
            found.check(f"{what}, answered right", f"{right}, {told} told", f"{expected}", holds=right >= expected)
            found.check(f"{what}, waited from then, less one call", f"{late:.2f} s", "under 1 s", holds=late < 1)
            calls = echo.asked[prompt]
            found.check(f"{what}, upstream calls", str(calls), "at most 2", holds=calls <= 2)


# ------------------------------------------------------------------ whose answer is it?


async def hang_ups(store: str, found: Found, *, requests: int) -> None:
    found.part = f"{requests:,} requests with hang-ups, two processes"
    echo, chance = Echo(), random.Random(7)
    outcome: Counter[str] = Counter()
    echo.delay_s = 0.05
    async with gateways(2, store, echo) as (pair, http):
        room = asyncio.Semaphore(64)

        async def one(number: int) -> None:
            prompt = f"prompt {chance.randrange(200)} {number // 1000}"
            async with room:
                call = asyncio.create_task(ask(http, chance.choice(pair), prompt, stream=chance.random() < 0.5))
                if chance.random() < 0.4:
                    await asyncio.wait([call], timeout=chance.random() * 0.1)
                    call.cancel()
                try:
                    status, text, _ = await call
                except (asyncio.CancelledError, aiohttp.ClientError):
                    outcome["hung up"] += 1
                    return
            outcome["right" if (status, text) == (200, prompt) else f"{status}: {text!r} for {prompt!r}"] += 1

        await asyncio.gather(*(one(number) for number in range(requests)))
        calls = sum(echo.asked.values())
        is_right = set(outcome) <= {"right", "hung up"}
        found.check("answers", f"{dict(outcome)}, {calls} calls", "each its own request's", holds=is_right)
        metrics = []
        for process in pair:
            async with http.get(process.admin_url + "/metrics") as response:
                text = await response.text()
            metrics += [line for line in text.splitlines() if line.startswith("gateway_in_flight_requests")]
        is_idle = all(line.endswith(" 0.0") for line in metrics)
        found.check("left over", "nothing" if is_idle else str(metrics), "nothing", holds=is_idle)


# ------------------------------------------------------------------ a store in trouble


async def troubles(server: RedisServer, found: Found) -> None:
    found.part = f"{RATE} requests a second, Redis"

    async def leave_alone() -> None:
        pass

    async def kill() -> None:
        server.kill()

    async def start_empty() -> None:
        server.start()

    async def replace() -> None:
        server.kill()
        server.start()

    async def freeze() -> None:
        server.freeze()

    async def thaw() -> None:
        server.thaw()

    async def fill() -> None:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory", 1)

    async def empty() -> None:
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("maxmemory", 0)

    async def slow_down() -> None:
        for _ in range(int(PHASE_S / 0.12)):
            server.freeze()
            await asyncio.sleep(0.03)
            server.thaw()
            await asyncio.sleep(0.09)

    phases: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("as it should be", leave_alone),
        ("killed", kill),
        ("started anew, empty", start_empty),
        ("replaced by an empty one", replace),
        ("frozen", freeze),
        ("thawed", thaw),
        ("slow: 30 ms of every 120", slow_down),
        ("full", fill),
        ("with room again", empty),
    ]
    echo, chance = Echo(), random.Random(7)
    async with gateways(1, server.url, echo) as ([process], http):
        await ask(http, process, "warm")
        for label, act in phases:
            await phase(label, act, lambda prompt: ask(http, process, prompt), chance, found)


async def cluster_troubles(binary: str, found: Found) -> None:
    found.part = f"{RATE} requests a second, one of three masters"
    with cluster(binary) as nodes:
        lost = nodes[0]

        async def leave_alone() -> None:
            pass

        async def freeze() -> None:
            lost.freeze()

        async def thaw() -> None:
            lost.thaw()

        async def slow_down() -> None:
            for _ in range(int(PHASE_S / 0.12)):
                lost.freeze()
                await asyncio.sleep(0.03)
                lost.thaw()
                await asyncio.sleep(0.09)

        async def empty() -> None:
            for node in nodes:
                with redis.Redis.from_url(node.url) as admin:
                    admin.flushall()

        async def fill() -> None:
            with redis.Redis.from_url(lost.url) as admin:
                admin.config_set("maxmemory", 1)

        async def kill() -> None:
            lost.kill()

        phases: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("as it should be", leave_alone),
            ("one frozen", freeze),
            ("thawed", thaw),
            ("one slow", slow_down),
            ("emptied", empty),
            ("one full", fill),
            ("one killed", kill),
        ]
        echo, chance = Echo(), random.Random(7)
        url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with gateways(1, url, echo) as ([process], http):
            await ask(http, process, "warm")
            for label, act in phases:
                await phase(label, act, lambda prompt: ask(http, process, prompt), chance, found)


async def phase(
    label: str,
    act: Callable[[], Awaitable[None]],
    request: Callable[[str], Awaitable[tuple[int, str, float]]],
    chance: random.Random,
    found: Found,
) -> None:
    """`RATE` requests a second for a while, during which `act` is done."""
    acting = asyncio.ensure_future(act())
    tasks: list[asyncio.Future[tuple[int, str, float]]] = []
    prompts: list[str] = []
    began = time.monotonic()
    for number in range(int(RATE * PHASE_S)):
        prompts.append(f"{label} {number if chance.random() < 0.67 else chance.randrange(20)}")
        tasks.append(asyncio.ensure_future(request(prompts[-1])))
        await asyncio.sleep(max(0, began + (number + 1) / RATE - time.monotonic()))
    answers = await asyncio.gather(*tasks)
    await acting
    wrong = sum(answer[:2] != (200, prompt) for answer, prompt in zip(answers, prompts, strict=True))
    took = sorted(1000 * answer[2] for answer in answers)
    p99 = took[int(len(took) * 0.99)]
    figure = f"{len(answers):,} requests, {wrong} failed, p50 {statistics.median(took):.1f} ms, p99 {p99:.1f} ms"
    found.check(label, figure, "none fails", holds=not wrong)


async def run(only: str | None) -> list[Figure]:
    found = Found()
    binary = find_binary()
    if binary is None:
        raise RuntimeError("no redis-server on this machine")
    server = RedisServer(binary)
    server.start()
    try:
        if only in (None, "together"):
            await together(server.url, found)
        if only in (None, "lost"):
            await leader_lost(server.url, found)
        if only in (None, "hang-ups"):
            await hang_ups(server.url, found, requests=3000)
        if only in (None, "troubles"):
            await troubles(server, found)
        if only in (None, "cluster"):
            await cluster_troubles(binary, found)
    finally:
        server.close()
    return found.figures


def main(only: str | None = None) -> list[Figure]:
    return asyncio.run(run(only))


if __name__ == "__main__":
    sys.stdout.write(table(main(sys.argv[1] if len(sys.argv) > 1 else None)))
