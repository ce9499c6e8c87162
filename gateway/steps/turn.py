"""One request being served: who gets the answer, what became known of it, and how it is answered."""

from gateway.cache.entry import Entry
from gateway.cache.headers import forward_headers
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.exchange import Client, Incoming
from gateway.record import Record
from gateway.steps.named import Beside
from gateway.steps.pacing import write_paced
from gateway.upstream.relay import Relay
from gateway.value import value
from gateway.values import Request, Target
from gateway.wire import json_bytes
from gateway.wire.endpoint import Endpoint
from gateway.wire.errors import shape_of
from gateway.wire.headers import Pairs, from_record

JSON_TYPE = ("Content-Type", "application/json")
STREAM_TYPE = ("Content-Type", "text/event-stream; charset=utf-8")


@value
class Turn:
    """Every answer goes through here, so that its status and its first byte stand in the record."""

    endpoint: Endpoint
    incoming: Incoming
    client: Client
    record: Record
    clock: Clock
    beside: Beside | None = None
    """Where a shadow version of its prompt may be asked as well."""

    async def answer(self, status: int, headers: Pairs, body: bytes) -> None:
        """Send one whole answer."""
        self.record.status = status
        await self.client.answer(status, self._with_ours(headers), body)

    async def begin(self, status: int, headers: Pairs) -> None:
        """Start a streamed one."""
        self.record.status = status
        await self.client.begin(status, self._with_ours(headers))

    def _with_ours(self, headers: Pairs) -> Pairs:
        record = self.record
        record.first_byte_s = self.clock.monotonic() - record.started_s
        return [*headers, *from_record(record)]

    async def give(self, request: Request, entry: Entry, headers: Pairs, *, is_paced: bool = False) -> None:
        """Answer with `entry`, in the form that `request` wants; a stream at once, or at the pace it came with."""
        record = self.record
        record.target, record.usage = Target.parse(entry.target), entry.usage
        if request.is_stream:
            events = self.endpoint.to_stream(json_bytes.loads(entry.body), include_usage=request.wants_usage)
            await self.begin(200, [STREAM_TYPE, *headers])
            if is_paced and entry.pace:
                await write_paced(self.client, events, entry.pace)
            else:
                await self.client.write(b"".join(events))
            await self.client.end()
        else:
            await self.answer(200, [JSON_TYPE, *headers], entry.body)
        record.is_success = True

    async def end_as(self, relay: Relay) -> None:
        """End the client's stream as the upstream's ended."""
        record, error, collector = self.record, relay.error, relay.collector
        if error is not None:
            record.status, record.error = shape_of(error).status, type(error).__name__
            if not collector.has_error:  # else the upstream's own error event has told the client
                await self.client.write(self.endpoint.error_event(error, after=collector.last))
        await self.client.end()
        record.is_success = error is None

    async def break_off(self, error: GatewayError) -> None:
        """End a stream that has begun: one error event and no `[DONE]`."""
        await self.client.write(self.endpoint.error_event(error, after=b""))
        await self.client.end()

    def cache_status(self, *, is_stored: bool) -> Pairs:
        """What an answer that does not come from the cache says of it."""
        return forward_headers(self.record.cache, self.record.cache_detail, is_stored=is_stored)
