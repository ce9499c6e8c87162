"""The cache as the pipeline sees it: look an answer up, publish one. It can be slow or away, but it cannot fail.

    lookup ─┬─ Hit      somebody had it before, and it is fresh
            ├─ Lead     nobody has it, and nobody asks for it: this request does, for all that come meanwhile
            ├─ Follow   somebody is asking: read along
            └─ Miss     neither, and why

Looked for in this process (`stores.py`), among the calls under way (`flight.py`), and in what processes
share (`shared.py`), in this order.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Self

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry, Stored, decode, encode
from gateway.cache.flight import Flight
from gateway.cache.key import CacheKey
from gateway.cache.purge import Purges, covers
from gateway.cache.shared import SharedStore
from gateway.cache.stores import LocalStore
from gateway.clock import Clock
from gateway.errors import StoreUnavailable
from gateway.value import value

log = logging.getLogger(__name__)

_MOST_WRITES = 1024
"""Under way to the store at a time. A store that falls behind by more is not given what comes then."""
_LARGE = 128 << 10
"""Bytes from which packing and unpacking leaves the event loop: a millisecond."""
_SWEEPS = 8
"""Tries to delete what was purged; it is not served meanwhile."""

AnyFlight = Flight[Any, Any]


@value
class Hit:
    entry: Entry
    age_s: float
    ttl_left_s: float
    """Below 0: it is stale, and served all the same."""
    waited_s: float = 0.0
    """For another process that was asking for it; 0 where it was there."""


@value
class Lead:
    """Nobody has the answer: have it made. To be used as `with lead.flight`, so that nobody waits for it in vain."""

    flight: AnyFlight
    detail: str | None = None
    """`store` where the store did not answer."""
    stale: Stored | None = None
    """What there was, and is no longer fresh: better than an error."""


@value
class Follow:
    """The answer is being made: read along, and `leave()` in any case."""

    flight: AnyFlight


@value
class Miss:
    """No answer to serve, and none to share. `detail` says why nobody looked or could look; None is a plain miss."""

    detail: str | None = None


class Cache:
    """Answers of complete requests by key. Where the shared store is away it fails open: every lookup is a miss.

    An async context manager, which at its end waits for what is being written.
    """

    def __init__(self, clock: Clock, *, local_bytes: int, shared: SharedStore | None = None) -> None:
        """`local_bytes` of answers are kept in this process; `shared` is what it has in common with others."""
        self._clock = clock
        self._local = LocalStore(local_bytes)
        self._purges = Purges()
        self._news = 0
        """Counts what was heard from other processes."""
        self._shared = shared
        self._flights: dict[str, AnyFlight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        """Writes, releases and sweeps under way."""
        self.on_news: list[Callable[[str, str, int], None]] = []
        """Told what was purged, replaced, or told to all by `tell`, here or elsewhere: kind, of what, and when."""

    async def __aenter__(self) -> Self:
        if self._shared is not None:
            await self._shared.open(on_news=self._hear, on_gap=self._start_over)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.settled()
        if self._shared is not None:
            await self._shared.close()

    async def settled(self) -> None:
        """Wait until what was published so far is stored, and what was purged is deleted."""
        while self._tasks:
            await asyncio.wait(self._tasks)

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
        while True:
            stored = self._local.get(key.name) if self._has_local else None
            if stored is not None and (hit := self._judge(key, stored, directives)) is not None:
                return hit
            flight = self._flights.get(name)
            if flight is None:
                break
            if flight.is_over and flight.stored is not None:
                return self._judge(key, flight.stored, directives) or Miss()
            if directives.only_if_cached:
                return Miss()
            flight.join()
            if flight.has_departed:
                return Follow(flight)
            if (found := await self._departure(flight, key, directives)) is not None:
                return found
        if directives.only_if_cached:
            return await self._look(key, directives)
        flight = self._flights[name] = Flight(name, self._forget)
        flight.asked_ms = self._purges.now_ms
        if self._shared is None:
            return Lead(flight, stale=self._stale(key, stored, directives))
        return await self._open(flight, self._shared, key, directives)

    async def _departure(self, flight: AnyFlight, key: CacheKey, directives: Directives) -> Hit | Follow | None:
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
        return None if flight.found is None else self._judge(key, flight.found, directives, flight.waited_s)

    async def _open(self, flight: AnyFlight, shared: SharedStore, key: CacheKey, directives: Directives) -> Hit | Lead:
        detail = stored = None
        news = self._news
        flight.lease = key.name
        try:
            value = await shared.leases.claim(key.name)
            if value is not None and shared.leases.is_others(value):
                began_s = self._clock.monotonic()
                value = await shared.leases.outwait(key.name, value)
                flight.waited_s = self._clock.monotonic() - began_s
            stored = None if value is None else await _unpacked(value)
        except StoreUnavailable:
            detail = "store"
        except BaseException:
            flight.ground()
            raise
        hit = None if stored is None else self._judge(key, stored, directives, flight.waited_s)
        if stored is None or hit is None:
            return Lead(flight, detail, self._stale(key, stored or self._local.get(key.name), directives))
        if self._has_local and news == self._news:
            self._local.set(key.name, stored)
        flight.find(stored)
        return hit

    async def _look(self, key: CacheKey, directives: Directives) -> Hit | Miss:
        """In the shared store, without any intention to ask elsewhere."""
        if self._shared is None:
            return Miss()
        try:
            value = await self._shared.get(key.name)
        except StoreUnavailable:
            return Miss("store")
        stored = None if value is None else await _unpacked(value)
        return (None if stored is None else self._judge(key, stored, directives)) or Miss()

    def _judge(self, key: CacheKey, stored: Stored, directives: Directives, waited_s: float = 0.0) -> Hit | None:
        now = self._clock.wall()
        age_s = max(0.0, now - stored.entry.stored_at)  # another machine's clock may be ahead of ours
        if now >= stored.expires_at or (directives.max_age_s is not None and age_s > directives.max_age_s):
            return None
        if self._purges.is_purged(key.name, stored.asked_ms):
            return None
        return Hit(stored.entry, age_s, stored.expires_at - now, waited_s)

    def _stale(self, key: CacheKey, stored: Stored | None, directives: Directives) -> Stored | None:
        """`stored`, if a client that was told how old it is could be content with it."""
        if stored is None or directives.max_age_s is not None or self._purges.is_purged(key.name, stored.asked_ms):
            return None
        return stored

    def aged(self, stored: Stored) -> Hit:
        """`stored` as it is served now, whether it is fresh or not."""
        now = self._clock.wall()
        return Hit(stored.entry, max(0.0, now - stored.entry.stored_at), stored.expires_at - now)

    @property
    def _has_local(self) -> bool:
        """Whether this process's own level can be trusted: nothing was purged or replaced unheard."""
        return self._shared is None or self._shared.is_heard

    # ------------------------------------------------------------------ publishing

    def publish(
        self,
        key: CacheKey,
        entry: Entry,
        *,
        ttl_s: float,
        max_bytes: int,
        stale_s: float = 0,
        flight: AnyFlight | None = None,
    ) -> Stored | None:
        """Have `entry` stored, fresh for `ttl_s` seconds and kept for `stale_s` more, unless its body is longer than
        `max_bytes`; None if it will not be.

        In this process that is done at once, elsewhere in the background; until that is done `flight` answers for
        it, once it has landed. Without a flight it takes the place of what others may have.
        """
        asked_ms = self._purges.now_ms if flight is None else flight.asked_ms
        if len(entry.body) > max_bytes or self._purges.is_purged(key.name, asked_ms):
            return None
        stored = Stored(entry, entry.stored_at + ttl_s, asked_ms)
        is_kept = self._has_local and self._local.set(key.name, stored)
        shared = self._shared
        if shared is None or not shared.is_up or len(self._tasks) >= _MOST_WRITES:
            return stored if is_kept else None
        if flight is not None:
            flight.stored = stored
        self._in_background(self._write(shared, key, stored, ttl_s + stale_s, flight), "write a cache entry")
        return stored

    async def _write(
        self, shared: SharedStore, key: CacheKey, stored: Stored, ttl_s: float, flight: AnyFlight | None
    ) -> None:
        try:
            is_small = len(stored.entry.body) < _LARGE
            await shared.set(key.name, encode(stored) if is_small else await asyncio.to_thread(encode, stored), ttl_s)
            if flight is None:
                await shared.tell(f"replaced {key.name}")
        except StoreUnavailable:
            pass  # counted by the store; a cache may forget
        finally:
            if flight is not None:
                self._forget(flight)

    def _forget(self, flight: AnyFlight) -> None:
        if self._flights.get(flight.name) is flight:
            del self._flights[flight.name]
        if self._shared is not None and self._shared.leases.holds(flight.lease):
            self._in_background(self._shared.leases.release(flight.lease), "release a cache lease")

    def _in_background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ------------------------------------------------------------------ purging

    async def purge(self, pattern: str) -> None:
        """Serve nothing of `pattern` (see `purge.py`) any more that was asked for before now, in any process that
        shares the store; they hear of it within a second. Raises StoreUnavailable: then nothing was done."""
        if self._shared is None:
            self._hear(f"purged {pattern}", max(self._purges.now_ms + 1, int(self._clock.wall() * 1000)))
            return
        await self._shared.tell(f"purged {pattern}")
        self._in_background(self._sweep(self._shared, pattern), "sweep the cache")

    async def _sweep(self, shared: SharedStore, pattern: str) -> None:
        for attempt in range(_SWEEPS):
            try:
                swept = await shared.sweep(pattern)
            except StoreUnavailable:
                await asyncio.sleep(2**attempt * 0.1)
            else:
                log.info("purged %d cache entries of %s", swept, pattern)
                return

    def _hear(self, what: str, at_ms: int) -> None:
        """Something was purged or replaced, here or elsewhere."""
        kind, _, which = what.partition(" ")
        self._news += 1
        self._purges.now_ms = max(self._purges.now_ms, at_ms)
        if kind == "purged":
            self._purges.add(which, at_ms)
            self._local.drop_all(lambda name: covers(which, name))
        elif kind == "replaced":
            stored = self._local.get(which)
            if stored is not None and stored.asked_ms < at_ms:
                self._local.drop(which)
        for listener in self.on_news:
            listener(kind, which, at_ms)

    def tell(self, kind: str, which: str) -> None:
        """Have all processes that share the store hear it, this one too: in the background, and not while the store is
        away."""
        if self._shared is not None and self._shared.is_up:
            self._in_background(self._tell(self._shared, f"{kind} {which}"), "tell other processes")

    async def _tell(self, shared: SharedStore, what: str) -> None:
        with suppress(StoreUnavailable):  # counted by the store
            await shared.tell(what)

    def _start_over(self, now_ms: int) -> None:
        self._local.clear()
        self._purges.now_ms = max(self._purges.now_ms, now_ms)

    # ------------------------------------------------------------------ what there is to see

    def stats(self) -> dict[str, Any]:
        return {
            "entries": len(self._local),
            "bytes": self._local.size_bytes,
            "flights": len(self._flights),
            "is_local_on": self._has_local,
        }


async def _unpacked(value: bytes) -> Stored | None:
    return decode(value) if len(value) < _LARGE else await asyncio.to_thread(decode, value)
