"""Looking answers up and publishing them, on the in-process store and on one that is away."""

import asyncio

import pytest

from gateway.cache.directives import parse_directives
from gateway.cache.entry import Entry
from gateway.cache.headers import forward_headers, hit_headers
from gateway.cache.key import PREFIX, CacheKey, route_hash, scope_hash
from gateway.cache.lookup import Cache, Follow, Hit, Lead, Miss
from gateway.cache.purge import pattern
from gateway.clock import ManualClock
from gateway.values import CacheOutcome, Usage
from tests.support.cached import ANY, look, publish

KEY = CacheKey("gw:cache:r:s:0")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cache(clock: ManualClock) -> Cache:
    return Cache(clock, local_bytes=1 << 20)


def entry_at(clock: ManualClock, body: bytes = b'{"id":"1"}') -> Entry:
    return Entry(body, "openai/gpt-4o-mini", Usage(9, 2), 1234, clock.wall())


async def test_what_was_published_is_a_hit_with_its_age(cache: Cache, clock: ManualClock) -> None:
    entry = entry_at(clock)
    assert await look(cache, KEY, ANY) == Miss()
    assert await publish(cache, KEY, entry, ttl_s=60, max_bytes=1024)
    clock.advance(10)
    assert await look(cache, KEY, ANY) == Hit(entry, age_s=10, ttl_left_s=50)
    assert await look(cache, CacheKey("gw:cache:r:s:1"), ANY) == Miss()


async def test_an_answer_ends_with_its_time(cache: Cache, clock: ManualClock) -> None:
    await publish(cache, KEY, entry_at(clock), ttl_s=60, max_bytes=1024)
    clock.advance(60)
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


async def test_a_clock_ahead_of_ours_does_not_make_ages_negative(cache: Cache, clock: ManualClock) -> None:
    future = Entry(b"{}", "openai/gpt-4o-mini", None, 0, clock.wall() + 5)
    await publish(cache, KEY, future, ttl_s=60, max_bytes=1024)
    assert await look(cache, KEY, ANY) == Hit(future, age_s=0.0, ttl_left_s=65.0)


# ------------------------------------------------------------------ flights


async def test_a_second_request_follows_the_first_and_finds_what_landed(cache: Cache, clock: ManualClock) -> None:
    lead = await cache.lookup(KEY, ANY)
    assert isinstance(lead, Lead)
    waiting = asyncio.create_task(cache.lookup(KEY, ANY))
    await asyncio.sleep(0)
    assert not waiting.done()  # the first may still be refused
    assert await lead.flight.fly(soon("answer")) == "answer"
    assert await waiting == Follow(lead.flight)
    assert lead.flight.readers == 2
    cache.publish(KEY, entry_at(clock), ttl_s=60, max_bytes=1024, flight=lead.flight)
    lead.flight.land("landed")
    assert cache.stats()["flights"] == 0
    assert isinstance(await cache.lookup(KEY, ANY), Hit)


async def test_whose_first_was_refused_becomes_the_first_itself(cache: Cache) -> None:
    lead = await cache.lookup(KEY, ANY)
    assert isinstance(lead, Lead)
    waiting = [asyncio.create_task(cache.lookup(KEY, ANY)) for _ in range(2)]
    await asyncio.sleep(0)
    lead.flight.ground()
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    second = done.pop().result()
    assert isinstance(second, Lead)
    second.flight.ground()
    for each in await asyncio.gather(*waiting):
        assert isinstance(each, Lead)


async def test_who_takes_stored_answers_only_waits_for_none(cache: Cache) -> None:
    lead = await cache.lookup(KEY, ANY)
    assert isinstance(lead, Lead)
    assert await cache.lookup(KEY, parse_directives("only-if-cached")) == Miss()
    assert await cache.lookup(KEY, parse_directives("no-cache")) == Miss("no_cache")
    assert isinstance(await cache.lookup(KEY, ANY, apart="other credentials"), Lead)


async def test_whose_lookup_is_cancelled_is_no_reader(cache: Cache) -> None:
    lead = await cache.lookup(KEY, ANY)
    assert isinstance(lead, Lead)
    waiting = asyncio.create_task(cache.lookup(KEY, ANY))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert lead.flight.readers == 1


async def soon(result: str) -> str:
    await asyncio.sleep(0)
    return result


# ------------------------------------------------------------------ purging


async def test_what_was_purged_is_gone_and_what_was_asked_for_before_is_not_kept(
    cache: Cache, clock: ManualClock
) -> None:
    names = {
        "mine": CacheKey(f"{PREFIX}{route_hash('support')}:{scope_hash('key:bot')}:1"),
        "another route": CacheKey(f"{PREFIX}{route_hash('other')}:{scope_hash('key:bot')}:1"),
        "another key": CacheKey(f"{PREFIX}{route_hash('support')}:{scope_hash('key:other')}:1"),
    }

    async def left() -> set[str]:
        return {label for label, key in names.items() if isinstance(await look(cache, key), Hit)}

    for route, scope, gone in [
        ("support", "key:bot", {"mine"}),
        ("support", None, {"mine", "another key"}),
        (None, "key:bot", {"mine", "another route"}),
        (None, None, set(names)),
    ]:
        for key in names.values():
            await publish(cache, key, entry_at(clock), ttl_s=60, max_bytes=1024)
        under_way = await cache.lookup(names["mine"], parse_directives("max-age=0"), apart=f"{route} {scope}")
        clock.advance(1)
        await cache.purge(pattern(route, scope))
        assert await left() == set(names) - gone
        if isinstance(under_way, Lead):
            assert cache.publish(names["mine"], entry_at(clock), ttl_s=60, max_bytes=9, flight=under_way.flight) is None


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
