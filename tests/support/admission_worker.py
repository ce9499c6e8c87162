"""A process of a gateway, as far as admission is concerned: takes orders from a test, a line of JSON each.

    python -m tests.support.admission_worker REDIS_URL

Orders, and what is printed for each when it is done:

    {"do": "burst", "at": 123.4, "requests": 100, "tokens": 10, "nanousd": 5, "used": 0.5, "chance": 7}
                                    → how many were admitted, refused and why, the shortest and longest Retry-After.
                                      They come at `at` on the monotonic clock, which all processes share, and use
                                      `used` of what they demand; `chance` seeds what is left to chance
    {"do": "hold", "requests": 5, "tokens": 10, "nanousd": 5, "used": 0.5}
                                    → admitted; they stay open, and report
    {"do": "spent"}                 → tokens and nano-dollars that its requests were charged for, by its own books
"""

import asyncio
import json
import random
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

from gateway.admission.admit import Admission, Demand
from gateway.admission.stores import RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.errors import GatewayError
from gateway.kv import Kv
from gateway.values import Caller
from tests.support.config import read

CALLER = Caller("bot", team="support")
SPREAD_S = 0.05
"""Within which a burst arrives."""
clock = SystemClock()


class Worker:
    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._tokens = 0
        self._nanousd = 0
        self._held: list[asyncio.Task[None]] = []

    async def carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        match order["do"]:
            case "burst":
                return await self._burst(order, random.Random(order["chance"]))
            case "hold":
                return await self._hold(order)
            case "spent":
                return {"tokens": self._tokens, "nanousd": self._nanousd}
        raise ValueError(order)

    async def _burst(self, order: dict[str, Any], chance: random.Random) -> dict[str, Any]:
        outcome: Counter[str] = Counter(admitted=0, refused=0)
        waits: list[float] = []

        async def request() -> None:
            demand = _demand(order)
            used = (round(demand.tokens * order["used"]), round(demand.nanousd * order["used"]))
            try:
                async with self._admission.admit(CALLER, "main", demand, {}) as grant:
                    outcome["admitted"] += 1
                    grant.report(*used)
                    self._tokens, self._nanousd = self._tokens + used[0], self._nanousd + used[1]
                    for _ in range(chance.randrange(200)):
                        await asyncio.sleep(0)
                    if chance.random() < 0.5:
                        grant.settle(*used)
            except GatewayError as error:
                outcome["refused"] += 1
                outcome[type(error).__name__] += 1
                if error.retry_after_s is not None:
                    waits.append(error.retry_after_s)

        async def request_and_perhaps_leave() -> None:
            await asyncio.sleep(order["at"] - clock.monotonic() + SPREAD_S * chance.random())
            task = asyncio.create_task(request())
            if chance.random() < order.get("hang_ups", 0):
                for _ in range(chance.randrange(100)):
                    await asyncio.sleep(0)
                task.cancel()
            with suppress(asyncio.CancelledError):
                await task

        await asyncio.gather(*(request_and_perhaps_leave() for _ in range(order["requests"])))
        await self._admission._keeper.catch_up()
        return {**outcome, "shortest": min(waits, default=None), "longest": max(waits, default=None)}

    async def _hold(self, order: dict[str, Any]) -> dict[str, Any]:
        is_in = asyncio.Semaphore(0)

        async def request() -> None:
            demand = _demand(order)
            async with self._admission.admit(CALLER, "main", demand, {}) as grant:
                grant.report(round(demand.tokens * order["used"]), round(demand.nanousd * order["used"]))
                is_in.release()
                await asyncio.Event().wait()

        self._held += [asyncio.create_task(request()) for _ in range(order["requests"])]
        for _ in range(order["requests"]):
            await is_in.acquire()
        await self._admission._keeper.beat()
        return {"admitted": len(self._held)}


def _demand(order: dict[str, Any]) -> Any:
    tokens, nanousd = order["tokens"], order["nanousd"]
    return Demand(tokens=tokens, nanousd=nanousd, prompt_tokens=tokens // 5, prompt_nanousd=nanousd // 5)


async def main(url: str) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    config = read(json.loads(await lines.readline())).config
    async with Kv(url, timeout_s=config.store_timeout_s, clock=clock) as kv:
        assert await kv.wait_until_up(10)
        async with Admission(config, RedisAdmissionStore(kv), clock) as admission:
            worker = Worker(admission)
            say({})
            while line := await lines.readline():
                say(await worker.carry_out(json.loads(line)))


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
