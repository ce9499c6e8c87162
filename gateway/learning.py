"""How the classifier learns from a route's own traffic: explored decisions, shadow calls, and what clients say.

A *shadow call* sends a request that one tier has answered to the other one as well, and has the two answers compared.
It runs aside, a few at a time, within a budget of its own; the client never waits for it nor sees it, and nobody's key
pays for it. It is booked like any call, under the key `shadow` and the reason `shadow`. In the *exploration slice* a
coin decides the tier, so that feedback on those answers says something about both.
"""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Self

from gateway.accounting.opinions import Opinions
from gateway.accounting.prices import PriceTable
from gateway.accounting.today import SpentToday
from gateway.auth.identify import Identifier, credential_in
from gateway.cache.key import bypass_reason
from gateway.clock import Clock
from gateway.config.model import Config, Route, Shadow, Tier, Upstream
from gateway.errors import BadRequest, DatabaseError, GatewayError, NotFound
from gateway.exchange import Headers
from gateway.record import Record
from gateway.routing import judges
from gateway.routing.judges import Scores
from gateway.routing.labels import Labels
from gateway.routing.router import Router
from gateway.routing.samples import KEPT_CHARS, Sample
from gateway.steps.own_calls import OwnCall, OwnCalls
from gateway.upstream.call import Upstreams
from gateway.value import value
from gateway.values import NANO, Caller, Decision, Question, Request, Target
from gateway.wire import json_bytes
from gateway.wire.chat import Chat
from gateway.wire.endpoint import Endpoint
from gateway.wire.headers import is_request_id
from gateway.wire.outgoing import outgoing_body

log = logging.getLogger(__name__)

COIN = 0.5
"""Chance of the cheap tier in the exploration slice."""
KIND = "shadow"
WAITING = 32
"""Shadow calls that may wait for their turn, of each route; what comes beyond is left out."""
MAX_BYTES = 1 << 20
"""Request and answer together; 32 MB for all that wait on a route."""
CALL_S = 120.0
MAX_COMMENT = 2_000
_MAX_FEEDBACK = 16_384
_JUDGE_TOKENS = 512
"""Room for a judge model that thinks before it says its word."""
_OTHER: dict[str, Tier] = {"cheap": "expensive", "expensive": "cheap"}


@value
class _Job:
    """An answered request that the other tier is to answer too."""

    route: Route
    shadow: Shadow
    endpoint: Endpoint
    request: Request
    question: Question
    key_name: str
    request_id: str
    decision: Decision
    answer: bytes


class Learning:
    """An async context manager. Without a label store nothing is explored or shadowed, and feedback is refused."""

    def __init__(
        self,
        config: Config,
        router: Router,
        labels: Labels | None,
        identifier: Identifier,
        upstreams: Upstreams,
        prices: PriceTable,
        clock: Clock,
        observe: Callable[[Record], None],
        chance: Callable[[], float] = random.random,
        opinions: Opinions | None = None,
    ) -> None:
        self._router = router
        self._labels = labels
        self._opinions = opinions
        self._identifier = identifier
        self._upstreams = upstreams
        self._calls = OwnCalls(KIND, upstreams, prices, clock, self._observe_call)
        self._observe = observe
        self._chance = chance
        learning = [route for route in config.routes if route.tier == "auto" and labels is not None]
        self._routes = {
            route.name: route for route in learning if route.router.shadow is not None or route.router.explore
        }
        self._queues: dict[str, asyncio.Queue[_Job]] = {name: asyncio.Queue(WAITING) for name in self._routes}
        self._spent = SpentToday(clock, self._ask_spent)
        """By route."""
        self._tasks: list[asyncio.Task[None]] = []
        self.shadows: Counter[tuple[str, ...]] = Counter()
        """(route, result) of shadow calls: judged, unjudged, failed, no_budget, crowded, too_large."""
        self.feedbacks: Counter[tuple[str, ...]] = Counter()
        """(opinion,) of feedback: up, down, neutral."""

    async def __aenter__(self) -> Self:
        for name, route in self._routes.items():
            for number in range(route.router.shadow.concurrent if route.router.shadow else 0):
                work = self._work(self._queues[name])
                self._tasks.append(asyncio.create_task(work, name=f"shadow calls of {name} {number}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ on a request's way

    def plan(self, caller: Caller, route: Route, decision: Decision) -> Decision:
        """`decision`, or what exploration makes of it; marked if its answer is to be compared with the other tier's."""
        if route.name not in self._routes or decision.reason != "classifier":
            return decision
        policy = route.router
        if policy.explore and self._chance() < policy.explore:
            tier: Tier = "cheap" if self._chance() < COIN else "expensive"
            decision = replace(decision, targets=self._router.tiers[tier], tier=tier, reason="explore")
        is_ours = not caller.has_own_credentials  # else we have none to call with
        if policy.shadow is not None and is_ours and self._chance() < policy.shadow.share:
            decision = replace(decision, is_shadowed=True)
        return decision

    def offer(self, endpoint: Endpoint, request: Request, route: Route, record: Record) -> None:
        """An upstream has answered; never waits, never raises."""
        decision, shadow, caller = record.decision, route.router.shadow, record.caller
        if route.name not in self._routes or decision is None or caller is None or not record.is_success:
            return
        if decision.reason == "explore":
            self._keep(route, endpoint.question(request), record.request_id, caller.name, decision.tier, COIN)
        if not decision.is_shadowed or shadow is None or record.answer is None:
            return
        if bypass_reason(request) is not None:  # it changes something at the upstream, which must not happen twice
            return
        if len(request.body) + len(record.answer) > MAX_BYTES:
            self.shadows[route.name, "too_large"] += 1
            return
        question = endpoint.question(request)
        job = _Job(
            *(route, shadow, endpoint, request, question),
            *(caller.name, record.request_id, decision, record.answer),
        )
        try:
            self._queues[route.name].put_nowait(job)
        except asyncio.QueueFull:
            self.shadows[route.name, "crowded"] += 1

    def _keep(
        self, route: Route, question: Question, request_id: str, key_name: str, tier: str, propensity: float | None
    ) -> None:
        assert self._labels is not None
        features, probability = self._router.sample_of(route, question)
        text = question.text[:KEPT_CHARS].replace("\0", "") if route.router.keep_text else None
        self._labels.sample(
            Sample(
                *(request_id, self._labels.now_ms, key_name, route.name, tier),
                *(probability, propensity, features, text),
            )
        )

    # ------------------------------------------------------------------ shadow calls

    async def _work(self, queue: asyncio.Queue[_Job]) -> None:
        while True:
            job = await queue.get()
            try:
                result = await self._compare(job)
            except (GatewayError, DatabaseError, TimeoutError) as error:
                log.debug("a shadow call of route %s failed: %s", job.route.name, type(error).__name__)
                result = "failed"
            except Exception:  # this task must go on
                log.exception("a shadow call of route %s failed", job.route.name)
                result = "failed"
            self.shadows[job.route.name, result] += 1

    async def _compare(self, job: _Job) -> str:
        """Have the other tier answer and the two compared; how that went, for the metric."""
        assert self._labels is not None
        if await self._spent.of(job.route.name) >= job.shadow.usd_per_day * NANO:
            return "no_budget"
        tier = _OTHER[job.decision.tier]
        body = partial(outgoing_body, job.endpoint, _whole(job.request))
        other = await self._call(job, job.endpoint, self._router.tiers[tier], tier, body)
        first, second = job.endpoint.read(job.answer), job.endpoint.read(other)
        if first is None or second is None:
            return "unjudged"
        texts = {job.decision.tier: job.endpoint.generated_text([first]), tier: job.endpoint.generated_text([second])}
        scores = await self._judge(job, texts["cheap"], texts["expensive"])
        if scores is None:
            return "unjudged"
        weak, strong = scores
        self._keep(job.route, job.question, job.request_id, job.key_name, job.decision.tier, propensity=None)
        self._labels.outcome(job.request_id, job.shadow.judge, weak, strong)
        probability = job.decision.probability
        if probability is not None:
            self._router.learned(job.route.name, probability, (1 + strong - weak) / 2)
        return "judged"

    async def _call(
        self,
        job: _Job,
        endpoint: Endpoint,
        targets: tuple[Target, ...],
        tier: str,
        body: Callable[[Target, Upstream], bytes],
    ) -> bytes:
        """The whole answer. Raises UpstreamError, and NotFound for an answer that is none."""
        call = OwnCall(job.request_id, job.route.name, endpoint, targets, body, KIND, CALL_S, tier=tier)
        return await self._calls.ask(call)

    def _observe_call(self, record: Record) -> None:
        if record.cost is not None and record.route is not None:
            self._spent.add(record.route, record.cost.nanousd)
        self._observe(record)

    async def _ask_spent(self, route: str, _: int) -> int:
        assert self._labels is not None
        return await self._labels.spent_today(route)

    async def _judge(self, job: _Job, cheap: str, expensive: str) -> Scores | None:
        if job.shadow.judge == "agreement":
            return judges.agreement(cheap, expensive)
        if job.shadow.judge == "similarity":
            return judges.similarity(cheap, expensive)
        if job.shadow.judge == "schema":
            fields = job.request.fields
            text = fields.get("text")
            wanted = fields.get("response_format") or (text.get("format") if isinstance(text, Mapping) else None)
            return judges.schema(cheap, expensive, wanted)
        votes = [await self._vote(job, cheap, expensive), await self._vote(job, expensive, cheap)]
        return judges.from_votes(*votes)

    async def _vote(self, job: _Job, first: str, second: str) -> float | None:
        target = Target.parse(job.shadow.judge_model or "")
        field = self._upstreams.clients[target.upstream].config.completion_field
        messages = judges.judge_messages(job.question.text, first, second)
        body = json_bytes.dumps({"model": target.model, "messages": messages, field: _JUDGE_TOKENS})
        chat = Chat()
        reply = chat.read(await self._call(job, chat, (target,), "none", lambda *_: body))
        return None if reply is None else judges.read_vote(chat.generated_text([reply]))

    # ------------------------------------------------------------------ feedback

    def feedback(self, headers: Headers, body: bytes) -> dict[str, Any]:
        """Take what a client thinks of an answer. Raises BadRequest for what is not understood, NotFound where nothing
        is kept; an id that is not of an answer to learn from is accepted and makes no difference."""
        caller = self._identifier.identify(credential_in(headers))
        if self._labels is None:
            raise NotFound("Feedback is not kept here: the gateway has no ledger.")
        fields = json_bytes.object_in(body) if len(body) <= _MAX_FEEDBACK else None
        if fields is None:
            raise BadRequest("Expected a JSON object with 'id' and 'score', of 16 KB at most.")
        request_id, score, comment = fields.get("id"), fields.get("score"), fields.get("comment")
        if not isinstance(request_id, str) or not is_request_id(request_id):
            raise BadRequest("'id' must be the x-request-id of an answer.", param="id")
        if isinstance(score, bool) or not isinstance(score, int | float) or not -1 <= score <= 1:
            raise BadRequest("'score' must be a number from -1 (bad) to 1 (good).", param="score")
        if comment is not None and not (isinstance(comment, str) and len(comment) <= MAX_COMMENT):
            raise BadRequest(f"'comment' must be a string of at most {MAX_COMMENT:,} characters.", param="comment")
        self._labels.feedback(request_id, caller.name, float(score), _storable(comment))
        if self._opinions is not None:
            self._opinions.take(request_id, caller.name, float(score), _storable(comment))
        self.feedbacks["up" if score > 0 else "down" if score < 0 else "neutral",] += 1
        return {"object": "feedback", "id": request_id, "score": score}


def _whole(request: Request) -> Request:
    """`request` for an answer that is no stream."""
    edits: dict[str, Any] = dict(request.edits)
    edits |= {name: value for name, value in (("stream", False), ("stream_options", None)) if name in request.fields}
    return replace(request, is_stream=False, edits=edits, derived={})


def _storable(comment: str | None) -> str | None:
    """Postgres takes neither NUL nor lone surrogates."""
    return None if comment is None else comment.replace("\0", "").encode(errors="replace").decode()
