"""Looking answers up and publishing them, on the in-process store and on one that is away."""

import pytest

from gateway.cache.directives import parse_directives
from gateway.cache.entry import Entry
from gateway.cache.headers import forward_headers, hit_headers
from gateway.cache.key import CacheKey
from gateway.cache.lookup import Cache, Hit, Miss
from gateway.cache.stores import MemoryStore
from gateway.clock import ManualClock
from gateway.errors import StoreUnavailable
from gateway.values import CacheOutcome, Usage
from tests.support.cached import ANY, look, publish

KEY = CacheKey("gw:cache:0:0")


class StoreAway:
    """As Redis is when it is not there."""

    is_up = False

    async def get(self, name: str) -> bytes | None:
        raise StoreUnavailable("get")

    async def set(self, name: str, value: bytes, ttl_s: float) -> None:
        raise StoreUnavailable("set")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(clock: ManualClock) -> MemoryStore:
    return MemoryStore(clock)


@pytest.fixture
def cache(store: MemoryStore, clock: ManualClock) -> Cache:
    return Cache(store, clock)


def entry_at(clock: ManualClock, body: bytes = b'{"id":"1"}') -> Entry:
    return Entry(body, "openai/gpt-4o-mini", Usage(9, 2), 1234, clock.wall())


async def test_what_was_published_is_a_hit_with_its_age(cache: Cache, clock: ManualClock) -> None:
    entry = entry_at(clock)
    assert await look(cache, KEY, ANY) == Miss()
    assert await publish(cache, KEY, entry, ttl_s=60, max_bytes=1024)
    clock.advance(10)
    assert await look(cache, KEY, ANY) == Hit(entry, age_s=10, ttl_left_s=50)
    assert await look(cache, CacheKey("gw:cache:0:1"), ANY) == Miss()


async def test_an_answer_ends_with_its_time(cache: Cache, clock: ManualClock) -> None:
    await publish(cache, KEY, entry_at(clock), ttl_s=60, max_bytes=1024)
    clock.advance(60)
    assert await look(cache, KEY, ANY) == Miss()


async def test_a_store_that_forgets_late_does_not_make_answers_fresh(clock: ManualClock) -> None:
    late = MemoryStore(ManualClock())  # whose clock stands still
    cache = Cache(late, clock)
    await publish(cache, KEY, entry_at(clock), ttl_s=60, max_bytes=1024)
    clock.advance(61)
    assert await look(cache, KEY, ANY) == Miss()


async def test_directives_decide_what_may_be_served(cache: Cache, clock: ManualClock) -> None:
    await publish(cache, KEY, entry_at(clock), ttl_s=60, max_bytes=1024)
    clock.advance(10)
    assert await look(cache, KEY, parse_directives("no-cache")) == Miss("no_cache")
    assert await look(cache, KEY, parse_directives("no-store, no-cache")) == Miss("no_store")
    assert await look(cache, KEY, parse_directives("max-age=9")) == Miss()
    assert isinstance(await look(cache, KEY, parse_directives("max-age=10")), Hit)
    assert isinstance(await look(cache, KEY, parse_directives("only-if-cached")), Hit)


async def test_a_body_over_the_limit_is_not_stored(cache: Cache, clock: ManualClock) -> None:
    assert not await publish(cache, KEY, entry_at(clock, bytes(1025)), ttl_s=60, max_bytes=1024)
    assert await look(cache, KEY, ANY) == Miss()
    assert await publish(cache, KEY, entry_at(clock, bytes(1024)), ttl_s=60, max_bytes=1024)


async def test_a_store_that_is_away_is_a_bypass_and_no_error(clock: ManualClock) -> None:
    cache = Cache(StoreAway(), clock)
    assert await look(cache, KEY, ANY) == Miss("store")
    assert not await publish(cache, KEY, entry_at(clock), ttl_s=60, max_bytes=1024)


async def test_damage_is_a_miss(cache: Cache, store: MemoryStore) -> None:
    await store.set(KEY.name, b"\x00\x01", 60)
    assert await look(cache, KEY, ANY) == Miss()


async def test_a_clock_ahead_of_ours_does_not_make_ages_negative(cache: Cache, clock: ManualClock) -> None:
    future = Entry(b"{}", "openai/gpt-4o-mini", None, 0, clock.wall() + 5)
    await publish(cache, KEY, future, ttl_s=60, max_bytes=1024)
    assert await look(cache, KEY, ANY) == Hit(future, age_s=0.0, ttl_left_s=65.0)


# ------------------------------------------------------------------ headers


def test_a_hit_says_how_old_and_how_long_fresh(clock: ManualClock) -> None:
    hit = Hit(entry_at(clock), age_s=10.9, ttl_left_s=49.1)
    assert hit_headers(hit) == [("Cache-Status", "gateway; hit; ttl=49"), ("Age", "10")]


def test_what_was_not_a_hit_says_why() -> None:
    def status(outcome: CacheOutcome, detail: str | None, *, is_stored: bool) -> str:
        [(name, value)] = forward_headers(outcome, detail, is_stored=is_stored)
        assert name == "Cache-Status"
        return value

    assert status("miss", None, is_stored=True) == "gateway; fwd=miss; stored"
    assert status("miss", None, is_stored=False) == "gateway; fwd=miss"
    assert status("bypass", "hosted_tool", is_stored=False) == "gateway; fwd=bypass; detail=hosted_tool"
    assert status("bypass", "no_cache", is_stored=True) == "gateway; fwd=bypass; detail=no_cache; stored"


def test_a_route_without_a_cache_says_nothing_of_one() -> None:
    assert forward_headers(None, None, is_stored=False) == []
