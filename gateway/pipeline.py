"""The way of one request, top to bottom. The only file that tells the order.

    identify → parse → match a route → cap → count → decide → look up ─┬─ hit ──── admit ─ replay
              (or render a prompt)                                      ├─ follow ─ read along
                                                                        └─ miss ─── admit ─┬─ alike ─ replay
                                                                                           └─ else ── call ─ relay
    where it was admitted: settle what was used
    where a model answered: offer it to waste watch, learning and shadows
    whatever happened: one record → metrics, ledger, log and spans

Capabilities know nothing of one another; values go from one to the next here, and in `steps/` where a
step takes several of them. The `Record` is written only here and there (`upstream` fills its attempts),
and is complete when `serve` returns or raises.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from gateway.admission.admit import HIT, NOTHING, Admission, CheapWanted
from gateway.auth.identify import Identifier, credential_in
from gateway.cache.lookup import Follow, Hit
from gateway.clock import Clock
from gateway.config.model import Route
from gateway.errors import UpstreamError
from gateway.exchange import Client, Headers, Incoming
from gateway.learning import Learning
from gateway.record import Record
from gateway.routing.match import RouteTable
from gateway.routing.router import Router
from gateway.steps.books import Books
from gateway.steps.ending import see_through
from gateway.steps.forward import Forwarder
from gateway.steps.kept import Kept
from gateway.steps.prompt_shadows import PromptShadows
from gateway.steps.prompted import Prompted
from gateway.steps.turn import Turn
from gateway.tokens.apply import apply, enforce_prompt
from gateway.tokens.count import TokenCounter
from gateway.tokens.lengths import Lengths
from gateway.tokens.watch import WasteWatch
from gateway.values import Decision, Request, Trace
from gateway.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Everything a request meets, built by `app.py` from one configuration."""

    identifier: Identifier
    prompted: Prompted
    routes: RouteTable
    counter: TokenCounter
    router: Router
    kept: Kept
    admission: Admission
    forwarder: Forwarder
    books: Books
    lengths: Lengths
    waste: WasteWatch
    learning: Learning
    shadows: PromptShadows
    clock: Clock
    observe: Callable[[Record], None]
    """Told of every finished record: metrics, ledger, log and spans."""
    begin_trace: Callable[[Headers], Trace | None] | None
    """Whether a request is sampled; None without tracing."""

    async def serve(self, endpoint: Endpoint, incoming: Incoming, client: Client) -> None:
        """Answer one request, whatever happens; raises only CancelledError."""
        record = Record(incoming.request_id, endpoint.name, self.clock.wall(), incoming.received_s)
        turn = Turn(endpoint, incoming, client, record, self.clock)
        await see_through(
            self._serve(turn), client, record, break_off=turn.break_off, clock=self.clock, observe=self.observe
        )

    async def _serve(self, turn: Turn) -> None:
        headers, record = turn.incoming.headers, turn.record
        caller = record.caller = self.identifier.identify(turn.incoming.once(credential_in))
        if self.begin_trace is not None:  # not before: whoever has no key must not fill the collector
            record.trace = self.begin_trace(headers)
        request = self.prompted.unprompted(turn)
        if request is None:
            turn, request = await self.prompted.rendered(turn)
        record.is_stream = request.is_stream
        route = self.routes.match(request.model, request.endpoint, caller, named=headers.get("x-gateway-route"))
        record.route = route.name
        record.step, record.probes = self.admission.state(caller, route.name)
        counting_model = self.router.counting_model(route, request.model)
        request = await self._apply_policy(record, request, route, counting_model)
        question = request.once(turn.endpoint.question) if route.tier == "auto" else None
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
        record.context = self.books.prices.limits(decision.targets[0]).context
        await self.books.recount(record, request, counting_model, decision.targets[0].model)
        self.books.demand_price(decision.targets[0])
        found = await self.kept.look_up(turn, request, route, decision)
        if isinstance(found, Hit):
            async with self.admission.admit(record.caller, route.name, HIT, record.standing):
                await self.kept.replay(turn, request, route, found)
            return
        if isinstance(found, Follow):
            if await self.kept.follow(turn, request, route, found.flight):
                return
            found = None
        flight = None if found is None else found.flight
        with flight or nullcontext():  # from here on nobody who follows waits in vain
            demand = NOTHING
            if self.admission.applies(record.caller, route.name):
                is_background = turn.endpoint.is_background(request)
                assert record.estimate is not None
                demand = self.books.demand(
                    record.estimate, request, decision, may_be_cheap=may_be_cheap, is_background=is_background
                )
            if record.step == "cache_only":
                raise self.admission.too_fast(record.caller, route.name)
            async with self.admission.admit(record.caller, route.name, demand, record.standing) as grant:
                try:
                    if found and found.asked and await self.kept.give_alike(turn, request, decision, found):
                        return
                    await self.forwarder.forward(turn, request, route, decision, found, grant)
                    self.waste.offer(record, request)
                    self.learning.offer(turn.endpoint, request, route, record)
                    self.shadows.offer(turn, request, route, decision)
                except UpstreamError:
                    if not await self.kept.give_stale(turn, request, found):
                        raise
                finally:  # also when the client left: what was used is in the record by then
                    self.books.settle(grant, record)
