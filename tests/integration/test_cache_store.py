"""The response cache on a genuine Redis: shared, isolated, expiring, honest after a purge, and never in the way."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis

from gateway.cache.entry import Entry
from gateway.cache.key import PREFIX, CacheKey, route_hash, scope_hash
from gateway.cache.lookup import Cache, Hit, Lead, Miss
from gateway.cache.purge import pattern
from gateway.cache.shared import SharedStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import Usage
from tests.support.cached import ANY, look, publish
from tests.support.redis_server import RedisServer

CLOCK = SystemClock()
KEY = CacheKey(f"{PREFIX}{route_hash('support')}:{scope_hash('team:red')}:1")
MB = 1 << 20


@asynccontextmanager
async def process(server: RedisServer, *, local_bytes: int = MB) -> AsyncIterator[tuple[Cache, Kv]]:
    """The cache as one process has it."""
    async with Kv(server.url, timeout_s=0.5, clock=CLOCK) as kv:
        assert await kv.wait_until_up(10)
        async with Cache(CLOCK, local_bytes=local_bytes, shared=SharedStore(kv, CLOCK)) as cache:
            yield cache, kv


@pytest.fixture
async def cache(redis_server: RedisServer) -> AsyncIterator[Cache]:
    async with process(redis_server, local_bytes=0) as (cache, _):
        yield cache


def new_entry(body: bytes = b'{"id":"chatcmpl-1"}') -> Entry:
    return Entry(body, "openai/gpt-4o-mini", Usage(9, 2), 1234, CLOCK.wall())


async def test_an_answer_published_by_one_process_is_a_hit_in_another(cache: Cache, redis_server: RedisServer) -> None:
    entry = new_entry(b'{"content":"%s"}' % (b"a long answer, " * 10_000))
    assert await publish(cache, KEY, entry, ttl_s=60, max_bytes=MB)
    async with process(redis_server) as (other, _):
        found = await look(other, KEY)
    assert isinstance(found, Hit)
    assert found.entry == entry
    assert 0 <= found.age_s < 30
    assert 30 < found.ttl_left_s <= 60


async def test_entries_expire_in_the_server(cache: Cache, redis_server: RedisServer) -> None:
    await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=MB)
    with redis.Redis.from_url(redis_server.url) as admin:
        left_s = admin.ttl(KEY.name)
        assert isinstance(left_s, int)
        assert 30 < left_s <= 60


async def test_a_foreign_value_under_our_name_is_a_miss(cache: Cache, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.set(KEY.name, b"somebody else's")
    assert await look(cache, KEY) == Miss()


async def test_a_server_that_dies_is_a_bypass_and_comes_back_empty(redis_server: RedisServer) -> None:
    async with process(redis_server) as (cache, kv):
        await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=MB)
        redis_server.kill()
        async with asyncio.timeout(5):
            while kv.is_up:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert await look(cache, KEY) == Miss("store")  # nor from memory: what is purged now would not be heard of
        assert not await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=MB)
        redis_server.start()
        assert await kv.wait_until_up(10)
        assert await look(cache, KEY) == Miss()
        assert await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=MB)
        assert isinstance(await look(cache, KEY), Hit)


async def test_a_full_server_stores_nothing_and_serves_what_it_has(cache: Cache, redis_server: RedisServer) -> None:
    await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=MB)
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.config_set("maxmemory", 1)
        try:
            other = CacheKey(KEY.name + "2")
            await publish(cache, other, new_entry(), ttl_s=60, max_bytes=MB)
            assert await look(cache, other) == Miss()
            assert isinstance(await look(cache, KEY), Hit)
        finally:
            admin.config_set("maxmemory", 0)


# ------------------------------------------------------------------ one call, several processes


async def test_another_process_waits_for_the_answer(redis_server: RedisServer) -> None:
    async with process(redis_server) as (here, _), process(redis_server) as (there, _):
        lead = await here.lookup(KEY, ANY)
        assert isinstance(lead, Lead)
        waiting = [asyncio.create_task(there.lookup(KEY, ANY)) for _ in range(20)]
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        here.publish(KEY, new_entry(), ttl_s=60, max_bytes=MB, flight=lead.flight)
        for found in await asyncio.gather(*waiting):
            assert isinstance(found, Hit)
            assert found.waited_s > 0


async def test_another_process_goes_itself_when_the_first_gives_up(redis_server: RedisServer) -> None:
    async with process(redis_server) as (here, _), process(redis_server) as (there, _):
        lead = await here.lookup(KEY, ANY)
        assert isinstance(lead, Lead)
        waiting = asyncio.create_task(there.lookup(KEY, ANY))
        await asyncio.sleep(0.05)
        lead.flight.ground()
        assert isinstance(await asyncio.wait_for(waiting, 5), Lead)


async def test_another_process_takes_over_from_one_that_has_died(redis_server: RedisServer) -> None:
    async with process(redis_server) as (there, _), process(redis_server) as (third, _):
        async with process(redis_server) as (here, _):
            assert isinstance(await here.lookup(KEY, ANY), Lead)
        # its marker still stands, as after a kill, and nobody says any more that it lives
        began = time.monotonic()
        lead = await there.lookup(KEY, ANY)
        assert isinstance(lead, Lead)
        assert time.monotonic() - began < 5
        waiting = asyncio.create_task(third.lookup(KEY, ANY))
        await asyncio.sleep(0.05)
        assert not waiting.done()  # the marker is now the second one's
        there.publish(KEY, new_entry(), ttl_s=60, max_bytes=MB, flight=lead.flight)
        assert isinstance(await waiting, Hit)


# ------------------------------------------------------------------ purging


async def test_a_purge_reaches_every_process_within_a_second(redis_server: RedisServer) -> None:
    kept = CacheKey(f"{PREFIX}{route_hash('other')}:{scope_hash('team:red')}:1")
    async with process(redis_server) as (here, _), process(redis_server) as (there, kv):
        for key in (KEY, kept):
            await publish(here, key, new_entry(), ttl_s=60, max_bytes=MB)
            assert isinstance(await look(there, key), Hit)
        under_way = await there.lookup(CacheKey(KEY.name + "2"), ANY)
        assert isinstance(under_way, Lead)
        began = time.monotonic()
        await here.purge(pattern("support", None))
        while isinstance(await look(here, KEY), Hit) or isinstance(await look(there, KEY), Hit):
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.01)
        for cache in (here, there):
            assert isinstance(await look(cache, kept), Hit)
        late = CacheKey(KEY.name + "2")
        assert there.publish(late, new_entry(), ttl_s=60, max_bytes=MB, flight=under_way.flight) is None
        await here.settled()
        assert await kv.get(KEY.name) is None
        assert await kv.get(kept.name) is not None


async def test_an_answer_that_was_replaced_is_replaced_in_every_process(redis_server: RedisServer) -> None:
    async with process(redis_server) as (here, _), process(redis_server) as (there, _):
        await publish(here, KEY, new_entry(b"old"), ttl_s=60, max_bytes=MB)
        assert isinstance(await look(there, KEY), Hit)
        await publish(here, KEY, new_entry(b"new"), ttl_s=60, max_bytes=MB)  # as for `no-cache`
        async with asyncio.timeout(5):
            while not (isinstance(hit := await look(there, KEY), Hit) and hit.entry.body == b"new"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
