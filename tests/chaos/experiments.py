"""A split of 10% over 20,000 users on two gateways with one database: its share, who stays, and whether all adds up."""

import asyncio
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from gateway.sql import Database
from tests.chaos.clients import AUTHORIZED, CHAT
from tests.chaos.figures import Figure
from tests.chaos.gateways import Running, config, running
from tests.support.upstream import Reply, ScriptedUpstream, chat_body, usage

USERS = 20_000
AGAIN = 2_000
"""Of these, those who come back, and meet the other gateway."""
SHARE = 0.1
AT_ONCE = 48
ADMIN_KEY = "admin-key-of-the-chaos-client"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
ANSWER = Reply.of(chat_body("Hello.", usage=usage(100, 20)))
COST = 100 * 250 + 20 * 2_000
_BODY = {"prompt": {"id": "support"}, "messages": [{"role": "user", "content": "hi"}]}
_LEDGER = "SELECT prompt_version, COUNT(*), SUM(cost_nanousd), SUM(input_tokens) FROM ledger GROUP BY 1 ORDER BY 1"
_WITHIN_S = 30


async def split_twenty_thousand() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = f"sqlite:///{Path(folder)}/ledger.db"
        sections: dict[str, Any] = {
            "ledger": ledger,
            "server": {"admin": {"key": ADMIN_KEY}},
            "prices": {"gpt-5-mini": {"input": 0.25, "output": 2.0}},
            "routes": [{"name": "default", "upstream": "up"}],
        }
        async with ScriptedUpstream(then=ANSWER) as up:
            document = config({"up": {"base_url": up.base_url}}, **sections)
            async with running(document) as one:
                await begin(one)
                async with running(document) as two:
                    first = await asked((one, two), range(USERS))
                    again = await asked((two, one), range(AGAIN))
                    figures = await from_metrics(one, two)
                async with Database(ledger) as database:
                    rows = await settled(database, USERS + AGAIN)
                shown = await admin(one, "GET", "/admin/prompts/support/figures")
    return [*of_answers(first, again), *of_books(first, again, rows, figures, shown["versions"])]


def of_answers(first: list[int], again: list[int]) -> list[Figure]:
    got, bound = first.count(2), 3 * math.sqrt(USERS * SHARE * (1 - SHARE))
    stayed = sum(before == now for before, now in zip(first, again, strict=False))
    return [
        Figure(
            f"10% of {USERS:,} users, two gateways",
            f"{got:,} ({got / USERS:.2%})",
            f"{USERS * SHARE:,.0f} ± {bound:.0f} (three standard deviations)",
            abs(got - USERS * SHARE) <= bound,
        ),
        Figure("users who come back, to the other gateway", f"{stayed:,} of {AGAIN:,} stay", "all", stayed == AGAIN),
    ]


def of_books(
    first: list[int], again: list[int], rows: list[tuple[Any, ...]], metrics: Counter[str], shown: list[dict[str, Any]]
) -> list[Figure]:
    answered = Counter([*first, *again])
    expected = [(number, answered[number], answered[number] * COST, answered[number] * 100) for number in (1, 2)]
    names = ("version", "requests", "cost_nanousd", "input_tokens")
    told = [tuple(each[name] for name in names) for each in shown]
    counted = [metrics[str(number)] for number in (1, 2)]
    return [
        Figure("answers, and the ledger: requests, dollars, tokens", str(rows), str(expected), rows == expected),
        Figure("/admin/prompts/support/figures", str(told), "the same", told == expected),
        Figure(
            "gateway_prompt_version_requests_total of both",
            str(counted),
            "the same",
            counted == [answered[1], answered[2]],
        ),
    ]


# ------------------------------------------------------------------ what is done


async def begin(gw: Running) -> None:
    for text in ("Be brief.", "Be very brief."):
        messages = [{"role": "system", "content": text}]
        document = {"name": "support", "model": "gpt-5-mini", "messages": messages}
        await admin(gw, "POST", "/admin/prompts", {"document": document})
    arms = [{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]
    await admin(gw, "POST", "/admin/prompts/support/labels/production/split", {"versions": arms})


async def asked(gateways: Sequence[Running], users: range) -> list[int]:
    """The version that each of `users` gets; one asks the first gateway, the next the second."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> int:
        async with gate:
            return await version_for(gateways[number % len(gateways)], f"user-{number}")

    return await asyncio.gather(*map(one, users))


async def version_for(gw: Running, user: str) -> int:
    body = json.dumps({**_BODY, "user": user}).encode()
    async with gw.http.post(gw.url + CHAT, data=body, headers=AUTHORIZED) as response:
        assert response.status == 200, await response.read()
        await response.read()
        return int(response.headers["x-gateway-prompt"].partition("@")[2])


async def admin(gw: Running, method: str, path: str, body: Any = None) -> Any:
    async with gw.http.request(method, gw.admin_url + path, json=body, headers=ADMIN) as response:
        answer = await response.json()
        assert response.status in (200, 201), answer
        return answer


async def settled(database: Database, requests: int) -> list[tuple[Any, ...]]:
    """What the ledger has once every request is in it: it is written twice a second."""
    ends = time.monotonic() + _WITHIN_S
    while True:
        rows = [tuple(map(int, row)) for row in await database.fetch(_LEDGER) if row[0] is not None]
        if sum(row[1] for row in rows) >= requests or time.monotonic() > ends:
            return rows
        await asyncio.sleep(0.2)


async def from_metrics(*gateways: Running) -> Counter[str]:
    """Version → requests that both counted."""
    counted: Counter[str] = Counter()
    for gw in gateways:
        for name, value in (await scraped(gw)).items():
            if name.startswith("gateway_prompt_version_requests_total{"):
                counted[name.partition('version="')[2].partition('"')[0]] += int(value)
    return counted


async def scraped(gw: Running) -> dict[str, float]:
    async with gw.http.get(gw.admin_url + "/metrics") as response:
        lines = [line.rpartition(" ") for line in (await response.text()).splitlines() if line[:1] != "#"]
    return {name: float(value) for name, _, value in lines}


def main() -> list[Figure]:
    return uvloop.run(split_twenty_thousand())
