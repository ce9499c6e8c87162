"""The index behind semantic hits: which cache entry answers a question like this one, and how far that can be trusted.

It holds no answers. A vector leads to the name of an entry, which is looked up like any other, so that purges, times
to live, and whatever else ends an entry hold here too. Vectors are kept in this process alone, and so is what became of
the comparisons. But where one process closes a route's level, all that share its store do.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from gateway.cache.guard import is_same_order
from gateway.cache.key import route_hash
from gateway.cache.likeness import Likeness
from gateway.cache.purge import covers
from gateway.cache.tally import Tally

if TYPE_CHECKING:  # it needs numpy, which takes a tenth of a second to load
    from gateway.cache.vectors import Near, Vector

log = logging.getLogger(__name__)

_CLOSED, _REOPENED = "closed", "reopened"
"""What processes tell one another, of the hash of a route."""
_RECENT = 512
"""Questions whose vectors are kept for whoever asks just the same next: a semantic hit is not stored under a name of
its own, and a thousand repeats of it must not be a thousand calls."""
_HEARD = 4096
"""Purges that are remembered: as many as the store tells again."""


class SemanticIndex:
    """Of one configured model of embeddings; outlives a reload that leaves its settings alone."""

    def __init__(self, max_bytes: int, tell: Callable[[str, str], None]) -> None:
        """`tell` is how others that share the store come to hear of what this one decides."""
        from gateway.cache.vectors import Vectors, unit

        self.unit = unit
        """What an API calls an embedding → a vector, or None."""
        self._vectors = Vectors(max_bytes)
        self._tell = tell
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        self._tallies: dict[tuple[str, object], Tally] = {}
        self._heard_ms: dict[str, int] = {}

    def tally(self, route: str, policy: object, *, least: int, most_wrong: float) -> Tally:
        """Of `route` under this `policy`: another policy begins anew."""
        found = self._tallies.get((route, policy))
        if found is None:
            found = self._tallies[route, policy] = Tally(least=least, most_wrong=most_wrong)
        return found

    def recent(self, name: str) -> "Vector | None":
        """The vector of the question that makes the entry `name`, where it was asked for lately."""
        return self._recent.get(name)

    def remember(self, name: str, vector: "Vector") -> None:
        self._recent[name] = vector
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)

    def near(self, likeness: Likeness, vector: "Vector", threshold: float) -> "Sequence[Near]":
        """Entries whose questions may share an answer with this one, the nearest first."""
        found = self._vectors.near((likeness.partition, likeness.marks.decisive), vector, threshold)
        return [near for near in found if is_same_order(near.rest, likeness.marks.rest)]

    def add(self, name: str, likeness: Likeness, vector: "Vector") -> None:
        bucket = (likeness.partition, likeness.marks.decisive)
        self._vectors.add(bucket, name, vector, likeness.marks.rest)

    def used(self, name: str) -> None:
        self._vectors.used(name)

    def drop(self, name: str) -> None:
        self._vectors.drop(name)

    def hear(self, kind: str, which: str, at_ms: int) -> None:
        """Something was purged (see `purge.py`), or a route's level closed or reopened, here or elsewhere.

        A purge of a whole route puts its level back on trial. After a break in the connection to the store old news
        are told again, and are none.
        """
        what = f"{kind} {which}"
        if kind not in ("purged", _CLOSED, _REOPENED) or at_ms <= self._heard_ms.get(what, 0):
            return
        self._heard_ms.pop(what, None)
        self._heard_ms[what] = at_ms
        if len(self._heard_ms) > _HEARD:
            del self._heard_ms[next(iter(self._heard_ms))]
        route, _, scope = which.partition(":")
        if kind == "purged":
            self._vectors.drop_all(lambda name: covers(which, name))
        if kind == _REOPENED or (kind == "purged" and scope == "*"):
            for _, tally in self._tallies_of(route):
                tally.reopen()
        elif kind == _CLOSED:
            for name, tally in self._tallies_of(route):
                if tally.close():
                    log.warning("semantic cache of route %s: closed, another process found too many wrong", name)

    def _tallies_of(self, route: str) -> Iterator[tuple[str, Tally]]:
        """Of the route with that hash, or of all."""
        return ((name, tally) for (name, _), tally in self._tallies.items() if route in ("*", route_hash(name)))

    def closed(self, route: str) -> None:
        """Its level has closed itself: so will those of other processes."""
        self._tell(_CLOSED, route_hash(route))

    def reopen(self, route: str) -> None:
        """Put its level on trial again, in other processes too."""
        for _, tally in self._tallies_of(route_hash(route)):
            tally.reopen()
        self._tell(_REOPENED, route_hash(route))

    def stats(self) -> dict[str, Any]:
        return {"vectors": len(self._vectors), "vector_bytes": self._vectors.size_bytes}
