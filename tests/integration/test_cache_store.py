"""The response cache on a genuine Redis: shared, isolated, expiring, and never in the way."""

from collections.abc import AsyncIterator

import pytest
import redis

from gateway.cache.entry import Entry
from gateway.cache.key import CacheKey
from gateway.cache.lookup import Cache, Hit, Miss
from gateway.cache.stores import RedisStore
from gateway.clock import SystemClock
from gateway.kv import Kv
from gateway.values import Usage
from tests.support.cached import look, publish
from tests.support.redis_server import RedisServer

CLOCK = SystemClock()
KEY = CacheKey("gw:cache:0000000000000000:1")


def kv_of(server: RedisServer) -> Kv:
    return Kv(server.url, timeout_s=0.5, clock=CLOCK)


@pytest.fixture
async def cache(redis_server: RedisServer) -> AsyncIterator[Cache]:
    async with kv_of(redis_server) as kv:
        assert await kv.wait_until_up(10)
        yield Cache(RedisStore(kv), CLOCK)


def new_entry(body: bytes = b'{"id":"chatcmpl-1"}') -> Entry:
    return Entry(body, "openai/gpt-4o-mini", Usage(9, 2), 1234, CLOCK.wall())


async def test_an_answer_published_by_one_process_is_a_hit_in_another(cache: Cache, redis_server: RedisServer) -> None:
    entry = new_entry(b'{"content":"%s"}' % (b"a long answer, " * 10_000))
    assert await publish(cache, KEY, entry, ttl_s=60, max_bytes=1 << 20)
    async with kv_of(redis_server) as other_kv:
        assert await other_kv.wait_until_up(10)
        found = await look(Cache(RedisStore(other_kv), CLOCK), KEY)
    assert isinstance(found, Hit)
    assert found.entry == entry
    assert 0 <= found.age_s < 30
    assert 30 < found.ttl_left_s <= 60


async def test_entries_expire_in_the_server(cache: Cache, redis_server: RedisServer) -> None:
    await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=1 << 20)
    with redis.Redis.from_url(redis_server.url) as admin:
        left_s = admin.ttl(KEY.name)
        assert isinstance(left_s, int)
        assert 30 < left_s <= 60


async def test_a_foreign_value_under_our_name_is_a_miss(cache: Cache, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.set(KEY.name, b"somebody else's")
    assert await look(cache, KEY) == Miss()


async def test_a_server_that_dies_is_a_bypass_and_comes_back_empty(redis_server: RedisServer) -> None:
    async with kv_of(redis_server) as kv:
        assert await kv.wait_until_up(10)
        cache = Cache(RedisStore(kv), CLOCK)
        await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=1 << 20)
        redis_server.kill()
        assert await look(cache, KEY) == Miss("store")
        assert not await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=1 << 20)
        redis_server.start()
        assert await kv.wait_until_up(10)
        assert await look(cache, KEY) == Miss()
        assert await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=1 << 20)
        assert isinstance(await look(cache, KEY), Hit)


async def test_a_full_server_stores_nothing_and_serves_what_it_has(cache: Cache, redis_server: RedisServer) -> None:
    await publish(cache, KEY, new_entry(), ttl_s=60, max_bytes=1 << 20)
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.config_set("maxmemory", 1)
        try:
            other = CacheKey(KEY.name + "2")
            await publish(cache, other, new_entry(), ttl_s=60, max_bytes=1 << 20)
            assert await look(cache, other) == Miss()
            assert isinstance(await look(cache, KEY), Hit)
        finally:
            admin.config_set("maxmemory", 0)
