"""Shadow versions of prompts: rendered and sent beside the version that a client gets, and shown to nobody.

    answered by a model ─ a share of them ─► a short queue ─► rendered anew ─ routed, capped ─► called, booked
                                              (a few at once)                 within a day's budget

The client never waits for it, and nobody's key pays. It is booked under the endpoint `shadow` with the prompt and the
version it was made from, which is where `gateway prompts compare` finds it.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Self

from gateway.accounting.prices import PriceTable
from gateway.accounting.today import AskLedger, SpentToday
from gateway.cache.key import bypass_reason
from gateway.clock import Clock
from gateway.config.model import Route
from gateway.errors import BadRequest, DatabaseError, GatewayError
from gateway.prompts.document import Shadow
from gateway.prompts.version import Prompt, Version
from gateway.record import Record
from gateway.routing.match import RouteTable
from gateway.routing.router import Router
from gateway.steps.named import Named
from gateway.steps.own_calls import OwnCall, OwnCalls
from gateway.steps.prompted import Prompted
from gateway.steps.turn import Turn
from gateway.tokens.apply import apply, enforce_prompt
from gateway.tokens.count import TokenCounter
from gateway.value import value
from gateway.values import NANO, Caller, Decision, Request
from gateway.wire.endpoint import Endpoint
from gateway.wire.outgoing import outgoing_body
from gateway.wire.reader import Reader
from gateway.wire.splice import splice

log = logging.getLogger(__name__)

KIND = "shadow"
AT_ONCE = 4
WAITING = 64
"""Beyond them an answer is not shadowed."""
MAX_BYTES = 1 << 20
"""Of a request that waits; 64 MB for all."""
CALL_S = 120.0

SPENT = "SELECT COALESCE(SUM(cost_nanousd), 0) FROM ledger WHERE at_ms >= $1 AND prompt = $2 AND endpoint = 'shadow'"
"""By the ledger, of all processes."""


@value
class _Job:
    endpoint: Endpoint
    named: Named
    prompt: Prompt
    version: Version
    usd_per_day: float
    request_id: str
    caller: Caller
    wanted_route: str | None
    route: Route
    decision: Decision
    model: str
    """That the client's request was sent to, by the name it was asked for."""


@value
class Means:
    """What a shadow call goes through, as a request does."""

    prompted: Prompted
    reader: Reader
    routes: RouteTable
    router: Router
    counter: TokenCounter
    prices: PriceTable
    calls: OwnCalls


class PromptShadows:
    """An async context manager."""

    def __init__(
        self, means: Means, clock: Clock, ask_spent: AskLedger, chance: Callable[[], float] = random.random
    ) -> None:
        self._means = means
        self._clock = clock
        self._spent = SpentToday(clock, ask_spent)
        self._chance = chance
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(WAITING)
        self._tasks: list[asyncio.Task[None]] = []
        self.results: Counter[tuple[str, ...]] = Counter()
        """(result,): answered, failed, unusable, stateful, no_price, no_budget, crowded, too_large."""

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(self._work(), name=f"shadow calls of prompts {number}") for number in range(AT_ONCE)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ on a request's way

    def offer(self, turn: Turn, request: Request, route: Route, decision: Decision) -> None:
        """An upstream has answered a request that was made from a prompt; never waits, never raises."""
        record, beside = turn.record, turn.beside
        if beside is None or beside.prompt.shadow is None or not record.is_success or record.caller is None:
            return
        shadow, version = beside.prompt.shadow, _other(beside.prompt, beside.prompt.shadow, record.prompt_version)
        if version is None or record.caller.has_own_credentials or self._chance() >= shadow.share:
            return
        if len(beside.named.body) > MAX_BYTES:
            self.results["too_large",] += 1
            return
        job = _Job(
            endpoint=turn.endpoint,
            named=beside.named,
            prompt=beside.prompt,
            version=version,
            usd_per_day=shadow.usd_per_day,
            request_id=record.request_id,
            caller=record.caller,
            wanted_route=turn.incoming.headers.get("x-gateway-route"),
            route=route,
            decision=decision,
            model=request.model,
        )
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            self.results["crowded",] += 1

    # ------------------------------------------------------------------ beside it

    async def _work(self) -> None:
        while True:
            job = await self._queue.get()
            try:
                result = await self._answer(job)
            except BadRequest as error:  # this version wants other variables, or is over its budget with these
                log.debug("version %d of %s has no shadow: %s", job.version.number, job.prompt.name, error.code)
                result = "unusable"
            except (GatewayError, DatabaseError, TimeoutError) as error:
                log.debug("a shadow call of %s failed: %s", job.prompt.name, type(error).__name__)
                result = "failed"
            except Exception:  # this task must go on
                log.exception("a shadow call of %s failed", job.prompt.name)
                result = "failed"
            self.results[result,] += 1

    async def _answer(self, job: _Job) -> str:
        """How it went, for the metric."""
        if await self._spent.of(job.prompt.name) >= job.usd_per_day * NANO:
            return "no_budget"
        means, scratch = self._means, Record(job.request_id, KIND, self._clock.wall(), self._clock.monotonic())
        body = await means.prompted.body_of(job.named, job.prompt, job.version, scratch)
        body = _alone(body, means.reader.fields(body), job.endpoint.name)
        request = means.reader.read(job.endpoint, body)
        if bypass_reason(request) is not None:  # it changes something at the upstream, which must not happen twice
            return "stateful"
        route, decision = self._decide(job, request)
        target = decision.targets[0]
        if means.prices.rates(target) is None:  # no budget would ever end it
            return "no_price"
        counting_model = means.router.counting_model(route, request.model)
        applied = await apply(request, route.tokens, means.counter, model=counting_model)
        await enforce_prompt(applied, route.tokens, means.counter, model=counting_model, route=route.name)
        await means.calls.ask(
            OwnCall(
                request_id=job.request_id,
                route=route.name,
                endpoint=job.endpoint,
                targets=(target,),
                body=partial(outgoing_body, job.endpoint, applied.request),
                reason=KIND,
                timeout_s=CALL_S,
                prompt=job.prompt.name,
                prompt_version=job.version.number,
            )
        )
        return "answered"

    def _decide(self, job: _Job, request: Request) -> tuple[Route, Decision]:
        """Where the client's own went; elsewhere only where this version names another model."""
        if request.model == job.model:
            return job.route, job.decision
        means = self._means
        route = means.routes.match(request.model, request.endpoint, job.caller, named=job.wanted_route)
        question = job.endpoint.question(request) if route.tier == "auto" else None
        return route, means.router.decide(route, model=request.model, question=question, forced=None)

    def observe(self, record: Record) -> None:
        """To be told of every shadow call that was made, its cost among it."""
        if record.prompt is not None and record.cost is not None:
            self._spent.add(record.prompt, record.cost.nanousd)


def _other(prompt: Prompt, shadow: Shadow, answered: int) -> Version | None:
    """The shadow's version, unless it is the one that the client got."""
    return None if shadow.version == answered else prompt.versions.get(shadow.version)


def _alone(body: bytes, fields: Mapping[str, Any], endpoint: str) -> bytes:
    """`body` for a whole answer that nobody keeps: OpenAI stores responses unless it is told not to."""
    changed: dict[str, Any] = {"stream": False} if "stream" in fields else {}
    changed |= {"stream_options": None} if "stream_options" in fields else {}
    changed |= {"store": False} if endpoint == "responses" or "store" in fields else {}
    return splice(body, fields, changed) if changed else body
