"""What the client is told about the cache: `Cache-Status` (RFC 9211) and `Age` (RFC 9111, 5.1)."""

from math import floor

from gateway.cache.lookup import Hit
from gateway.values import CacheOutcome
from gateway.wire.headers import Pairs

SEMANTIC = "semantic"
"""The detail of a hit that was another question's answer."""


def hit_headers(hit: Hit, similarity: float | None = None) -> Pairs:
    """Both in whole seconds; `ttl` is how much longer the answer counts as fresh, below 0 where it is stale.

    With a `similarity` it is the answer to another question, which is only like this one.
    """
    status = f"gateway; hit; ttl={floor(hit.ttl_left_s)}"
    if hit.ttl_left_s <= 0:
        status += "; detail=stale_if_error"
    pairs = [("Cache-Status", status), ("Age", str(int(hit.age_s)))]
    if similarity is not None:
        pairs[0] = ("Cache-Status", f"{status}; detail={SEMANTIC}")
        pairs.append(("x-gateway-similarity", f"{similarity:.4f}"))
    return pairs


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
