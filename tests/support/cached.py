"""The response cache as a test asks it: for one answer, and until what was published is stored."""

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry
from gateway.cache.key import CacheKey
from gateway.cache.lookup import Cache, Hit, Lead, Miss

ANY = Directives()


async def look(cache: Cache, key: CacheKey, directives: Directives = ANY) -> Hit | Miss:
    """As a request that gives up what it should have had made."""
    found = await cache.lookup(key, directives)
    if isinstance(found, Lead):
        found.flight.ground()
        return Miss(found.detail)
    assert isinstance(found, Hit | Miss)
    return found


async def publish(cache: Cache, key: CacheKey, entry: Entry, *, ttl_s: float, max_bytes: int) -> bool:
    is_stored = cache.publish(key, entry, ttl_s=ttl_s, max_bytes=max_bytes) is not None
    await cache.settled()
    return is_stored
