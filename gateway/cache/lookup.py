"""The cache as the pipeline sees it: look an answer up, publish one. It can be slow or away, but it cannot fail.

lookup ─┬─ Hit      somebody had it before, and it is fresh
        ├─ Lead     nobody has it, and nobody asks for it: this request does, for all that come meanwhile
        ├─ Follow   somebody is asking: read along
        └─ Miss     neither, and why
"""

import asyncio
from dataclasses import dataclass
from typing import Any, Self

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry, Stored, decode, encode
from gateway.cache.flight import Flight
from gateway.cache.key import CacheKey
from gateway.cache.stores import EntryStore
from gateway.clock import Clock
from gateway.errors import StoreUnavailable

_MOST_WRITES = 1024
"""Under way to the store at a time. A store that falls behind by more is not given what comes then."""

_LARGE = 128 << 10
"""Bytes from which packing and unpacking leaves the event loop: a millisecond."""

AnyFlight = Flight[Any, Any]


@dataclass(frozen=True, slots=True)
class Hit:
    entry: Entry
    age_s: float
    ttl_left_s: float


@dataclass(frozen=True, slots=True)
class Lead:
    """Nobody has the answer: have it made. To be used as `with lead.flight`, so that nobody waits for it in vain."""

    flight: AnyFlight
    detail: str | None = None
    """`store` where the store did not answer."""


@dataclass(frozen=True, slots=True)
class Follow:
    """The answer is being made: read along, and `leave()` in any case."""

    flight: AnyFlight


@dataclass(frozen=True, slots=True)
class Miss:
    """No answer to serve, and none to share. `detail` says why nobody looked or could look; None is a plain miss."""

    detail: str | None = None


class Cache:
    """Answers of complete requests by key. Where the store is away it fails open: every lookup is then a miss.

    An async context manager, which at its end waits for what is being written.
    """

    def __init__(self, store: EntryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._flights: dict[str, AnyFlight] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.settled()

    async def settled(self) -> None:
        """Wait until the store has what was published so far."""
        await asyncio.gather(*self._writes)

    # ------------------------------------------------------------------ looking up

    async def lookup(self, key: CacheKey, directives: Directives, *, apart: str = "") -> Hit | Lead | Follow | Miss:
        """What is stored under `key` and fresh enough for `directives`; else the flight that gets it.

        Requests that differ in `apart` share stored answers, but no flight. `Miss.detail` is `no_cache` or
        `no_store` where the client did not want it looked up, and `store` where the store did not answer one who
        takes nothing but stored answers, and so gets no flight.
        """
        if not directives.may_serve:
            return Miss("no_store" if directives.no_store else "no_cache")
        name = key.name + apart
        while (flight := self._flights.get(name)) is not None:
            if (stored := flight.stored) is not None:
                return self._judge(stored, directives) or Miss()
            if directives.only_if_cached:
                return Miss()
            flight.join()
            if flight.has_departed:
                return Follow(flight)
            if (hit := await self._departure(flight, directives)) is not None:
                return hit
        if directives.only_if_cached:
            return await self._look(key, directives)
        flight = self._flights[name] = Flight(name, self._forget)
        return await self._open(flight, key, directives)

    async def _departure(self, flight: AnyFlight, directives: Directives) -> Hit | Follow | None:
        """Wait, having joined, until it is clear what becomes of `flight`; None if nothing does."""
        try:
            while not flight.has_departed and not flight.is_over:
                await flight.change()
        except BaseException:
            flight.leave()
            raise
        if flight.has_departed:
            return Follow(flight)
        flight.leave()
        return self._judge(flight.found, directives) if flight.found is not None else None

    async def _open(self, flight: AnyFlight, key: CacheKey, directives: Directives) -> Hit | Lead:
        try:
            stored = await self._get(key)
        except StoreUnavailable:
            return Lead(flight, "store")
        except BaseException:
            flight.ground()
            raise
        if stored is not None and (hit := self._judge(stored, directives)) is not None:
            flight.find(stored)
            return hit
        return Lead(flight)

    async def _look(self, key: CacheKey, directives: Directives) -> Hit | Miss:
        try:
            stored = await self._get(key)
        except StoreUnavailable:
            return Miss("store")
        return (self._judge(stored, directives) if stored is not None else None) or Miss()

    async def _get(self, key: CacheKey) -> Stored | None:
        value = await self._store.get(key.name)
        if value is None:
            return None
        return decode(value) if len(value) < _LARGE else await asyncio.to_thread(decode, value)

    def _judge(self, stored: Stored, directives: Directives) -> Hit | None:
        now = self._clock.wall()
        age_s = max(0.0, now - stored.entry.stored_at)  # another machine's clock may be ahead of ours
        is_stale = now >= stored.expires_at or (directives.max_age_s is not None and age_s > directives.max_age_s)
        return None if is_stale else Hit(stored.entry, age_s, stored.expires_at - now)

    # ------------------------------------------------------------------ publishing

    def publish(
        self, key: CacheKey, entry: Entry, *, ttl_s: float, max_bytes: int, flight: AnyFlight | None = None
    ) -> Stored | None:
        """Have `entry` stored for `ttl_s` seconds, unless its body is longer than `max_bytes`; None if it will not be.

        The store is written to in the background; until that is done `flight`, landed with what is
        returned here, answers for it.
        """
        if len(entry.body) > max_bytes or len(self._writes) >= _MOST_WRITES or not self._store.is_up:
            return None
        stored = Stored(entry, entry.stored_at + ttl_s)
        task = asyncio.create_task(self._write(key, stored, ttl_s, flight), name="write a cache entry")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        return stored

    async def _write(self, key: CacheKey, stored: Stored, ttl_s: float, flight: AnyFlight | None) -> None:
        try:
            if len(stored.entry.body) < _LARGE:
                value = encode(stored)
            else:
                value = await asyncio.to_thread(encode, stored)
            await self._store.set(key.name, value, ttl_s)
        except StoreUnavailable:
            pass  # counted by the store; a cache may forget
        finally:
            if flight is not None:
                self._forget(flight)

    def _forget(self, flight: AnyFlight) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]
