"""What the client is told about the cache: `Cache-Status` (RFC 9211) and `Age` (RFC 9111, 5.1)."""

from math import floor

from gateway.cache.lookup import Hit
from gateway.values import CacheOutcome
from gateway.wire.headers import Pairs


def hit_headers(hit: Hit) -> Pairs:
    """Both in whole seconds; `ttl` is how much longer the answer counts as fresh, below 0 where it is stale."""
    status = f"gateway; hit; ttl={floor(hit.ttl_left_s)}"
    if hit.ttl_left_s <= 0:
        status += "; detail=stale_if_error"
    return [("Cache-Status", status), ("Age", str(int(hit.age_s)))]


def forward_headers(outcome: CacheOutcome | None, detail: str | None, *, is_stored: bool) -> Pairs:
    """For an answer that came from the upstream; nothing where the route has no cache.

    `detail` is one of our fixed words. A stream's head leaves before anybody knows whether the answer
    will be stored, and does not claim so. With `no-cache` an answer goes around the cache and may
    still be stored.
    """
    if outcome is None:
        return []
    if outcome == "coalesced":
        return [("Cache-Status", "gateway; fwd=miss; collapsed")]
    status = "gateway; fwd=miss" if outcome == "miss" else f"gateway; fwd=bypass; detail={detail}"
    return [("Cache-Status", status + ("; stored" if is_stored else ""))]
