"""Calls that the gateway makes of itself, beside those of its clients: booked like any other, paid by nobody's key."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from multidict import CIMultiDict

from gateway.accounting.book import book
from gateway.accounting.prices import PriceTable
from gateway.clock import Clock
from gateway.errors import NotFound, UpstreamTimeout
from gateway.record import Record
from gateway.upstream.call import Answer, Outgoing, Upstreams
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
    target: Target
    body: bytes
    reason: str
    """A metric label, and the end of its own id."""
    timeout_s: float
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
        is none. A try that runs out of time counts against the target's breaker."""
        record = Record(
            f"{call.request_id}-{call.reason}", self.kind, self.clock.wall(), self.clock.monotonic(), route=call.route
        )
        record.caller, record.decision = Caller(self.kind), Decision((call.target,), "none", call.reason)
        record.prompt, record.prompt_version = call.prompt, call.prompt_version
        headers = CIMultiDict({"Content-Type": "application/json"})
        outgoing = Outgoing(call.endpoint, headers, lambda *_: call.body, is_stream=False, owner=self.kind)
        try:
            async with asyncio.timeout(call.timeout_s):
                answer = await self.upstreams.call((call.target,), outgoing, record.attempts)
            record.status = answer.status
            if not isinstance(answer, Answer) or answer.status != 200:
                raise NotFound("The model API gave no answer.")
            record.is_success = True
            self._book(record, call, answer.body)
            return answer.body
        except TimeoutError:
            error = UpstreamTimeout("The model API did not answer in time.")
            if record.attempts:
                self.upstreams.broke_off(record.attempts[-1], error)
            raise error from None
        finally:
            if record.attempts and record.attempts[-1].is_given_up:  # it will be billed all the same
                self._book(record, call, b"")
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

    def _book(self, record: Record, call: OwnCall, body: bytes) -> None:
        record.target = call.target
        answer = call.endpoint.read(body)
        usage = None if answer is None else call.endpoint.usage(answer)
        record.finish_reason = None if answer is None else call.endpoint.finish_reason(answer)
        if usage is not None:
            book(record, usage, self.prices, source="computed")
        else:
            book(record, Usage(len(call.body) // _BYTES_PER_TOKEN, 0), self.prices, source="estimated")
        if record.cost is not None:
            spent = self.spent_today(call.route, call.reason)
            self._spent[call.route, call.reason] = (self._today, spent + record.cost.nanousd)
