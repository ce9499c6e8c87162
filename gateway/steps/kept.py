"""Answers that are there, or on their way for somebody else: looked up, replayed, read along, kept for others."""

import asyncio
from dataclasses import dataclass
from functools import partial

from multidict import istr

from gateway.admission.admit import HIT, Admission
from gateway.cache.directives import directives_in
from gateway.cache.entry import Entry, Stored
from gateway.cache.flight import Flight
from gateway.cache.headers import SEMANTIC, hit_headers
from gateway.cache.key import CacheKey, bypass_reason, cache_key, scope_of, would_be_key
from gateway.cache.lookup import Cache, Follow, Hit, Lead
from gateway.clock import Clock
from gateway.config.model import CachePolicy, Route
from gateway.errors import CacheMissRequired
from gateway.record import Record
from gateway.steps.semantic import Asked, Semantic
from gateway.steps.turn import STREAM_TYPE, Turn
from gateway.upstream.call import Answer, Upstreams
from gateway.upstream.paced import Pace
from gateway.upstream.relay import Relay
from gateway.value import value
from gateway.values import Caller, Decision, Request, Transcript
from gateway.wire import headers as wire_headers

KB = 1 << 10
_BETA = istr("OpenAI-Beta")
_HASHED_AT_ONCE_BYTES = 1 << 20
"""4 ms; half of that is hashing, which lets others run meanwhile if it has a thread of its own."""
_HASHED_BYTES = 16 * KB
"""Of a request on a route without a cache: 20 µs at the most, for what the ledger alone wants to know."""


@value
class Landed:
    """What came of an upstream call, for those who waited for the whole of it."""

    entry: Entry | None
    """A complete answer, which can be given in either form."""
    answer: Answer | None
    """As it came, where it came whole."""
    stale: Stored | None = None
    """What is served instead, where the upstream failed."""


@value
class Slot:
    """Where the answer to a request will be cached, and who else waits for it."""

    key: CacheKey
    policy: CachePolicy
    flight: Flight[Relay, Landed] | None = None
    """None: nobody may."""
    stale: Stored | None = None
    """What is there, and no longer fresh."""
    asked: Asked | None = None
    """Its question, on routes where an answer to one that means the same will do."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The response cache, and the calls under way that fill it."""

    cache: Cache
    admission: Admission
    upstreams: Upstreams
    clock: Clock
    semantic: Semantic | None
    keeps_ledger: bool
    """Then requests that no cache looks at are hashed as well: `gateway plan` tells what one would have hit."""

    async def look_up(
        self, turn: Turn, request: Request, route: Route, decision: Decision
    ) -> Hit | Follow | Slot | None:
        """The stored answer, the call that is getting it, or where a new one goes; None when this request has nothing
        to do with the cache."""
        record = turn.record
        directives = turn.incoming.once(directives_in)
        if route.cache is None or record.caller is None:
            if directives.only_if_cached:
                raise CacheMissRequired
            if self.keeps_ledger and record.caller is not None and len(request.body) <= _HASHED_BYTES:
                record.cache_key = would_be_key(request, decision, route=route.name, caller=record.caller)
            return None
        slot: Slot | None = None
        reason = request.once(bypass_reason)
        if reason is None:
            scope = scope_of(record.caller, route.cache.share)
            beta = turn.incoming.headers.get(_BETA, "")
            named = partial(cache_key, request, decision, route=route.name, scope=scope, beta=beta)
            key = named() if len(request.body) <= _HASHED_AT_ONCE_BYTES else await asyncio.to_thread(named)
            record.cache_key = key.name
            found = await self.cache.lookup(key, directives, apart=self._apart(record.caller, request, decision))
            if isinstance(found, Hit | Follow):
                record.cache = "hit" if isinstance(found, Hit) and not found.waited_s else "coalesced"
                return found
            if directives.may_store:
                slot = Slot(key, route.cache)
                if isinstance(found, Lead):
                    is_up = found.detail is None  # else there is no entry to be had
                    asked = self._asked(turn, route.cache, scope, beta) if is_up else None
                    slot = Slot(key, route.cache, found.flight, found.stale, asked)
            reason = found.detail
        record.cache, record.cache_detail = ("miss", None) if reason is None else ("bypass", reason)
        if directives.only_if_cached:
            raise CacheMissRequired
        return slot

    def _asked(self, turn: Turn, policy: CachePolicy, scope: str, beta: str) -> Asked | None:
        if policy.semantic is None or self.semantic is None:
            return None
        caller = turn.record.caller
        if caller is None or caller.has_own_credentials:  # we have none to call with, and no upstream has checked these
            return None
        return Asked(policy.semantic, turn.endpoint, scope, beta)

    async def give_alike(self, turn: Turn, request: Request, decision: Decision, slot: Slot) -> bool:
        """Answer with what was said to a question that means the same; whether that was done."""
        record = turn.record
        assert self.semantic is not None
        assert slot.asked is not None
        directives = turn.incoming.once(directives_in)
        found = await self.semantic.find(record, request, decision, slot.key, slot.asked, directives)
        if found is None:
            return False
        if slot.flight is not None:
            slot.flight.ground()  # who waits for it looks for themselves: this answer is not under its name
        entry = found.hit.entry
        record.cache, record.cache_detail = "hit", SEMANTIC
        record.saved_nanousd[SEMANTIC] = entry.cost_nanousd
        headers = hit_headers(found.hit, found.similarity)
        await turn.give(request, entry, headers, is_paced=_is_paced(slot.policy))
        return True

    def _apart(self, caller: Caller, request: Request, decision: Decision) -> str:
        """What identical requests must have in common to share an upstream call, though not to share an answer: the
        credentials it is made with, and whether it reports usage where it does so only when the client asks."""
        apart = caller.name if caller.has_own_credentials else ""
        clients = self.upstreams.clients
        if request.wants_usage and not all(clients[each.upstream].config.stream_usage for each in decision.targets):
            apart += "+usage"
        return apart

    async def replay(self, turn: Turn, request: Request, route: Route, hit: Hit) -> None:
        record = turn.record
        record.upstream_s = hit.waited_s
        record.saved_nanousd["coalesced" if hit.waited_s else "cache"] = hit.entry.cost_nanousd
        headers = turn.cache_status(is_stored=False) if hit.waited_s else hit_headers(hit)
        await turn.give(request, hit.entry, headers, is_paced=_is_paced(route.cache))

    async def follow(self, turn: Turn, request: Request, route: Route, flight: Flight[Relay, Landed]) -> bool:
        """Answer with what another's call brings; False if that cannot be had in the form that is wanted here."""
        record = turn.record
        assert record.caller is not None
        try:
            async with self.admission.admit(record.caller, route.name, HIT, record.standing):
                began = self.clock.monotonic()
                while not flight.is_over and flight.live is None:
                    await flight.change()
                record.upstream_s = self.clock.monotonic() - began
                if request.is_stream and flight.live is not None and flight.live.is_joinable:
                    await self._read_along(turn, request, flight, flight.live)
                    return True
                if flight.live is not None:  # the whole of a stream, which goes on only as long as somebody reads it
                    await flight.live.to_its_end()
                    await flight.conclude()
                    record.upstream_s = self.clock.monotonic() - began
                if flight.error is not None:
                    raise flight.error.with_traceback(None)
                return flight.landed is not None and await self._hand_on(turn, request, flight.landed)
        finally:
            flight.leave()

    async def _read_along(self, turn: Turn, request: Request, flight: Flight[Relay, Landed], relay: Relay) -> None:
        record = turn.record
        record.target = relay.stream.target
        await turn.begin(200, [STREAM_TYPE, *turn.cache_status(is_stored=False)])
        await relay.to(turn.client, hides_usage=not request.wants_usage)
        await flight.conclude()
        await turn.end_as(relay)
        if flight.landed is not None and flight.landed.entry is not None:
            record.usage = flight.landed.entry.usage
            record.saved_nanousd["coalesced"] = flight.landed.entry.cost_nanousd

    async def _hand_on(self, turn: Turn, request: Request, landed: Landed) -> bool:
        """Answer with what another's call brought."""
        record, entry, answer = turn.record, landed.entry, landed.answer
        headers = turn.cache_status(is_stored=False)
        if entry is not None:
            record.saved_nanousd["coalesced"] = entry.cost_nanousd
            await turn.give(request, entry, headers)
        elif landed.stale is not None:
            record.cache = "stale"
            await turn.give(request, landed.stale.entry, hit_headers(self.cache.aged(landed.stale)))
            record.usage = None
        elif answer is not None and (answer.status != 200 or not request.is_stream):
            record.target = answer.target
            passed_on = wire_headers.to_client(answer.headers, are_limits_ours=bool(record.standing))
            await turn.answer(answer.status, [*passed_on, *headers], answer.body)
        else:
            return False
        return True

    def stale(self, slot: Slot | None) -> Hit | None:
        """What may be served in place of an upstream's failure."""
        if slot is None or slot.stale is None:
            return None
        hit = self.cache.aged(slot.stale)
        return hit if -hit.ttl_left_s <= slot.policy.stale_if_error_s else None

    async def give_stale(self, turn: Turn, request: Request, slot: Slot | None) -> bool:
        """Where the upstream failed before anything was sent, what there is though it is no longer fresh; whether that
        was done."""
        hit, record = self.stale(slot), turn.record
        if hit is None or slot is None or record.first_byte_s is not None:
            return False
        if slot.flight is not None:
            slot.flight.land(Landed(None, None, slot.stale))
        record.cache, used = "stale", record.usage
        await turn.give(request, hit.entry, hit_headers(hit))
        record.usage = used  # what the upstream may bill for its failure
        return True

    def land(
        self,
        record: Record,
        slot: Slot | None,
        transcript: Transcript | None,
        answer: Answer | None = None,
        pace: Pace | None = None,
    ) -> bool:
        """Have a complete answer stored, and tell those who wait for it; whether it will be stored."""
        if slot is None:
            return False
        entry = stored = None
        if transcript is not None and transcript.is_complete and transcript.body is not None:
            entry = Entry(
                body=transcript.body,
                target=str(record.target),
                usage=record.usage,
                cost_nanousd=record.cost.nanousd if record.cost else 0,
                stored_at=self.clock.wall(),
                pace=pace or (),
            )
            max_bytes = slot.policy.max_entry_kb * KB
            stored = self.cache.publish(
                slot.key,
                entry,
                ttl_s=slot.policy.ttl_s,
                stale_s=slot.policy.stale_if_error_s,
                max_bytes=max_bytes,
                flight=slot.flight,
            )
            if slot.asked is not None and self.semantic is not None and stored is not None:
                self.semantic.learn(record, slot.key, slot.asked, entry.body)
        if slot.flight is not None:
            slot.flight.land(Landed(entry, answer))
        return stored is not None


def _is_paced(policy: CachePolicy | None) -> bool:
    return policy is not None and policy.replay == "original"
