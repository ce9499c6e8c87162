"""The store as a genuine Redis Cluster of three masters."""

import asyncio
from collections.abc import Iterator

import pytest
import redis

from gateway.cache.entry import Entry
from gateway.cache.key import PREFIX, CacheKey, route_hash, scope_hash
from gateway.cache.lookup import Cache, Hit
from gateway.cache.purge import pattern
from gateway.cache.shared import SharedStore
from gateway.clock import SystemClock
from gateway.cluster import ClusterKv, SentinelKv, client_of, slot_of
from gateway.errors import ConfigError, StoreUnavailable
from gateway.kv import Kv, Script
from tests.support.cached import look, publish
from tests.support.redis_cluster import cluster, watched
from tests.support.redis_server import RedisServer, find_binary

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisServer]]:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with cluster(binary) as nodes:
        yield nodes


def url_of(nodes: list[RedisServer]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@pytest.mark.parametrize(
    ("key", "slot"),
    [(b"123456789", 12739), (b"{user1000}.following", 3443), (b"{}x", slot_of(b"{}x")), (b"foo{{bar}}zap", 4015)],
)
def test_slots_are_those_of_the_specification(key: bytes, slot: int) -> None:
    assert slot_of(key) == slot


def test_what_a_url_names_decides_the_client() -> None:
    def kind(url: str) -> type[Kv]:
        return type(client_of(url, timeout_s=1, clock=CLOCK))

    assert kind("redis://localhost") is Kv
    assert kind("redis+cluster://user:secret@a,b:7000") is ClusterKv
    assert kind("redis+sentinel://a:26379,b:26379/mymaster/1") is SentinelKv
    with pytest.raises(ConfigError, match="NAME"):
        kind("redis+sentinel://:secret@a:26379")


async def test_keys_go_to_the_masters_that_have_them(nodes: list[RedisServer]) -> None:
    async with client_of(url_of(nodes[:1]), timeout_s=1, clock=CLOCK) as kv:
        assert await kv.wait_until_up(10)
        assert len(kv.servers) == 3
        script = Script("echo", "return redis.call('GET', KEYS[1])")
        for number in range(60):
            await kv.set(f"key-{number}", b"%d" % number, 60)
        for number in range(60):
            assert await kv.get(f"key-{number}") == b"%d" % number
            assert await kv.run(script, f"key-{number}") == b"%d" % number
        sizes = []
        for node in nodes:
            with redis.Redis.from_url(node.url) as admin:
                sizes.append(admin.dbsize())
        assert all(size > 5 for size in sizes)


async def test_the_cache_is_whole_over_a_cluster(nodes: list[RedisServer]) -> None:
    names = [f"{PREFIX}{route_hash('support')}:{scope_hash('team:red')}:{number}" for number in range(30)]
    entry = Entry(b"{}", "up/m", None, 0, CLOCK.wall())
    async with client_of(url_of(nodes), timeout_s=1, clock=CLOCK) as kv:
        assert await kv.wait_until_up(10)
        async with Cache(CLOCK, local_bytes=0, shared=SharedStore(kv, CLOCK)) as cache:
            for name in names:
                assert await publish(cache, CacheKey(name), entry, ttl_s=60, max_bytes=1024)
                assert isinstance(await look(cache, CacheKey(name)), Hit)
            await cache.purge(pattern("support", None))
            await cache.settled()
            assert [await kv.get(name) for name in names] == [None] * len(names)


async def test_a_master_that_is_away_takes_only_its_keys_with_it(nodes: list[RedisServer]) -> None:
    async with client_of(url_of(nodes), timeout_s=0.2, clock=CLOCK) as kv:
        assert await kv.wait_until_up(10)
        nodes[0].freeze()
        try:
            answered = failed = 0
            for number in range(60):
                try:
                    await kv.get(f"key-{number}")
                    answered += 1
                except StoreUnavailable:
                    failed += 1
            assert kv.is_up
            assert answered > 0
            assert failed > 0
        finally:
            nodes[0].thaw()
        async with asyncio.timeout(20):
            while True:
                try:
                    for number in range(60):
                        await kv.get(f"key-{number}")
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)


async def test_the_master_that_sentinels_name_is_followed() -> None:
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on this machine")
    with watched(binary) as (servers, sentinel):
        url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/mymaster"
        async with client_of(url, timeout_s=1, clock=CLOCK) as kv:
            assert await kv.wait_until_up(10)
            await kv.set("key", b"1", 60)
            with redis.Redis.from_url(servers[0].url) as master:
                assert master.get("key") == b"1"
                master.wait(1, 5000)
            servers[0].kill()
            async with asyncio.timeout(30):
                while True:
                    try:
                        await kv.set("key", b"2", 60)
                        break
                    except StoreUnavailable:
                        await asyncio.sleep(0.05)
            with redis.Redis.from_url(servers[1].url) as promoted:
                assert promoted.get("key") == b"2"
