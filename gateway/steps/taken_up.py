"""A stream that was cut, taken up by another call: a further try of the same request, reserved and booked as one."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

from gateway.accounting.book import book
from gateway.admission.admit import NOTHING, Admission
from gateway.admission.keeper import Grant
from gateway.config.model import Route
from gateway.errors import GatewayError, UpstreamError
from gateway.steps.books import Books, prompt_tokens
from gateway.steps.turn import Turn
from gateway.upstream.call import EventStream, Outgoing, Upstreams
from gateway.upstream.collect import Collector, read_answer
from gateway.upstream.continued import ContinuedStream, Onward
from gateway.value import value
from gateway.values import Decision, Request, Transcript, Usage
from gateway.wire.continuing import Remainder, Seam, remainder, shortened


@value
class Wanted:
    """What the stream answers."""

    turn: Turn
    request: Request
    route: Route
    decision: Decision
    grant: Grant
    outgoing: Callable[[Request], Outgoing]


class TakenUpStream(ContinuedStream):
    """The stream that `wanted` got, and after a cut another's, where its route's `on_cut` allows that."""

    def __init__(
        self,
        stream: EventStream,
        collector: Collector,
        wanted: Wanted,
        upstreams: Upstreams,
        books: Books,
        admission: Admission,
    ) -> None:
        super().__init__(stream, collector)
        self._wanted = wanted
        self._record = wanted.turn.record
        self._upstreams = upstreams
        self._books = books
        self._admission = admission
        self._grant: Grant | None = None
        """Of the second call."""
        self._held = AsyncExitStack()
        self._first = Usage(0, 0)
        self._prompt = 0
        """Tokens that the second call sends."""
        self._unused: Usage | None = None
        """What the second call used for an answer that nobody gets."""
        self._tries = len(self._record.attempts)

    async def resume(self, error: UpstreamError) -> Onward | None:
        record, wanted = self._record, self._wanted
        record.resumed = "failed"
        self._upstreams.broke_off(record.attempts[-1], error)
        events = self._collector.events()
        rest = self._rest(events) if events is not None else None
        if rest is None:
            return None
        said_tokens = await self._books.counter.count_text(rest.said, self.target.model) if rest.said else 0
        request = shortened(rest.request, said_tokens)
        if request is None:
            return None
        self._first = Usage(prompt_tokens(record), said_tokens)
        try:
            await self._reserve(request)
            stream = await self._upstreams.call_again(
                wanted.decision.targets, wanted.outgoing(request), record.attempts
            )
        except GatewayError:  # it may not, or nobody could
            return None
        if not isinstance(stream, EventStream):  # an error status, or none left to ask
            if stream is not None and stream.status == 200:  # whole, and no use here; it is billed all the same
                self._unused = read_answer(wanted.turn.endpoint, stream.body).usage
            return None
        record.resumed = "continued" if rest.said else "restarted"
        return stream, Seam(rest, stream.target.printable, self._first)

    def _rest(self, events: Sequence[dict[str, Any]]) -> Remainder | None:
        return remainder(self._wanted.request, events, may_continue=self._wanted.route.on_cut == "continue")

    async def _reserve(self, request: Request) -> None:
        """Have admission know of the second call as of any other, once the first has given back what it did not use."""
        record, wanted, books = self._record, self._wanted, self._books
        estimate = await books.counter.estimate(request, self.target.model)
        self._prompt = estimate.prompt_tokens
        book(record, self._first, books.prices, source="estimated")
        books.settle(wanted.grant, record)
        assert record.caller is not None
        demand = NOTHING
        if self._admission.applies(record.caller, wanted.route.name):
            demand = books.demand(estimate, request, wanted.decision, may_be_cheap=False, is_background=False)
        entry = self._admission.admit(record.caller, wanted.route.name, demand, {})
        self._grant = await self._held.enter_async_context(entry)

    async def charge(self, transcript: Transcript) -> None:
        """Book what the stream used, with whatever took it up; after `close`.

        A search that `close` has cancelled is not waited for: who is cancelled has no time, and what it has sent is
        known already.
        """
        record, books = self._record, self._books
        async with self._held:
            if self._grant is None or len(record.attempts) == self._tries:
                await books.charge(record, self._wanted.request, transcript)
                return
            second, is_reported = await self._second(transcript)
            record.finish_reason = transcript.finish_reason
            nanousd = books.book_both(record, self._first, second, record.attempts[-1].target, is_reported=is_reported)
            self._grant.settle(second.input + second.output, nanousd or 0)

    async def _second(self, transcript: Transcript) -> tuple[Usage, bool]:
        """What the second call used, and whether its upstream says so."""
        if self._unused is not None:
            return self._unused, True
        if self._seam is None:
            was_sent = self._record.attempts[-1].is_given_up
            return Usage(self._prompt if was_sent else 0, 0), False
        if self._seam.usage is not None:
            return self._seam.usage, True
        said = transcript.completion_text or ""
        tokens = await self._books.counter.count_text(said, self.target.model)
        return Usage(self._prompt, max(0, tokens - self._first.output)), False
