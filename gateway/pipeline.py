"""The way of one request, top to bottom. The only file that knows every capability.

    identify → parse → match a route → cap → count → decide → look up ─┬─ hit ──── replay
                                                                        ├─ follow ─ read along
                                                                        └─ else ─── call ─ relay ─ charge ─ land
    whatever happened: one record → metrics and log

Capabilities know nothing of one another; values go from one to the next here. The `Record` is
written only here (`upstream` fills its attempts), and is complete when `serve` returns or raises.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from multidict import istr

from gateway.accounting.book import book
from gateway.accounting.cost import charged_nanousd, cost_nanousd, most_nanousd
from gateway.accounting.prices import PriceTable
from gateway.admission.admit import HIT, Admission, CheapWanted, Demand
from gateway.admission.keeper import Grant
from gateway.auth.identify import Identifier
from gateway.cache.directives import directives_in
from gateway.cache.entry import Entry, Stored
from gateway.cache.flight import Flight
from gateway.cache.headers import forward_headers, hit_headers
from gateway.cache.key import CacheKey, bypass_reason, cache_key, scope_of, would_be_key
from gateway.cache.lookup import Cache, Follow, Hit, Lead
from gateway.clock import Clock
from gateway.config.model import CachePolicy, Route
from gateway.ending import see_through
from gateway.errors import (
    CacheMissRequired,
    GatewayError,
    PriceUnknown,
    UpstreamCut,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.exchange import Client, Gone, Incoming
from gateway.learning import Learning
from gateway.record import Record
from gateway.routing.match import RouteTable
from gateway.routing.router import Router
from gateway.tokens.apply import apply, enforce_prompt
from gateway.tokens.count import TokenCounter
from gateway.tokens.lengths import Lengths
from gateway.tokens.prompt import count_alike
from gateway.tokens.watch import WasteWatch
from gateway.upstream.call import Answer, EventStream, Outgoing, Upstreams
from gateway.upstream.collect import Collector, read_answer
from gateway.upstream.metered import MeteredCollector
from gateway.upstream.relay import Relay
from gateway.value import value
from gateway.values import Caller, Decision, Request, Target, Transcript, Usage
from gateway.wire import headers as wire_headers
from gateway.wire import json_bytes
from gateway.wire.endpoint import Endpoint
from gateway.wire.errors import shape_of
from gateway.wire.headers import Pairs
from gateway.wire.outgoing import outgoing_body
from gateway.wire.reader import Reader
from gateway.wire.usage import word

KB = 1 << 10
_BETA = istr("OpenAI-Beta")
_STALE_IF = frozenset({500, 502, 503, 504})
"""Answers of an upstream that count as its failure (RFC 5861, 4)."""
_HASHED_BYTES = 16 * KB
"""Of a request on a route without a cache: 20 µs at the most, for what the ledger alone wants to know."""
JSON_TYPE = ("Content-Type", "application/json")
STREAM_TYPE = ("Content-Type", "text/event-stream; charset=utf-8")


@value
class Turn:
    """One request being served: what it is, who gets the answer, and what became known of it."""

    endpoint: Endpoint
    incoming: Incoming
    client: Client
    record: Record


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
class Whole:
    """An answer that came whole, and what became of it."""

    answer: Answer
    is_stored: bool
    is_complete: bool


@value
class Slot:
    """Where the answer to a request will be cached, and who else waits for it."""

    key: CacheKey
    policy: CachePolicy
    flight: Flight[Relay, Landed] | None = None
    """None: nobody may."""
    stale: Stored | None = None
    """What is there, and no longer fresh."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything a request meets, built by `app.py` from one configuration."""

    identifier: Identifier
    reader: Reader
    routes: RouteTable
    counter: TokenCounter
    router: Router
    cache: Cache
    admission: Admission
    upstreams: Upstreams
    prices: PriceTable
    lengths: Lengths
    waste: WasteWatch
    learning: Learning
    clock: Clock
    observe: Callable[[Record], None]
    """Told of every finished record: metrics and log."""
    unknown_price: Literal["flag", "reject"]
    keeps_ledger: bool = False
    """Then requests that no cache looks at are hashed as well: `gateway plan` tells what one would have hit."""

    async def serve(self, endpoint: Endpoint, incoming: Incoming, client: Client) -> None:
        """Answer one request, whatever happens; raises only CancelledError."""
        record = Record(incoming.request_id, endpoint.name, self.clock.wall(), incoming.received_s)
        turn = Turn(endpoint, incoming, client, record)
        await see_through(
            self._serve(turn),
            client,
            record,
            break_off=partial(_break_off, turn),
            clock=self.clock,
            observe=self.observe,
        )

    async def _serve(self, turn: Turn) -> None:
        headers, record = turn.incoming.headers, turn.record
        caller = record.caller = self.identifier.identify(headers)
        request = self.reader.read(turn.endpoint, turn.incoming.body)
        record.is_stream = request.is_stream
        route = self.routes.match(request.model, request.endpoint, caller, named=headers.get("x-gateway-route"))
        record.route = route.name
        record.step, record.probes = self.admission.state(caller, route.name)
        counting_model = self.router.counting_model(route, request.model)
        request = await self._apply_policy(record, request, route, counting_model)
        question = turn.endpoint.question(request) if route.tier == "auto" else None
        forced = headers.get("x-gateway-tier")
        decision = self.router.decide(route, model=request.model, question=question, forced=forced)
        cheaper = self.router.cheaper(decision)
        if cheaper is not None and record.step in ("cheap", "cap"):
            decision, cheaper = cheaper, None
        decision = self.learning.plan(caller, route, decision)
        try:
            await self._attend(turn, request, route, decision, counting_model, may_be_cheap=cheaper is not None)
        except CheapWanted:
            assert cheaper is not None, "only a demand that may be cheap is answered so"
            await self._attend(turn, request, route, cheaper, counting_model, may_be_cheap=False)

    async def _apply_policy(self, record: Record, request: Request, route: Route, counting_model: str) -> Request:
        """`request` within the route's caps, trimmed and counted; PromptTooLong where that is not possible."""
        policy = self.admission.capped(route.tokens) if record.step == "cap" else route.tokens
        applied = await apply(request, policy, self.counter, model=counting_model)
        record.estimate = applied.estimate
        record.dropped_messages, record.dropped_tokens = applied.dropped_messages, applied.dropped_tokens
        record.trimmed_tokens = applied.trimmed_tokens
        whole = record.estimate.prompt_tokens + record.dropped_tokens + record.trimmed_tokens
        record.is_unusually_long = self.lengths.is_unusual(route.name, whole)
        await enforce_prompt(applied, route.tokens, self.counter, model=counting_model, route=route.name)
        return applied.request

    async def _attend(
        self,
        turn: Turn,
        request: Request,
        route: Route,
        decision: Decision,
        counting_model: str,
        *,
        may_be_cheap: bool,
    ) -> None:
        """Look the answer up, else reserve what it may cost and have it made. Raises CheapWanted before anything else
        was done, where a soft budget is used up."""
        record = turn.record
        assert record.caller is not None
        record.decision = decision
        record.context = self.prices.limits(decision.targets[0]).context
        await self._recount(record, request, counting_model, decision.targets[0].model)
        self._demand_price(decision.targets[0])
        found = await self._look_up(turn, request, route, decision)
        if isinstance(found, Hit):
            async with self.admission.admit(record.caller, route.name, HIT, record.standing):
                await self._replay(turn, request, found)
            return
        if isinstance(found, Follow):
            if await self._follow(turn, request, route, found.flight):
                return
            found = None
        is_background = turn.endpoint.is_background(request)
        demand = self._demand(record, request, decision, may_be_cheap=may_be_cheap, is_background=is_background)
        flight = None if found is None else found.flight
        with flight or nullcontext():
            if record.step == "cache_only":
                raise self.admission.too_fast(record.caller, route.name)
            async with self.admission.admit(record.caller, route.name, demand, record.standing) as grant:
                try:
                    await self._forward(turn, request, decision, found, grant)
                    self.waste.offer(record, request)
                    self.learning.offer(turn.endpoint, request, route, record)
                except UpstreamError:
                    if not await self._give_stale(turn, request, found):
                        raise
                finally:  # also when the client left: what was used is in the record by then
                    if record.usage is not None:
                        rates = self.prices.rates(record.target) if record.target is not None else None
                        used = record.usage.input + record.usage.output
                        grant.settle(used, charged_nanousd(record.cost, record.usage, rates))

    # ------------------------------------------------------------------ cache

    async def _look_up(
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
        reason = bypass_reason(request)
        if reason is None:
            scope = scope_of(record.caller, route.cache.share)
            beta = turn.incoming.headers.get(_BETA, "")
            key = cache_key(request, decision, route=route.name, scope=scope, beta=beta)
            record.cache_key = key.name
            found = await self.cache.lookup(key, directives, apart=self._apart(record.caller, request, decision))
            if isinstance(found, Hit | Follow):
                record.cache = "hit" if isinstance(found, Hit) and not found.waited_s else "coalesced"
                return found
            if directives.may_store:
                slot = Slot(key, route.cache)
                if isinstance(found, Lead):
                    slot = Slot(key, route.cache, found.flight, found.stale)
            reason = found.detail
        record.cache, record.cache_detail = ("miss", None) if reason is None else ("bypass", reason)
        if directives.only_if_cached:
            raise CacheMissRequired
        return slot

    def _apart(self, caller: Caller, request: Request, decision: Decision) -> str:
        """What identical requests must have in common to share an upstream call, though not to share an answer: the
        credentials it is made with, and whether it reports usage where it does so only when the client asks."""
        apart = caller.name if caller.has_own_credentials else ""
        clients = self.upstreams.clients
        if request.wants_usage and not all(clients[each.upstream].config.stream_usage for each in decision.targets):
            apart += "+usage"
        return apart

    async def _replay(self, turn: Turn, request: Request, hit: Hit) -> None:
        record = turn.record
        record.upstream_s = hit.waited_s
        record.saved_nanousd["coalesced" if hit.waited_s else "cache"] = hit.entry.cost_nanousd
        headers = _cache_status(record, is_stored=False) if hit.waited_s else hit_headers(hit)
        await self._give(turn, request, hit.entry, headers)

    async def _follow(self, turn: Turn, request: Request, route: Route, flight: Flight[Relay, Landed]) -> bool:
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
        await self._begin(turn, 200, [STREAM_TYPE, *_cache_status(record, is_stored=False)])
        await relay.to(turn.client, hides_usage=not request.wants_usage)
        await flight.conclude()
        await self._end(turn, relay)
        if flight.landed is not None and flight.landed.entry is not None:
            record.usage = flight.landed.entry.usage
            record.saved_nanousd["coalesced"] = flight.landed.entry.cost_nanousd

    async def _hand_on(self, turn: Turn, request: Request, landed: Landed) -> bool:
        """Answer with what another's call brought."""
        record, entry, answer = turn.record, landed.entry, landed.answer
        headers = _cache_status(record, is_stored=False)
        if entry is not None:
            record.saved_nanousd["coalesced"] = entry.cost_nanousd
            await self._give(turn, request, entry, headers)
        elif landed.stale is not None:
            record.cache = "stale"
            await self._give(turn, request, landed.stale.entry, hit_headers(self.cache.aged(landed.stale)))
            record.usage = None
        elif answer is not None and (answer.status != 200 or not request.is_stream):
            record.target = answer.target
            passed_on = wire_headers.to_client(answer.headers, are_limits_ours=bool(record.standing))
            await self._answer(turn, answer.status, [*passed_on, *headers], answer.body)
        else:
            return False
        return True

    async def _give(self, turn: Turn, request: Request, entry: Entry, headers: Pairs) -> None:
        """Answer with `entry`, in the form that `request` wants."""
        record = turn.record
        record.target, record.usage = Target.parse(entry.target), entry.usage
        if request.is_stream:
            events = turn.endpoint.to_stream(json_bytes.loads(entry.body), include_usage=request.wants_usage)
            await self._begin(turn, 200, [STREAM_TYPE, *headers])
            await turn.client.write(b"".join(events))
            await turn.client.end()
        else:
            await self._answer(turn, 200, [JSON_TYPE, *headers], entry.body)
        record.is_success = True

    def _stale(self, slot: Slot | None) -> Hit | None:
        """What may be served in place of an upstream's failure."""
        if slot is None or slot.stale is None:
            return None
        hit = self.cache.aged(slot.stale)
        return hit if -hit.ttl_left_s <= slot.policy.stale_if_error_s else None

    async def _give_stale(self, turn: Turn, request: Request, slot: Slot | None) -> bool:
        """Where the upstream failed before anything was sent, what there is though it is no longer fresh; whether that
        was done."""
        hit, record = self._stale(slot), turn.record
        if hit is None or slot is None or record.first_byte_s is not None:
            return False
        if slot.flight is not None:
            slot.flight.land(Landed(None, None, slot.stale))
        record.cache, used = "stale", record.usage
        await self._give(turn, request, hit.entry, hit_headers(hit))
        record.usage = used  # what the upstream may bill for its failure
        return True

    def _land(
        self, record: Record, slot: Slot | None, transcript: Transcript | None, answer: Answer | None = None
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
        if slot.flight is not None:
            slot.flight.land(Landed(entry, answer))
        return stored is not None

    # ------------------------------------------------------------------ upstream

    async def _forward(self, turn: Turn, request: Request, decision: Decision, slot: Slot | None, grant: Grant) -> None:
        """Have the answer made, for all who wait for it, and give it to this client."""
        flight = None if slot is None else slot.flight
        making = self._make(turn, request, decision, slot, grant)
        made = await (making if flight is None else flight.fly(making))
        if flight is not None and flight.is_opener_gone:
            turn = replace(turn, client=Gone())
        if isinstance(made, Relay):
            await self._relay(turn, request, made, slot)
        else:
            await self._pass_on(turn, made)

    async def _make(
        self, turn: Turn, request: Request, decision: Decision, slot: Slot | None, grant: Grant
    ) -> Relay | Whole:
        """A whole answer, accounted for and kept, or the beginning of a stream."""
        record = turn.record
        answer = await self._call(turn, request, decision)
        record.target = answer.target
        if isinstance(answer, EventStream):
            try:
                collector = await self._collector(turn, request, answer, grant)
            except BaseException:
                answer.close()
                self._book_prompt(record)
                raise
            flight = None if slot is None else slot.flight
            relay = Relay(answer, collector, on_end=None if flight is None else flight.wake)
            if flight is not None:
                flight.carry(relay, partial(self._conclude, record, request, relay, slot), relay.stop)
            return relay
        if answer.status in _STALE_IF and self._stale(slot) is not None:
            raise UpstreamUnavailable(f"The model API answered {answer.status}.")
        transcript = None
        if answer.status == 200:
            transcript = read_answer(turn.endpoint, answer.body)
            await self._charge(record, request, transcript)
        is_stored = self._land(record, slot, transcript, answer)
        return Whole(answer, is_stored, is_complete=transcript is not None and transcript.is_complete)

    async def _call(self, turn: Turn, request: Request, decision: Decision) -> Answer | EventStream:
        record = turn.record
        headers = turn.incoming.once(wire_headers.to_upstream_as_ours)
        if record.caller is not None and record.caller.has_own_credentials:
            headers = wire_headers.to_upstream(turn.incoming.headers, own_credentials=True)
        outgoing = Outgoing(
            path=turn.endpoint.path,
            headers=headers,
            body=partial(outgoing_body, turn.endpoint, request),
            is_stream=request.is_stream,
        )
        began = self.clock.monotonic()
        try:
            return await self.upstreams.call(decision.targets, outgoing, record.attempts)
        except (UpstreamTimeout, asyncio.CancelledError) as error:
            if not isinstance(error, UpstreamTimeout) or error.was_sent:
                self._book_prompt(record)
            raise
        finally:
            record.upstream_s = self.clock.monotonic() - began

    async def _pass_on(self, turn: Turn, made: Whole) -> None:
        """Send a whole answer on as it came."""
        record, answer = turn.record, made.answer
        headers = [
            *wire_headers.to_client(answer.headers, are_limits_ours=bool(record.standing)),
            *_cache_status(record, is_stored=made.is_stored),
        ]
        await self._answer(turn, answer.status, headers, answer.body)
        record.is_success = made.is_complete

    async def _collector(self, turn: Turn, request: Request, stream: EventStream, grant: Grant) -> Collector:
        """What looks at `stream` as it goes by; where a budget or a rate counts its tokens, no more than were reserved
        go by."""
        config = self.upstreams.clients[stream.target.upstream].config
        hide_usage = config.stream_usage and not request.wants_usage
        if grant.completion_tokens is None:
            return Collector(turn.endpoint, hide_usage=hide_usage)
        prompt = _prompt_tokens(turn.record)
        collector = MeteredCollector(
            turn.endpoint,
            hide_usage=hide_usage,
            cap=_stream_cap(turn.record, grant.completion_tokens),
            count=await self.counter.meter(stream.target.model),
            ending=lambda events, tokens: turn.endpoint.cut_short(
                events, choices=request.choices, usage=Usage(prompt, tokens), tells_usage=request.wants_usage
            ),
        )
        rates = self.prices.rates(stream.target)

        def look() -> tuple[int, int]:
            usage = Usage(prompt, collector.tokens())
            return usage.input + usage.output, 0 if rates is None else cost_nanousd(usage, rates)

        grant.follow(look)
        return collector

    async def _relay(self, turn: Turn, request: Request, relay: Relay, slot: Slot | None) -> None:
        """Relay a stream as it comes, and account for it when it is over, however it ends."""
        record, flight = turn.record, None if slot is None else slot.flight
        try:
            headers = [
                *wire_headers.to_client(relay.stream.headers, are_limits_ours=bool(record.standing)),
                *_cache_status(record, is_stored=False),
            ]
            await self._begin(turn, relay.stream.status, headers)
            await relay.to(turn.client, hides_usage=relay.collector.hides_usage)
        except (ConnectionError, asyncio.CancelledError):
            if flight is not None:
                await flight.outstay(lambda: relay.is_over)
            raise
        finally:
            await (self._conclude(record, request, relay, slot) if flight is None else flight.conclude())
        await self._end(turn, relay)

    async def _conclude(self, record: Record, request: Request, relay: Relay, slot: Slot | None) -> None:
        """A stream is over, or nobody wants the rest: book it, and keep it if it is whole."""
        relay.stop()
        collector = relay.collector
        is_usable = relay.error is None and not relay.is_stopped
        is_wanted = slot is not None or (record.decision is not None and record.decision.is_shadowed)
        transcript = collector.finish(want_body=is_usable and is_wanted and not collector.is_cut)
        await self._charge(record, request, transcript)
        record.is_cut = collector.is_cut
        if is_usable and not transcript.is_complete:
            relay.error = UpstreamCut("The model API ended its stream before the answer was complete.")
        elif is_usable:
            self._land(record, slot, transcript)
        if relay.error is not None:
            self.upstreams.broke_off(record.attempts[-1], relay.error)
            if slot is not None and slot.flight is not None:
                slot.flight.fail(relay.error)

    async def _end(self, turn: Turn, relay: Relay) -> None:
        """End a client's stream as the upstream's ended."""
        record, error, collector = turn.record, relay.error, relay.collector
        if error is not None:
            record.status, record.error = shape_of(error).status, type(error).__name__
            if not collector.has_error:  # else the upstream's own error event has told the client
                await turn.client.write(turn.endpoint.error_event(error, after=collector.last))
        await turn.client.end()
        record.is_success = error is None

    # ------------------------------------------------------------------ tokens and money

    async def _recount(self, record: Record, request: Request, counted_for: str, model: str) -> None:
        """The prompt as `model` counts it, which may be otherwise than the one that it was `counted_for`."""
        if not count_alike(counted_for, model):
            record.estimate = await self.counter.estimate(request, model)

    def _demand(
        self, record: Record, request: Request, decision: Decision, *, may_be_cheap: bool, is_background: bool
    ) -> Demand:
        """The most that the request may use: its prompt and all it may generate, at the dearest of its targets."""
        assert record.estimate is not None
        prompt, completion = record.estimate.prompt_tokens, record.estimate.completion_tokens
        if completion is None:
            limits = [self.prices.limits(target).completion for target in decision.targets]
            known = [limit for limit in limits if limit is not None]
            completion = max(known) if len(known) == len(limits) else None
        rates = [self.prices.rates(target) for target in decision.targets]
        unpriced = next(
            (target.model for target, rate in zip(decision.targets, rates, strict=True) if rate is None), None
        )
        priced = [rate for rate in rates if rate is not None]
        most = partial(most_nanousd, service_tier=word(request.fields.get("service_tier")))
        return Demand(
            tokens=None if completion is None else prompt + completion,
            nanousd=max((most(prompt, completion or 0, rate) for rate in priced), default=0),
            prompt_tokens=prompt,
            prompt_nanousd=max((most(prompt, 0, rate) for rate in priced), default=0),
            unpriced=unpriced,
            may_be_cheap=may_be_cheap,
            is_background=is_background,
        )

    def _demand_price(self, target: Target) -> None:
        if self.unknown_price == "reject" and self.prices.rates(target) is None:
            raise PriceUnknown(target.model)

    async def _charge(self, record: Record, request: Request, transcript: Transcript) -> None:
        """Book what an answer used: as the upstream reported it, else as we count it."""
        record.finish_reason = transcript.finish_reason
        if record.decision is not None and record.decision.is_shadowed and transcript.is_complete:
            record.answer = transcript.body
        if record.decision is not None and record.target is not None:
            await self._recount(record, request, record.decision.targets[0].model, record.target.model)
        if transcript.usage is not None:
            book(record, transcript.usage, self.prices, source="computed")
            return
        output = 0
        if transcript.completion_text and record.target is not None:
            output = await self.counter.count_text(transcript.completion_text, record.target.model)
        book(record, Usage(_prompt_tokens(record), output), self.prices, source="estimated")

    def _book_prompt(self, record: Record) -> None:
        """An upstream had the request when its answer was given up: it will bill the prompt at least."""
        record.target = record.attempts[-1].target
        book(record, Usage(_prompt_tokens(record), 0), self.prices, source="estimated")

    # ------------------------------------------------------------------ to the client

    async def _answer(self, turn: Turn, status: int, headers: Pairs, body: bytes) -> None:
        turn.record.status = status
        await turn.client.answer(status, self._with_ours(turn.record, headers), body)

    async def _begin(self, turn: Turn, status: int, headers: Pairs) -> None:
        turn.record.status = status
        await turn.client.begin(status, self._with_ours(turn.record, headers))

    def _with_ours(self, record: Record, headers: Pairs) -> Pairs:
        record.first_byte_s = self.clock.monotonic() - record.started_s
        return [*headers, *wire_headers.from_record(record)]


async def _break_off(turn: Turn, error: GatewayError) -> None:
    """End a stream that has begun: one error event and no `[DONE]`."""
    await turn.client.write(turn.endpoint.error_event(error, after=b""))
    await turn.client.end()


def _cache_status(record: Record, *, is_stored: bool) -> Pairs:
    return forward_headers(record.cache, record.cache_detail, is_stored=is_stored)


def _stream_cap(record: Record, completion_tokens: int) -> int:
    """The most tokens of a stream. Where our count of another vendor's model is a guess, a quarter more than were
    reserved: what its upstream counts as within the limit must not be cut."""
    is_guess = record.estimate is None or record.estimate.kind == "bound"
    return completion_tokens + (completion_tokens // 4 if is_guess else 0)


def _prompt_tokens(record: Record) -> int:
    return record.estimate.prompt_tokens if record.estimate is not None else 0
