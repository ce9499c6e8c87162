"""Calls that the gateway makes of itself, beside those of its clients: booked like any other, paid by nobody's key."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from multidict import CIMultiDict

from gateway.accounting.book import book
from gateway.accounting.prices import PriceTable
from gateway.clock import Clock
from gateway.config.model import Upstream
from gateway.errors import NotFound, UpstreamTimeout
from gateway.record import Record
from gateway.upstream.call import Answer, Outgoing, Upstreams
from gateway.upstream.collect import read_answer
from gateway.value import value
from gateway.values import Caller, Decision, Target, Usage
from gateway.wire.endpoint import Endpoint

_DAY_S = 86_400
_BYTES_PER_TOKEN = 4
"""Of English, roughly: for a call that was given up, and whose usage nobody reported."""


@value
class OwnCall:
    request_id: str
    """Of the request it is made for."""
    route: str
    endpoint: Endpoint
    targets: tuple[Target, ...]
    """Asked in this order, as those of a client's request are."""
    body: Callable[[Target, Upstream], bytes]
    reason: str
    """A metric label, and the end of its own id."""
    timeout_s: float
    tier: str = "none"
    prompt: str | None = None
    """What it was rendered from, and which version."""
    prompt_version: int = 0


@dataclass(frozen=True, slots=True)
class OwnCalls:
    kind: str
    """What they are booked under: the endpoint and the key."""
    upstreams: Upstreams
    prices: PriceTable
    clock: Clock
    observe: Callable[[Record], None]
    _spent: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """Route and reason → a day of the UTC calendar, and nano-dollars spent on it by this process."""

    async def ask(self, call: OwnCall) -> bytes:
        """The answer's body. Raises UpstreamError, UpstreamTimeout after its time too, and NotFound for an answer that
        is none or not whole. A try that runs out of time counts against the target's breaker."""
        record = Record(
            f"{call.request_id}-{call.reason}", self.kind, self.clock.wall(), self.clock.monotonic(), route=call.route
        )
        record.caller, record.decision = Caller(self.kind), Decision(call.targets, call.tier, call.reason)
        record.prompt, record.prompt_version = call.prompt, call.prompt_version
        headers = CIMultiDict({"Content-Type": "application/json"})
        outgoing = Outgoing(call.endpoint, headers, call.body, is_stream=False, owner=self.kind)
        try:
            async with asyncio.timeout(call.timeout_s):
                answer = await self.upstreams.call(call.targets, outgoing, record.attempts)
            record.status = answer.status
            if not isinstance(answer, Answer) or answer.status != 200:
                raise NotFound("The model API gave no answer.")
            transcript = read_answer(call.endpoint, answer.body)
            record.is_success, record.finish_reason = transcript.is_complete, transcript.finish_reason
            self._book(record, call, answer.target, transcript.usage)
            if not transcript.is_complete:
                raise NotFound("The model API's answer is not whole.")
            return answer.body
        except TimeoutError:
            error = UpstreamTimeout("The model API did not answer in time.")
            if record.attempts:
                self.upstreams.broke_off(record.attempts[-1], error)
            raise error from None
        finally:
            if record.attempts and record.attempts[-1].is_given_up:  # it will be billed all the same
                self._book(record, call, record.attempts[-1].target, None)
            record.duration_s = self.clock.monotonic() - record.started_s
            self.observe(record)

    def is_up(self, target: Target) -> bool:
        return self.upstreams.health.is_up(target)

    def spent_today(self, route: str, reason: str) -> int:
        """Nano-dollars, by this process."""
        day, nanousd = self._spent.get((route, reason), (0, 0))
        return nanousd if day == self._today else 0

    @property
    def _today(self) -> int:
        return int(self.clock.wall() // _DAY_S)

    def _book(self, record: Record, call: OwnCall, target: Target, usage: Usage | None) -> None:
        record.target = target
        if usage is not None:
            book(record, usage, self.prices, source="computed")
        else:
            sent = call.body(target, self.upstreams.clients[target.upstream].config)
            book(record, Usage(len(sent) // _BYTES_PER_TOKEN, 0), self.prices, source="estimated")
        if record.cost is not None:
            spent = self.spent_today(call.route, call.reason)
            self._spent[call.route, call.reason] = (self._today, spent + record.cost.nanousd)
