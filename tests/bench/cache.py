"""What the response cache costs: `python -m tests.bench.cache [--entries N]`.

CPU of this process for a lookup that hits in its memory and in Redis, for one that misses and publishes, and for
the part of a miss that is the flight's; Redis' `GET` over the same client stands beside them. Then a million answers
into a level bounded in bytes, and the memory the process has grown by.
"""

import argparse
import asyncio
import gc
import resource
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry, Stored
from gateway.cache.key import CacheKey
from gateway.cache.lookup import Cache, Hit, Lead
from gateway.cache.shared import SharedStore
from gateway.cache.stores import LocalStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import Usage
from tests.support.redis_server import RedisServer, find_binary

CLOCK = SystemClock()
ANY = Directives()
BODY = b'{"id":"chatcmpl-1","choices":[{"message":{"content":"%s"}}]}' % (b"word " * 90)
MB = 1 << 20
ROUNDS = 5


def key(number: int) -> CacheKey:
    return CacheKey(f"gw:cache:0123456789abcdef:0123456789abcdef:{number:064x}")


def entry() -> Entry:
    return Entry(BODY, "openai/gpt-5-mini", Usage(9, 2), 1234, CLOCK.wall())


async def measure(
    label: str, work: Callable[[int], Awaitable[object]], *, count: int = 5000, at_once: int = 20
) -> None:
    """CPU and time of `work`, of several rounds the middle one."""
    cpu, took = [], []
    for turn in range(ROUNDS):
        gc.collect()
        began, began_cpu = time.perf_counter(), time.process_time()
        for first in range(0, count, at_once):
            await asyncio.gather(*(work(turn * count + first + n) for n in range(at_once)))
        cpu.append((time.process_time() - began_cpu) / count * 1e6)
        took.append((time.perf_counter() - began) / count * 1e6)
    print(f"{label:52} {sorted(cpu)[ROUNDS // 2]:7.1f} us CPU   {sorted(took)[ROUNDS // 2]:7.1f} us")


async def measure_one_by_one(label: str, work: Callable[[int], Awaitable[object]]) -> None:
    """CPU of `work`, done by 20 tasks one after the other in each, so that no task of the measurement's own is in it:
    the middle of many short rounds, and the quickest, which is the one least disturbed."""

    async def some(first: int) -> None:
        for number in range(first, first + 100):
            await work(number)

    cpu = []
    for _ in range(40):
        gc.collect()
        began = time.process_time()
        await asyncio.gather(*(some(100 * task) for task in range(20)))
        cpu.append((time.process_time() - began) / 2000 * 1e6)
    print(f"{label:52} {sorted(cpu)[20]:7.1f} us CPU   {min(cpu):7.1f} at best")


async def soon() -> None:
    await asyncio.sleep(0)


async def lookups(url: str) -> None:
    async with Kv(url, timeout_s=5, clock=CLOCK) as kv:
        await kv.wait_until_up(5)
        for label, local_bytes in (("in memory", 64 * MB), ("in Redis", 0)):
            async with Cache(CLOCK, local_bytes=local_bytes, shared=SharedStore(kv, CLOCK)) as cache:
                cache.publish(key(0), entry(), ttl_s=600, max_bytes=MB)
                await cache.settled()

                async def hit(_: int, cache: Cache = cache) -> None:
                    assert isinstance(await cache.lookup(key(0), ANY), Hit)

                await measure(f"a hit {label}", hit, at_once=1 if local_bytes else 20)
        await measure("GET of the same entry", lambda _: kv.get(key(0).name))
        async with Cache(CLOCK, local_bytes=64 * MB, shared=SharedStore(kv, CLOCK)) as cache:

            async def miss(number: int) -> None:
                lead = await cache.lookup(key(1 + number), ANY)
                assert isinstance(lead, Lead)
                with lead.flight as flight:
                    await flight.fly(soon())
                    cache.publish(key(1 + number), entry(), ttl_s=600, max_bytes=MB, flight=flight)
                    flight.land(None)

            await measure("a miss: looked up, flown, stored in both levels", miss)
            await cache.settled()
    async with Cache(CLOCK, local_bytes=0) as alone:

        async def flown(number: int) -> None:
            lead = await alone.lookup(key(number), ANY)
            assert isinstance(lead, Lead)
            with lead.flight as flight:
                await flight.fly(soon())
                flight.land(None)

        async def only_looked_up(number: int) -> None:
            lead = await alone.lookup(key(number), ANY)
            assert isinstance(lead, Lead)
            with lead.flight as flight:
                flight.has_departed = True
                await soon()
                flight.land(None)

        async def bare(_: int) -> None:
            await soon()

        await measure_one_by_one("a flight with one reader, nothing stored", flown)
        await measure_one_by_one("without its task", only_looked_up)
        await measure_one_by_one("without a flight", bare)


def memory(entries: int) -> None:
    before = resident_mb()
    store = LocalStore(64 * MB)
    for number in range(entries):
        body = BODY[: 100 + number % len(BODY)] + b"%d" % number
        store.set(key(number).name, Stored(Entry(body, "openai/gpt-5-mini", Usage(9, number), 1, CLOCK.wall()), 1.0))
    grown = resident_mb() - before
    print(f"{entries:,} answers into 64 MB: {len(store):,} held, counted as {store.size_bytes / MB:.1f} MB")
    print(f"the process has grown by {grown:.1f} MB (at its peak {peak_mb() - before:.1f})")


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / MB


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    entries = parser.parse_args().entries
    binary = find_binary()
    assert binary is not None, "no redis-server on this machine"
    server = RedisServer(binary)
    server.start()
    try:
        memory(entries)
        uvloop.run(lookups(server.url))
    finally:
        server.close()


if __name__ == "__main__":
    main()
