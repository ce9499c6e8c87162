"""Semantic hits: the answer to a question that means the same, and whether it would have been the right one.

    miss ─► a vector for the question ─► the nearest question of its kind ─► its entry ─┬─ served
           (the operator's embeddings)    (guarded, above the threshold)                 └─ compared

*Compared*, the request goes to the model as ever, and what comes back is held against what would have been served. So a
check costs nothing that a miss would not have cost, and its client gets an answer of its own. All hits of a route are
compared until enough of them proved right; after that, a share. A route where too many were wrong serves none any more
(`cache/tally.py`).

Nothing here can fail a request: without a vector in time there is none, and the model is asked.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from gateway.cache.directives import Directives
from gateway.cache.entry import Entry
from gateway.cache.key import CacheKey
from gateway.cache.likeness import Likeness, likeness_of
from gateway.cache.lookup import Cache, Hit, Miss
from gateway.cache.semantic import SemanticIndex
from gateway.clock import Clock
from gateway.config.model import Config
from gateway.config.model import Semantic as Policy
from gateway.errors import GatewayError, UpstreamTimeout
from gateway.record import Record
from gateway.steps.comparing import Comparing, Pair
from gateway.steps.own_calls import OwnCall, OwnCalls
from gateway.value import value
from gateway.values import Decision, Request, Target
from gateway.wire import json_bytes
from gateway.wire.embeddings import Embeddings
from gateway.wire.endpoint import Endpoint

if TYPE_CHECKING:  # it needs numpy
    from gateway.cache.vectors import Vector

KIND = "semantic"
EMBEDDING = "embedding"
STATES = ("trial", "open", "closed")
"""As `gateway_semantic_state` counts them."""
_TRIED = 4
"""Of the nearest questions, should the entries of some be gone."""
_COMPLETE = frozenset({"stop", "completed"})
"""Finish reasons of answers in words. Calls of tools act, and an act is for the question it was asked for."""
_WHOLE = _COMPLETE | {"tool_calls", "function_call"}
"""Of answers that can be compared; what was cut off at its limit differs from any other."""


@value
class Alike:
    """The answer to a question like the one that was asked."""

    hit: Hit
    similarity: float


@dataclass(slots=True)
class Asked:
    """A request on its way through here, and what became known of its question."""

    policy: Policy
    endpoint: Endpoint
    scope: str
    beta: str
    likeness: Likeness | None = None
    vector: "Vector | None" = None
    candidate: Entry | None = None
    """What would have been served; the model is asked all the same."""


class Semantic:
    """An async context manager; does nothing for routes without `cache.semantic`."""

    def __init__(
        self,
        config: Config,
        index: SemanticIndex,
        cache: Cache,
        calls: OwnCalls,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        assert config.cache.embeddings is not None
        self._settings = config.cache.embeddings
        self._target = Target.parse(self._settings.target)
        self._index = index
        self._cache = cache
        self._calls = calls
        self._clock = clock
        self._chance = chance
        self._policies = {
            route.name: route.cache.semantic for route in config.routes if route.cache and route.cache.semantic
        }
        self._under_way = 0
        """Calls for embeddings."""
        self._comparing = Comparing(index, calls)
        self._task: asyncio.Task[None] | None = None
        self.checks = self._comparing.checks
        self.lookups: Counter[tuple[str, ...]] = Counter()
        """(route, result) of requests that missed: hit, check, none, unclear, closed, failed, timeout, busy."""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._comparing.run(), name="compare answers of semantic hits")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # ------------------------------------------------------------------ on a request's way

    async def find(
        self, record: Record, request: Request, decision: Decision, key: CacheKey, asked: Asked, directives: Directives
    ) -> Alike | None:
        """What to serve in place of a new answer; `asked` keeps what `learn` wants to know."""
        assert record.route is not None
        tally = self._comparing.tally(record.route, asked.policy)
        found, result = None, "closed"
        if tally.state != "closed":
            found, result = await self._look(record, request, decision, key, asked, directives)
        if found is not None and (tally.state != "open" or self._chance() < asked.policy.check):
            asked.candidate, found, result = found.hit.entry, None, "check"
        self.lookups[record.route, result] += 1
        return found

    async def _look(
        self, record: Record, request: Request, decision: Decision, key: CacheKey, asked: Asked, directives: Directives
    ) -> tuple[Alike | None, str]:
        assert record.route is not None
        likeness = likeness_of(request, decision, route=record.route, scope=asked.scope, beta=asked.beta)
        if likeness is None:
            return None, "unclear"
        vector = self._index.recent(key.name)
        if vector is None:
            vector, result = await self._embed(record, likeness.text)
            if vector is None:
                return None, result
            self._index.remember(key.name, vector)
        asked.likeness, asked.vector = likeness, vector
        found = await self._nearest(likeness, vector, asked.policy.threshold, directives)
        return (None, "none") if found is None else (found, "hit")

    async def _nearest(
        self, likeness: Likeness, vector: "Vector", threshold: float, directives: Directives
    ) -> Alike | None:
        stored_only = replace(directives, only_if_cached=True)
        for near in self._index.near(likeness, vector, threshold)[:_TRIED]:
            found = await self._cache.lookup(CacheKey(near.name), stored_only)
            if isinstance(found, Hit):
                self._index.used(near.name)
                return Alike(found, near.similarity)
            if isinstance(found, Miss) and found.detail is None and directives.max_age_s is None:
                self._index.drop(near.name)  # its answer is gone
        return None

    async def _embed(self, record: Record, text: str) -> "tuple[Vector | None, str]":
        """The vector of `text`; else what stood in the way, for the metric."""
        settings = self._settings
        if self._under_way >= settings.concurrent or not self._calls.is_up(self._target):
            return None, "busy"
        asked: dict[str, Any] = {"model": self._target.model, "input": text}
        if settings.dimensions is not None:
            asked["dimensions"] = settings.dimensions
        body, began = json_bytes.dumps(asked), self._clock.monotonic()
        self._under_way += 1
        try:
            answer = await self._calls.ask(
                OwnCall(
                    *(record.request_id, record.route or "", Embeddings(), (self._target,), lambda *_: body),
                    *(EMBEDDING, settings.timeout_s),
                )
            )
        except UpstreamTimeout:
            return None, "timeout"
        except GatewayError:
            return None, "failed"
        finally:
            self._under_way -= 1
            record.upstream_s += self._clock.monotonic() - began
        return self._index.unit(_embedding_in(answer)), "failed"

    def learn(self, record: Record, key: CacheKey, asked: Asked, body: bytes) -> None:
        """The model's answer is there, and is stored under `key`; never waits, never raises."""
        if asked.likeness is None or asked.vector is None or record.route is None:
            return
        if record.finish_reason in _COMPLETE and b'_call"' not in body:
            self._index.add(key.name, asked.likeness, asked.vector)
        if asked.candidate is not None and record.finish_reason in _WHOLE:
            served = asked.candidate.body
            question = asked.likeness.text
            self._comparing.offer(
                Pair(record.route, asked.policy, asked.endpoint, record.request_id, question, served, body)
            )

    # ------------------------------------------------------------------ what there is to see, and to order

    @property
    def routes(self) -> Sequence[str]:
        return tuple(self._policies)

    def reopen(self, route: str) -> None:
        """Put the route's level on trial again."""
        self._index.reopen(route)

    def standing(self) -> dict[str, dict[str, Any]]:
        """Of each route: its state, how many answers were compared, and how many were wrong, with the 95% interval of
        their share."""
        found = {}
        for route, policy in self._policies.items():
            tally = self._comparing.tally(route, policy)
            low, high = tally.interval()
            counts = {"state": tally.state, "checks": tally.checks, "wrong": tally.wrong}
            found[route] = {**counts, "low": round(low, 5), "high": round(high, 5)}
        return found

    def ratios(self) -> dict[tuple[str, ...], float]:
        """(route, bound) → the share of wrong answers, for the metric."""
        found: dict[tuple[str, ...], float] = {}
        for route, standing in self.standing().items():
            if standing["checks"]:
                found[route, "measured"] = standing["wrong"] / standing["checks"]
                found[route, "low"], found[route, "high"] = standing["low"], standing["high"]
        return found

    def states(self) -> dict[tuple[str, ...], float]:
        """(route,) → its state as a number, for the metric."""
        return {(route,): STATES.index(standing["state"]) for route, standing in self.standing().items()}

    def stats(self) -> dict[str, Any]:
        return {**self._index.stats(), "routes": self.standing()}


def _embedding_in(body: bytes) -> object:
    data = (json_bytes.object_in(body) or {}).get("data")
    first = data[0] if isinstance(data, list) and data else None
    return first.get("embedding") if isinstance(first, dict) else None
