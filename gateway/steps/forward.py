"""Having an answer made: the call, its answer or stream on the way to the client, and what it used, booked."""

import asyncio
from dataclasses import dataclass, replace
from functools import partial

from gateway.accounting.cost import cost_nanousd
from gateway.admission.admit import Admission
from gateway.admission.keeper import Grant
from gateway.clock import Clock
from gateway.config.model import Route
from gateway.errors import UpstreamCut, UpstreamTimeout, UpstreamUnavailable
from gateway.exchange import Gone
from gateway.record import Record
from gateway.steps.books import Books, prompt_tokens
from gateway.steps.kept import Kept, Slot
from gateway.steps.taken_up import TakenUpStream, Wanted
from gateway.steps.turn import Turn
from gateway.upstream.call import Answer, EventStream, Outgoing, Upstreams
from gateway.upstream.collect import Collector, read_answer
from gateway.upstream.metered import MeteredCollector
from gateway.upstream.paced import PacedCollector, PacedMeteredCollector, pace_of
from gateway.upstream.relay import Relay
from gateway.value import value
from gateway.values import Decision, Request, Usage
from gateway.wire import headers as wire_headers
from gateway.wire.outgoing import outgoing_body
from gateway.wire.trace import traced

_STALE_IF = frozenset({500, 502, 503, 504})
"""Answers of an upstream that count as its failure (RFC 5861, 4)."""


@value
class Whole:
    """An answer that came whole, and what became of it."""

    answer: Answer
    is_stored: bool
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Forwarder:
    upstreams: Upstreams
    kept: Kept
    books: Books
    admission: Admission
    clock: Clock

    async def forward(
        self, turn: Turn, request: Request, route: Route, decision: Decision, slot: Slot | None, grant: Grant
    ) -> None:
        """Have the answer made, for all who wait for it, and give it to this client."""
        flight = None if slot is None else slot.flight
        making = self._make(turn, request, route, decision, slot, grant)
        made = await (making if flight is None else flight.fly(making))
        if flight is not None and flight.is_opener_gone:
            turn = replace(turn, client=Gone())
        if isinstance(made, Relay):
            await self._relay(turn, request, made, slot)
        else:
            await self._pass_on(turn, made)

    async def _make(
        self, turn: Turn, request: Request, route: Route, decision: Decision, slot: Slot | None, grant: Grant
    ) -> Relay | Whole:
        """A whole answer, accounted for and kept, or the beginning of a stream."""
        record = turn.record
        answer = await self._call(turn, request, decision)
        record.target = answer.target
        if isinstance(answer, EventStream):
            try:
                collector = await self._collector(turn, request, answer, grant, slot)
            except BaseException:
                answer.close()
                self.books.book_prompt(record)
                raise
            flight = None if slot is None else slot.flight
            stream: EventStream | TakenUpStream = answer
            if route.on_cut != "error" and turn.endpoint.name == "chat":
                wanted = Wanted(turn, request, route, decision, grant, partial(self._outgoing, turn))
                stream = TakenUpStream(answer, collector, wanted, self.upstreams, self.books, self.admission)
            relay = Relay(stream, collector, on_end=None if flight is None else flight.wake)
            if flight is not None:
                flight.carry(relay, partial(self._conclude, record, request, relay, slot), relay.stop)
            return relay
        if answer.status in _STALE_IF and self.kept.stale(slot) is not None:
            raise UpstreamUnavailable(f"The model API answered {answer.status}.")
        transcript = None
        if answer.status == 200:
            transcript = read_answer(turn.endpoint, answer.body)
            await self.books.charge(record, request, transcript)
        is_stored = self.kept.land(record, slot, transcript, answer)
        return Whole(answer, is_stored, is_complete=transcript is not None and transcript.is_complete)

    async def _call(self, turn: Turn, request: Request, decision: Decision) -> Answer | EventStream:
        record = turn.record
        outgoing = self._outgoing(turn, request)
        began = self.clock.monotonic()
        try:
            return await self.upstreams.call(decision.targets, outgoing, record.attempts)
        except (UpstreamTimeout, asyncio.CancelledError):
            if record.attempts[-1].is_given_up:
                self.books.book_prompt(record)
            raise
        finally:
            record.upstream_s += self.clock.monotonic() - began

    def _outgoing(self, turn: Turn, request: Request) -> Outgoing:
        record = turn.record
        headers = turn.incoming.once(wire_headers.to_upstream_as_ours)
        if record.caller is not None and record.caller.has_own_credentials:
            headers = wire_headers.to_upstream(turn.incoming.headers, own_credentials=True)
        if record.trace is not None:
            headers = traced(headers, record.trace)
        return Outgoing(
            endpoint=turn.endpoint,
            headers=headers,
            body=partial(outgoing_body, turn.endpoint, request),
            is_stream=request.is_stream,
            owner=record.caller.name if record.caller is not None else "",
        )

    async def _pass_on(self, turn: Turn, made: Whole) -> None:
        """Send a whole answer on as it came."""
        record, answer = turn.record, made.answer
        headers = [
            *wire_headers.to_client(answer.headers, are_limits_ours=bool(record.standing)),
            *turn.cache_status(is_stored=made.is_stored),
        ]
        await turn.answer(answer.status, headers, answer.body)
        record.is_success = made.is_complete

    async def _collector(
        self, turn: Turn, request: Request, stream: EventStream, grant: Grant, slot: Slot | None
    ) -> Collector:
        """What looks at `stream` as it goes by; where a budget or a rate counts its tokens, no more than were reserved
        go by."""
        config = self.upstreams.clients[stream.target.upstream].config
        hide_usage = config.stream_usage and not request.wants_usage
        is_paced = slot is not None and slot.policy.replay == "original"
        if grant.completion_tokens is None:
            return (PacedCollector if is_paced else Collector)(turn.endpoint, hide_usage=hide_usage)
        prompt = prompt_tokens(turn.record)
        collector = (PacedMeteredCollector if is_paced else MeteredCollector)(
            turn.endpoint,
            hide_usage=hide_usage,
            cap=_stream_cap(turn.record, grant.completion_tokens),
            count=await self.books.counter.meter(stream.target.model),
            ending=lambda events, tokens: turn.endpoint.cut_short(
                events, choices=request.choices, usage=Usage(prompt, tokens), tells_usage=request.wants_usage
            ),
        )
        rates = self.books.prices.rates(stream.target)

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
                *turn.cache_status(is_stored=False),
            ]
            await turn.begin(relay.stream.status, headers)
            await relay.to(turn.client, hides_usage=relay.collector.hides_usage)
        except (ConnectionError, asyncio.CancelledError):
            if flight is not None:
                await flight.outstay(lambda: relay.is_over)
            raise
        finally:
            await (self._conclude(record, request, relay, slot) if flight is None else flight.conclude())
        await turn.end_as(relay)

    async def _conclude(self, record: Record, request: Request, relay: Relay, slot: Slot | None) -> None:
        """A stream is over, or nobody wants the rest: book it, and keep it if it is whole."""
        relay.stop()
        collector = relay.collector
        is_usable = relay.error is None and not relay.is_stopped
        is_wanted = slot is not None or (record.decision is not None and record.decision.is_shadowed)
        is_of_one_piece = not collector.is_cut and record.resumed is None
        transcript = collector.finish(want_body=is_usable and is_wanted and is_of_one_piece)
        if isinstance(relay.stream, TakenUpStream):
            await relay.stream.charge(transcript)
        else:
            await self.books.charge(record, request, transcript)
        record.is_cut = collector.is_cut
        if is_usable and not transcript.is_complete:
            relay.error = UpstreamCut("The model API ended its stream before the answer was complete.")
        elif is_usable:
            self.kept.land(record, slot, transcript, pace=pace_of(collector))
        if relay.error is not None:
            if record.attempts[-1].outcome == "ok":
                self.upstreams.broke_off(record.attempts[-1], relay.error)
            if slot is not None and slot.flight is not None:
                slot.flight.fail(relay.error)


def _stream_cap(record: Record, completion_tokens: int) -> int:
    """The most tokens of a stream. Where our count of another vendor's model is a guess, a quarter more than were
    reserved: what its upstream counts as within the limit must not be cut."""
    is_guess = record.estimate is None or record.estimate.kind == "bound"
    return completion_tokens + (completion_tokens // 4 if is_guess else 0)
