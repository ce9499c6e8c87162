"""Budgets and limits while their Redis is in trouble, under load: what passed, what was refused, how long it took.

One gateway as a process, a real redis-server, `RATE` requests a second on a route with a budget and as many on one with
limits. In every phase each of them has to do what docs/budgets.md says; afterwards the budget has to know of
every call that was answered.
"""

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from tests.chaos.clients import KEY
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.gateway import ADMIN_KEY, CHAT
from tests.support.redis_server import RedisServer, find_binary
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

RATE = 50
PHASE_S = 4.0
BACK_WITHIN_S = 5.0
TOKENS = 10
ANSWER = Reply.of(chat_body("Hello.", usage=usage(8, 2)))


@dataclass
class Outcome:
    """Of one phase, for one of the two routes."""

    statuses: Counter[int] = field(default_factory=Counter)
    took_ms: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        p99 = sorted(self.took_ms)[int(0.99 * len(self.took_ms))]
        shown = ", ".join(f"{number} x {status}" for status, number in sorted(self.statuses.items()))
        return f"{shown}; p50 {statistics.median(self.took_ms):.0f} ms, p99 {p99:.0f} ms"


async def ask(gw: Running, route: str, outcome: Outcome) -> int:
    body = {"model": route, "max_tokens": 2, "messages": [{"role": "user", "content": "hello"}]}
    began = time.monotonic()
    async with gw.http.post(gw.url + CHAT, json=body, headers={"Authorization": f"Bearer {KEY}"}) as response:
        await response.read()
    outcome.statuses[response.status] += 1
    outcome.took_ms.append(1000 * (time.monotonic() - began))
    return response.status


async def load(gw: Running, seconds: float) -> dict[str, Outcome]:
    outcomes = {"budget": Outcome(), "limits": Outcome()}
    began, tasks = time.monotonic(), []
    for number in range(int(RATE * seconds)):
        tasks += [asyncio.ensure_future(ask(gw, route, outcome)) for route, outcome in outcomes.items()]
        await asyncio.sleep(max(0, began + (number + 1) / RATE - time.monotonic()))
    await asyncio.gather(*tasks)
    return outcomes


async def back_after_s(gw: Running, answered: Outcome) -> float:
    """Seconds until a request under the budget passes again."""
    began = time.monotonic()
    while await ask(gw, "budget", answered) != 200 and time.monotonic() - began < 30:
        pass
    return time.monotonic() - began


async def spent(gw: Running) -> int:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    async with gw.http.get(gw.admin_url + "/admin/budgets", headers=headers) as response:
        (budget,) = (await response.json())["budgets"]
    return int(budget["spent"])


async def attack(server: RedisServer) -> list[Figure]:
    def command(*words: object) -> Callable[[], None]:
        def run() -> None:
            with redis.Redis.from_url(server.url) as admin:
                admin.execute_command(*words)

        return run

    def nothing() -> None:
        pass

    fill = command("CONFIG", "SET", "maxmemory", 1)
    troubles: list[tuple[str, Callable[[], None], Callable[[], None], bool]] = [
        ("as it should be", nothing, nothing, True),
        ("killed, started empty", server.kill, server.start, False),
        ("frozen (SIGSTOP)", server.freeze, server.thaw, False),
        ("emptied (FLUSHALL)", command("FLUSHALL"), nothing, True),
        ("read-only", command("REPLICAOF", "127.0.0.1", "1"), command("REPLICAOF", "NO", "ONE"), False),
        ("full (maxmemory 1)", fill, command("CONFIG", "SET", "maxmemory", 0), True),
    ]
    figures, answered = [], Outcome()
    async with ScriptedUpstream(then=ANSWER) as up, running(document(up.base_url, server.url)) as gw:
        await back_after_s(gw, answered)
        for label, harm, mend, are_budgets_open in troubles:
            await asyncio.to_thread(harm)
            found = await load(gw, PHASE_S)
            answered.statuses += found["budget"].statuses
            await asyncio.to_thread(mend)
            back_s = await back_after_s(gw, answered)
            limits_open = set(found["limits"].statuses) == {200}
            expected = {200} if are_budgets_open else {503}
            # Of those first in a trouble some were admitted before it.
            late = found["budget"].statuses.total() - sum(found["budget"].statuses[status] for status in expected)
            figures += [
                Figure(
                    f"{label}: under a budget",
                    str(found["budget"]),
                    "pass" if are_budgets_open else "503, none passes unchecked",
                    holds=late <= 2,
                ),
                Figure(f"{label}: under limits", str(found["limits"]), "pass", holds=limits_open),
                Figure(f"{label}: back after", f"{back_s:.2f} s", f"{BACK_WITHIN_S:g} s", holds=back_s < BACK_WITHIN_S),
            ]
        used = TOKENS * answered.statuses[200]
        ends = time.monotonic() + 10
        while (known := await spent(gw)) < used and time.monotonic() < ends:
            pass
    surplus = (known - used) / used
    figures.append(
        Figure(
            "tokens answered, and spent by the budget",
            f"{used:,}, {known:,} ({surplus:+.1%})",
            "never less; what was reserved when all was lost is spent",
            holds=0 <= surplus < 0.05,
        )
    )
    return figures


def document(url: str, store: str) -> dict[str, object]:
    return config(
        {"up": {"base_url": url}},
        server={"admin": {"key": ADMIN_KEY}},
        store=store,
        routes=[
            {"name": "budget", "match": {"models": ["budget"]}, "upstream": "up", "budgets": [BUDGET]},
            {"name": "limits", "upstream": "up", "limits": {"requests_per_minute": 1_000_000, "concurrent": 1000}},
        ],
        lease_s=4,
    )


BUDGET = {"tokens": 10**9, "per": "total"}


def main() -> list[Figure]:
    binary = find_binary()
    if binary is None:
        return []
    server = RedisServer(binary)
    server.start()
    try:
        return asyncio.run(attack(server))
    finally:
        server.close()
