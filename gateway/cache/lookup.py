"""The cache as the pipeline sees it: look an answer up, publish one. It can be slow or away, but it cannot fail."""

from dataclasses import dataclass

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry, decode, encode
from gateway.cache.key import CacheKey
from gateway.cache.stores import EntryStore
from gateway.clock import Clock
from gateway.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Hit:
    entry: Entry
    age_s: float
    ttl_left_s: float


@dataclass(frozen=True, slots=True)
class Miss:
    """No answer to serve. `detail` says why nobody looked or could look; None is a plain miss."""

    detail: str | None = None


class Cache:
    """Answers of complete requests by key. Where the store is away it fails open: every lookup is then a miss."""

    def __init__(self, store: EntryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def lookup(self, key: CacheKey, directives: Directives) -> Hit | Miss:
        """What is stored under `key` and fresh enough for `directives`.

        `Miss.detail` is `no_cache` or `no_store` where the client did not want it looked up, and
        `store` where the store did not answer.
        """
        if not directives.may_serve:
            return Miss("no_store" if directives.no_store else "no_cache")
        try:
            value = await self._store.get(key.name)
        except StoreUnavailable:
            return Miss("store")
        stored = None if value is None else decode(value)
        if stored is None:
            return Miss()
        now = self._clock.wall()
        age_s = max(0.0, now - stored.entry.stored_at)  # another machine's clock may be ahead of ours
        is_stale = now >= stored.expires_at or (directives.max_age_s is not None and age_s > directives.max_age_s)
        return Miss() if is_stale else Hit(stored.entry, age_s, stored.expires_at - now)

    async def publish(self, key: CacheKey, entry: Entry, *, ttl_s: float, max_bytes: int) -> bool:
        """Store `entry` for `ttl_s` seconds, unless its body is longer than `max_bytes`; whether it was stored."""
        if len(entry.body) > max_bytes:
            return False
        try:
            await self._store.set(key.name, encode(entry, expires_at=entry.stored_at + ttl_s), ttl_s)
        except StoreUnavailable:
            return False
        return True
