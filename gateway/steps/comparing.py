"""Whether what a semantic hit serves is what the model would have said: pairs of answers, judged aside, and counted."""

import asyncio
import logging
from collections import Counter

from gateway.cache.semantic import SemanticIndex
from gateway.cache.tally import Tally
from gateway.config.model import Semantic as Policy
from gateway.errors import GatewayError
from gateway.routing import judges
from gateway.steps.own_calls import OwnCall, OwnCalls
from gateway.value import value
from gateway.values import NANO, Target
from gateway.wire import json_bytes
from gateway.wire.chat import Chat
from gateway.wire.endpoint import Endpoint

log = logging.getLogger(__name__)

_WAITING = 32
"""Comparisons that may wait for their turn; what comes beyond is left out."""
_MAX_BYTES = 1 << 20
"""Both answers of a comparison together."""
_JUDGE_S = 60.0
_JUDGE_TOKENS = 512
"""Room for a judge model that thinks before it says its word."""
JUDGE = "judge"


@value
class Pair:
    route: str
    policy: Policy
    endpoint: Endpoint
    request_id: str
    question: str
    served: bytes
    """What a hit would have been."""
    fresh: bytes


class Comparing:
    """`run` compares what was offered, one pair after the other."""

    def __init__(self, index: SemanticIndex, calls: OwnCalls) -> None:
        self._index = index
        self._calls = calls
        self._pairs: asyncio.Queue[Pair] = asyncio.Queue(_WAITING)
        self.checks: Counter[tuple[str, ...]] = Counter()
        """(route, result): same, different, unjudged, no_budget, crowded, too_large."""

    def offer(self, pair: Pair) -> None:
        """Never waits, never raises."""
        if len(pair.served) + len(pair.fresh) > _MAX_BYTES:
            self.checks[pair.route, "too_large"] += 1
            return
        try:
            self._pairs.put_nowait(pair)
        except asyncio.QueueFull:
            self.checks[pair.route, "crowded"] += 1

    async def run(self) -> None:
        while True:
            pair = await self._pairs.get()
            result = "unjudged"
            try:
                result = await self._judge(pair)
            except GatewayError as error:
                log.debug("a judge of route %s failed: %s", pair.route, type(error).__name__)
            except Exception:  # this task must go on
                log.exception("a comparison of route %s failed", pair.route)
            self.checks[pair.route, result] += 1
            if result in ("same", "different"):
                self._count(pair, is_wrong=result == "different")

    def tally(self, route: str, policy: Policy) -> Tally:
        return self._index.tally(route, policy, least=policy.least_checks, most_wrong=policy.max_wrong)

    def _count(self, pair: Pair, *, is_wrong: bool) -> None:
        tally = self.tally(pair.route, pair.policy)
        if not tally.add(is_wrong=is_wrong):
            return
        low, high = tally.interval()
        told = (pair.route, tally.wrong, tally.checks, low, high)
        if tally.state == "closed":
            self._index.closed(pair.route)
            log.warning(
                "semantic cache of route %s: closed itself, %d of %d compared answers were wrong (95%%: %.3f to %.3f);"
                " `gateway cache reopen` puts it on trial again",
                *told,
            )
        else:
            log.info(
                "semantic cache of route %s: open, %d of %d compared answers were wrong (95%%: %.3f to %.3f)", *told
            )

    async def _judge(self, pair: Pair) -> str:
        answers = [pair.endpoint.read(body) for body in (pair.served, pair.fresh)]
        served, fresh = ("" if answer is None else pair.endpoint.generated_text([answer]) for answer in answers)
        if pair.policy.judge == "agreement":
            is_same = judges.agreement(served, fresh)[0] > 0
        elif pair.policy.judge == "similarity":
            is_same = judges.similarity(served, fresh)[0] >= pair.policy.same_from
        else:
            if self._calls.spent_today(pair.route, JUDGE) >= pair.policy.judge_usd_per_day * NANO:
                return "no_budget"
            votes = [await self._vote(pair, served, fresh), await self._vote(pair, fresh, served)]
            scores = judges.from_votes(*votes)
            if scores is None:
                return "unjudged"
            is_same = scores[0] >= scores[1]
        return "same" if is_same else "different"

    async def _vote(self, pair: Pair, first: str, second: str) -> float | None:
        target = Target.parse(pair.policy.judge_model or "")
        chat, field = Chat(), self._calls.upstreams.clients[target.upstream].config.completion_field
        messages = judges.judge_messages(pair.question, first, second)
        body = json_bytes.dumps({"model": target.model, "messages": messages, field: _JUDGE_TOKENS})
        call = OwnCall(pair.request_id, pair.route, chat, (target,), lambda *_: body, JUDGE, _JUDGE_S)
        reply = chat.read(await self._calls.ask(call))
        return None if reply is None else judges.read_vote(chat.generated_text([reply]))
