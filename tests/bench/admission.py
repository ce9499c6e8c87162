"""What admission adds to a request: `python -m tests.bench.admission`.

CPU of this process and of Redis for each request, admitted and settled, and how long `admit` takes. The command
`GET` over the same client stands beside it: on a busy machine the ratio to it is worth more than the time.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from gateway.admission.admit import HIT, Admission, Demand
from gateway.admission.memory import MemoryAdmissionStore
from gateway.admission.stores import AdmissionStore, RedisAdmissionStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import Caller
from tests.support.config import read
from tests.support.redis_server import RedisServer, find_binary

CONFIG = """\
store: redis://localhost
upstreams: {openai: {base_url: "https://api.openai.com/v1"}}
routes:
  - {name: busy, upstream: openai, match: {models: [x]}, limits: {concurrent: 1000000}}
  - {name: free, upstream: openai}
teams: [{name: team, budgets: [{usd: 9000000, per: month}]}]
keys:
  - {name: nothing, key: secret-0}
  - {name: rate, key: secret-1, limits: {requests_per_minute: 1000000000}}
  - {name: budget, key: secret-2, budgets: [{usd: 9000000, per: day}]}
  - name: everything
    key: secret-3
    team: team
    budgets: [{usd: 9000000, per: day}]
    limits: {requests_per_minute: 1000000000, tokens_per_minute: 1000000000}
"""
DEMAND = Demand(tokens=1000, nanousd=1_000_000, prompt_tokens=100, prompt_nanousd=100)
CASES = (
    ("nothing applies", Caller("nothing"), "free", DEMAND),
    ("requests a minute, a cache hit", Caller("rate"), "free", HIT),
    ("one budget", Caller("budget"), "free", DEMAND),
    ("3 limits, 2 budgets", Caller("everything", team="team"), "busy", DEMAND),
)
CLOCK = SystemClock()
CPU_TICK_S = 0.01


async def measure(label: str, work: Callable[[], Awaitable[float]], count: int, at_once: int, pid: int | None) -> None:
    took: list[float] = []

    async def one_after_the_other() -> None:
        for _ in range(count // at_once):
            took.append(await work())
            await asyncio.sleep(0)  # a turn of the loop, as the rest of a request takes many

    ours, theirs = time.process_time(), cpu_s(pid)
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))
    ours, theirs = time.process_time() - ours, cpu_s(pid) - theirs
    took.sort()
    p50, p99 = took[len(took) // 2] * 1e6, took[len(took) * 99 // 100] * 1e6
    print(f"{label:32}{at_once:8}{ours / count * 1e6:10.1f}{theirs / count * 1e6:10.1f}{p50:10.0f}{p99:10.0f}")


def cpu_s(pid: int | None) -> float:
    if pid is None:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * CPU_TICK_S


async def measure_all(store: AdmissionStore, at_once: int, count: int, pid: int | None = None) -> None:
    async with Admission(read(CONFIG).config, store, CLOCK) as admission:
        await asyncio.sleep(0.1)
        for label, caller, route, demand in CASES:

            async def work(caller: Caller = caller, route: str = route, demand: Demand = demand) -> float:
                began = time.perf_counter()
                async with admission.admit(caller, route, demand, {}) as grant:
                    took = time.perf_counter() - began
                    grant.settle(500, 500_000)
                return took

            await measure(label, work, count, at_once, pid)


async def main() -> None:
    print(f"{'':32}{'at once':>8}{'CPU us':>10}{'Redis us':>10}{'p50 us':>10}{'p99 us':>10}\nmemory")
    await measure_all(MemoryAdmissionStore(CLOCK), 1, 20_000)
    binary = find_binary()
    if binary is None:
        return
    server = RedisServer(binary)
    server.start()
    try:
        async with Kv(server.url, timeout_s=1, clock=CLOCK) as kv:
            assert await kv.wait_until_up(5)

            async def get() -> float:
                began = time.perf_counter()
                await kv.get("a")
                return time.perf_counter() - began

            for at_once, count in ((1, 5_000), (50, 30_000)):
                print("Redis")
                await measure("(GET)", get, count, at_once, server.pid)
                await measure_all(RedisAdmissionStore(kv), at_once, count, server.pid)
    finally:
        server.close()


if __name__ == "__main__":
    gc.freeze()
    uvloop.run(main())
