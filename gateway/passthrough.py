"""The way of every request under /v1 that is not inference: on to an upstream, bodies streamed both ways.

Nothing is counted, capped or cached here: who may call what is decided, and what an answer says it used is
charged. Ids that such calls create upstream (files, batches) are not isolated between keys that share the upstream.
"""

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial

from multidict import CIMultiDict

from gateway.accounting.book import book
from gateway.accounting.prices import PriceTable
from gateway.admission.admit import PASSED, Admission
from gateway.admission.keeper import Grant
from gateway.auth.identify import Identifier, credential_in
from gateway.clock import Clock
from gateway.config.model import Route, Upstream
from gateway.errors import BadRequest, GatewayError, NotAllowed, NotFound, UpstreamError, UpstreamTimeout
from gateway.exchange import Client, Headers
from gateway.record import Attempt, Record
from gateway.routing.match import RouteTable
from gateway.steps.ending import see_through
from gateway.upstream.call import Upstreams
from gateway.upstream.classify import outcome_of_error, outcome_of_status
from gateway.upstream.client import UpstreamClient
from gateway.upstream.decode import Broken, Decoder, decoder_for
from gateway.upstream.redact import redact
from gateway.upstream.reply import Reply
from gateway.values import Caller, Decision, Target
from gateway.wire import headers as wire_headers
from gateway.wire.passing import Passing

SWITCHING_PROTOCOLS = 101
_PATH = re.compile(r"/v1(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+)+/?")
"""RFC 3986 segments, none empty."""
_TRICKS = re.compile(r"/\.\.?(?:[/;]|$)|%(?:2e|2f|5c|25|00|0a|0d|c0|c1)", re.IGNORECASE)
"""What some server on the way might read as another path: dot segments, with parameters too, encoded dots, slashes,
percent signs, line ends, NUL, and the bytes that begin overlong UTF-8."""
_TELLING = ("application/json", "text/event-stream")
"""Content types of answers that may report usage."""
_END_TO_END = frozenset({"content-length", "content-encoding", "accept-encoding"})
"""Bodies go through untouched, so what describes them does too."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A request to pass through; `path` and `query` as they stood in the request line."""

    request_id: str
    method: str
    path: str
    query: str
    headers: Headers
    body: AsyncIterable[bytes] | None
    received_s: float


Tunnel = Callable[[Upstream, CIMultiDict[str], Callable[[int], None]], Awaitable[None]]
"""Opens a WebSocket to an upstream with these headers and joins it to the client's; tells the status it sends."""


@dataclass(frozen=True, slots=True)
class Passthrough:
    identifier: Identifier
    routes: RouteTable
    upstreams: Upstreams
    admission: Admission
    prices: PriceTable
    clock: Clock
    observe: Callable[[Record], None]

    async def serve(self, forward: Forward, client: Client) -> None:
        """Answer one request; raises only CancelledError."""
        record = Record(forward.request_id, "passthrough", self.clock.wall(), forward.received_s)
        await self._see_through(self._serve(forward, client, record), client, record)

    async def serve_websocket(self, forward: Forward, client: Client, tunnel: Tunnel) -> None:
        """Let `tunnel` join the client to the upstream; raises only CancelledError."""
        record = Record(forward.request_id, "websocket", self.clock.wall(), forward.received_s)
        await self._see_through(self._join(forward, record, tunnel), client, record)

    async def _see_through(self, work: Awaitable[None], client: Client, record: Record) -> None:
        async def cut(_: GatewayError) -> None:
            client.abort()  # a length may have been promised: a clean end would be a lie

        await see_through(
            work,
            client,
            record,
            break_off=cut,
            clock=self.clock,
            observe=self.observe,
        )

    async def _serve(self, forward: Forward, client: Client, record: Record) -> None:
        caller, upstream = self._admit(forward, record)
        passing = Passing()
        if forward.method == "POST" and forward.body is not None:
            forward = replace(forward, body=_overheard(forward.body, passing))
        async with self.admission.admit(caller, record.route or "", PASSED, record.standing) as grant:
            reply = await self._send(upstream, forward, caller, record)
            try:
                await self._relay(upstream, reply, client, record, listener_for(forward, reply, passing))
            finally:
                reply.close()
                self._charge(record, upstream, passing, grant)
        record.is_success = reply.status < 400

    def _charge(self, record: Record, upstream: UpstreamClient, passing: Passing, grant: Grant) -> None:
        """What the answer says it used; an answer that says nothing costs nothing that we know of."""
        if (usage := passing.usage) is None:
            grant.settle(0, 0)
            return
        record.target = Target(upstream.name, passing.model)
        book(record, usage, self.prices, source="computed")
        grant.settle(usage.input + usage.output, record.cost.nanousd if record.cost is not None else 0)

    async def _join(self, forward: Forward, record: Record, tunnel: Tunnel) -> None:
        caller, upstream = self._admit(forward, record)
        headers = wire_headers.to_upstream(forward.headers, own_credentials=caller.has_own_credentials)

        def answered(status: int) -> None:
            record.status = status
            record.is_success = status == SWITCHING_PROTOCOLS  # from here on either side may leave: that is its end

        async with self.admission.admit(caller, record.route or "", PASSED, record.standing) as grant:
            try:
                await tunnel(upstream.config, headers, answered)
            finally:
                grant.settle(0, 0)

    def _admit(self, forward: Forward, record: Record) -> tuple[Caller, UpstreamClient]:
        """Who asks, and which upstream is to answer."""
        caller = record.caller = self.identifier.identify(credential_in(forward.headers))
        check_path(forward.path)
        route = self._route(caller, forward.path)
        record.route = route.name
        upstream = self.upstreams.clients[route.upstream or ""]
        record.target = Target(upstream.name, "")
        record.decision = Decision((record.target,), "none", "upstream")
        return caller, upstream

    def _route(self, caller: Caller, path: str) -> Route:
        """The first route with an upstream of its own that `caller` may use for `path`."""
        if not _is_listed(path, caller.passthrough):
            raise NotAllowed(f"This key may not call {path} through the gateway.")
        for route in self.routes.admitted(caller):
            listed = () if route.budgets and route.passthrough is None else route.passthrough
            if route.upstream is not None and _is_listed(path, listed):
                return route
        raise NotFound(f"Nothing is served under {path} for this key.")

    async def _send(self, upstream: UpstreamClient, forward: Forward, caller: Caller, record: Record) -> Reply:
        attempt = Attempt(Target(upstream.name, ""))
        record.attempts.append(attempt)
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(upstream.config.total_timeout_s):
                reply = await upstream.send(
                    forward.method,
                    forward.path.removeprefix("/v1"),
                    headers=wire_headers.to_upstream(
                        forward.headers, own_credentials=caller.has_own_credentials, keep=_END_TO_END
                    ),
                    body=forward.body,
                    query=forward.query,
                    raw=True,
                )
            attempt.outcome = outcome_of_status(reply.status)
            return reply
        except TimeoutError:
            attempt.outcome = "timeout"
            raise UpstreamTimeout("The model API did not answer in time.") from None
        except UpstreamError as error:
            attempt.outcome = outcome_of_error(error)
            raise
        finally:
            attempt.duration_s = record.upstream_s = self.clock.monotonic() - began

    async def _relay(
        self,
        upstream: UpstreamClient,
        reply: Reply,
        client: Client,
        record: Record,
        listen: Callable[[bytes], None] | None,
    ) -> None:
        record.first_byte_s = self.clock.monotonic() - record.started_s
        record.status = reply.status
        headers = wire_headers.to_client(reply.headers, keep=_END_TO_END, are_limits_ours=bool(record.standing))
        await client.begin(reply.status, [*headers, *wire_headers.from_record(record)])
        secrets = self.upstreams.secrets[upstream.name]
        while chunk := await reply.next_chunk(upstream.config.idle_timeout_s):
            if listen is not None:
                listen(chunk)
            await client.write(redact(chunk, secrets))
        await client.end()


async def _overheard(body: AsyncIterable[bytes], passing: Passing) -> AsyncIterator[bytes]:
    async for chunk in body:
        passing.sent(chunk)
        yield chunk


def listener_for(forward: Forward, reply: Reply, passing: Passing) -> Callable[[bytes], None] | None:
    """What has `passing` hear an answer that may report its usage, whatever it is compressed with; else None.

    Only of what was posted: a `GET` that tells the usage of an earlier response must not be charged for it again.
    """
    media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    coding = reply.headers.get("Content-Encoding", "identity")
    if forward.method != "POST" or reply.status >= 400 or media_type not in _TELLING:
        return None
    if coding.strip().lower() in ("", "identity"):
        return passing.received
    decoder = decoder_for(coding)
    return None if decoder is None else partial(_hear_decoded, decoder, passing)


def _hear_decoded(decoder: Decoder, passing: Passing, chunk: bytes) -> None:
    with suppress(Broken):  # then the client has it just as broken
        decoder.push(chunk)
        while piece := decoder.pull():
            passing.received(piece)


def check_path(path: str) -> None:
    """Raise BadRequest for a path that another server might read as a different one."""
    if _PATH.fullmatch(path) is None or _TRICKS.search(path) is not None:
        raise BadRequest("The request path is not one this gateway passes on: send it in its plain form.")


def _is_listed(path: str, patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatchcase(path, pattern) for pattern in patterns)
