"""Getting an answer: the loop over targets, up to the first byte that may reach the client.

A whole answer is read to its end here. A stream is opened, and held until something of its answer is
there (`hold.py`), so that a failure can still become a status or another target's turn.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from multidict import CIMultiDict

from gateway.config.model import Upstream
from gateway.errors import UpstreamCut, UpstreamError, UpstreamInvalid, UpstreamTimeout
from gateway.exchange import Headers
from gateway.record import Attempt
from gateway.upstream.backoff import retry_after_s
from gateway.upstream.classify import (
    Again,
    again_after_error,
    again_after_status,
    is_fault_error,
    is_fault_status,
    outcome_of_error,
    outcome_of_status,
)
from gateway.upstream.client import UpstreamClient
from gateway.upstream.health import Health
from gateway.upstream.hold import Hold
from gateway.upstream.redact import redact, secrets_of
from gateway.upstream.reply import Reply
from gateway.value import value
from gateway.values import Target
from gateway.wire import json_bytes, sse
from gateway.wire.endpoint import Endpoint
from gateway.wire.errors import reported_error

PING = b": ping\n\n"
PING_S = 15.0
"""Of silence before a ping; proxies and load balancers commonly cut connections that are idle for 30 to 60 s."""
_BEGINNING = 32
"""Bytes in which an answer shows that it is JSON, and one that is nothing but an error says so."""

_MB = 1 << 20
_KB = 1 << 10


@value
class Outgoing:
    """What is to be sent: `body` is made per target, since model and field spellings differ."""

    endpoint: Endpoint
    headers: CIMultiDict[str]
    body: Callable[[Target, Upstream], bytes]
    is_stream: bool
    owner: str = ""
    """Whose call it is: where too many wait, those who have most of them are sent away first."""


@value
class Answer:
    """A whole answer, of any status."""

    target: Target
    status: int
    headers: Headers
    body: bytes


class EventStream:
    """An open stream of events. `close()` it in any case.

    In silence it gives pings of its own, comments that clients skip and that keep what stands between
    from cutting an idle connection.
    """

    def __init__(
        self,
        target: Target,
        reply: Reply,
        config: Upstream,
        secrets: tuple[bytes, ...],
        endpoint: Endpoint,
    ) -> None:
        self.target = target
        self.status = reply.status
        self.headers = reply.headers
        self._reply = reply
        self._secrets = secrets
        self._idle_s = config.idle_timeout_s
        self._splitter = sse.EventSplitter(config.max_event_kb * _KB)
        self._hold = Hold(endpoint)
        self._hold_s = min(config.hold_s, self._idle_s)
        self._silent_s = 0.0
        self._take: Callable[[bytes], bool] | None = None

    async def open(self) -> None:
        """Wait for the first event with data. Raises UpstreamError when it is an error or never comes."""
        while not self._hold.events and not self._hold.is_over:
            await self._hold_more("The model API ended its stream before the first event.")

    async def begin(self, deadline: float) -> None:
        """Wait on until something of the answer is there, at most for the upstream's `hold_s` and until `deadline`.

        Raises UpstreamError, and closes, when the stream fails before.
        """
        until = min(asyncio.get_running_loop().time() + self._hold_s, deadline)
        try:
            async with asyncio.timeout_at(until):
                while not self._hold.is_over:
                    await self._hold_more("The model API ended its stream before its answer began.")
        except TimeoutError:
            pass  # a slow model must not look like a dead one
        except BaseException:
            self.close()
            raise

    async def _hold_more(self, ended: str) -> None:
        block = await self._read(None)
        if not block:
            raise UpstreamCut(ended)
        self._hold.feed(block)

    @property
    def has_begun(self) -> bool:
        """Whether something of the answer is there."""
        return self._hold.is_over

    async def next_block(self) -> bytes:
        """The next whole events, as they stood on the wire, or a ping; empty at the end."""
        if self._hold.block:
            return self._hold.release()
        wait_s = min(PING_S, self._idle_s - self._silent_s)
        try:
            block = await self._read(wait_s)
        except UpstreamTimeout:
            self._silent_s += wait_s
            if self._silent_s >= self._idle_s:
                raise UpstreamTimeout(f"The model API sent nothing for {self._idle_s:g} s.") from None
            return PING
        self._silent_s = 0.0
        return block

    def pour(self, take: Callable[[bytes], bool] | None) -> None:
        """While somebody waits in `next_block`, offer whole events to `take` the moment they arrive; what it does not
        take `next_block` returns."""
        self._take = take
        self._reply.taker = None if take is None else self._offer

    def _offer(self, chunk: bytes) -> bool:
        if self._take is None or not self._splitter.is_whole(chunk) or not self._take(redact(chunk, self._secrets)):
            return False
        self._silent_s = 0.0
        return True

    def leave(self) -> None:
        """End it here for whoever waits in `next_block`."""
        self._reply.leave()

    async def _read(self, wait_s: float | None) -> bytes:
        try:
            while chunk := await self._reply.next_chunk(wait_s):
                if block := self._splitter.feed(chunk):
                    return redact(block, self._secrets)
        except sse.EventTooLarge as error:
            raise UpstreamInvalid(f"The model API's stream cannot be relayed: {error}.") from None
        return self._splitter.rest()

    def close(self) -> None:
        self._reply.close()


class Upstreams:
    """All upstreams of one configuration."""

    def __init__(self, clients: Mapping[str, UpstreamClient]) -> None:
        self.clients = clients
        self.secrets = {name: secrets_of(client.config) for name, client in clients.items()}
        self.health = Health(
            {name: client.config for name, client in clients.items()}, calls=lambda name: clients[name].calls
        )

    async def call(
        self, targets: Sequence[Target], outgoing: Outgoing, attempts: list[Attempt]
    ) -> Answer | EventStream:
        """Ask `targets` until one answers with something that no other try could better, or none is left to make.

        Every try is noted in `attempts`, also when this is cancelled. Raises the last UpstreamError;
        an upstream's own error status is an `Answer`.
        """
        deadline = asyncio.get_running_loop().time() + self.clients[targets[0].upstream].config.total_timeout_s
        health = self.health
        first = health.first(targets, time.monotonic()) if health.breakers else targets[0]
        return await self._ask_until(first, targets, outgoing, attempts, deadline)

    async def call_again(
        self, targets: Sequence[Target], outgoing: Outgoing, attempts: list[Attempt]
    ) -> Answer | EventStream | None:
        """The same for what is left of a stream that the last of `attempts` had begun; None where no try is left, or no
        time."""
        total_s = self.clients[targets[0].upstream].config.total_timeout_s
        left_s = attempts[0].began_s + total_s - time.monotonic()
        deadline = asyncio.get_running_loop().time() + left_s
        following = await self._next(targets, attempts, Again.ANYWHERE, deadline)
        if following is None:
            return None
        return await self._ask_until(following, targets, outgoing, attempts, deadline)

    async def _ask_until(
        self,
        following: Target | None,
        targets: Sequence[Target],
        outgoing: Outgoing,
        attempts: list[Attempt],
        deadline: float,
    ) -> Answer | EventStream:
        while following is not None:
            try:
                answer = await self._attempt(following, outgoing, deadline, attempts)
                if isinstance(answer, EventStream) or answer.status < 400:
                    return answer
                asked_s = retry_after_s(answer.headers, now=time.time())
                following = await self._next(targets, attempts, _again_after(answer), deadline, asked_s)
            except UpstreamError as error:
                following = await self._next(targets, attempts, again_after_error(error), deadline)
                if following is None:
                    raise
        assert isinstance(answer, Answer), "only an answer is followed by nobody without an error"
        return _check_error(answer)

    async def _next(
        self,
        targets: Sequence[Target],
        attempts: Sequence[Attempt],
        again: Again,
        deadline: float,
        asked_s: float | None = None,
    ) -> Target | None:
        """Whom to ask after `attempts`, once it is time to; None: nobody, or not before the deadline."""
        found = self.health.next(targets, attempts, again, asked_s, time.monotonic())
        if found is None:
            return None
        target, pause_s = found
        if asyncio.get_running_loop().time() + pause_s >= deadline:
            return None
        if pause_s:
            await asyncio.sleep(pause_s)
        return target

    def broke_off(self, attempt: Attempt, error: UpstreamError) -> None:
        """The stream that `attempt` had begun ended with `error`."""
        attempt.outcome = outcome_of_error(error)
        self.health.end(attempt.target, time.monotonic(), is_fault=is_fault_error(error))

    async def _attempt(
        self, target: Target, outgoing: Outgoing, deadline: float, attempts: list[Attempt]
    ) -> Answer | EventStream:
        attempt = Attempt(target)
        attempts.append(attempt)
        began = attempt.began_s = time.monotonic()
        health = self.health
        is_probe = bool(health.breakers) and health.begin(target, began)
        is_fault: bool | None = None
        try:
            answer = await self._bounded(attempt, outgoing, deadline)
            attempt.outcome = outcome_of_status(answer.status)
            is_fault = is_fault_status(answer.status)
            return answer
        except UpstreamError as error:
            attempt.outcome = outcome_of_error(error)
            is_fault = is_fault_error(error)
            raise
        finally:
            now = time.monotonic()
            attempt.duration_s = now - began
            if is_fault or health.breakers:
                health.end(target, now, is_fault=is_fault, is_probe=is_probe)

    async def _bounded(self, attempt: Attempt, outgoing: Outgoing, deadline: float) -> Answer | EventStream:
        name = attempt.target.upstream
        client = self.clients[name]
        limit = deadline
        if outgoing.is_stream:
            limit = min(deadline, asyncio.get_running_loop().time() + client.config.first_byte_timeout_s)
        try:
            async with asyncio.timeout_at(limit):
                answer = await _ask(client, attempt, outgoing, self.secrets[name])
        except TimeoutError:
            if not attempt.is_sent:
                raise UpstreamTimeout("No connection to the model API came free in time.", was_sent=False) from None
            raise UpstreamTimeout("The model API did not answer in time.") from None
        if isinstance(answer, EventStream) and not answer.has_begun:
            await answer.begin(deadline)
        return answer


async def _ask(
    client: UpstreamClient, attempt: Attempt, outgoing: Outgoing, secrets: tuple[bytes, ...]
) -> Answer | EventStream:
    target = attempt.target
    reply = await client.send(
        "POST",
        outgoing.endpoint.path,
        headers=outgoing.headers,
        body=outgoing.body(target, client.config),
        owner=outgoing.owner,
        on_sent=attempt.note_sent,
    )
    is_open = False
    try:
        if outgoing.is_stream and reply.status == 200 and reply.is_event_stream:
            stream = EventStream(target, reply, client.config, secrets, outgoing.endpoint)
            await stream.open()
            is_open = True
            return stream
        whole = redact(await reply.read(int(client.config.max_response_mb * _MB)), secrets)
        if reply.status < 400:
            _check_success(reply.status, whole)
        return Answer(target, reply.status, reply.headers, whole)
    finally:
        if not is_open:
            reply.close()


def _check_success(status: int, body: bytes) -> None:
    """Raise UpstreamInvalid for what cannot be a model's answer, whatever its status says."""
    if status >= 300:
        raise UpstreamInvalid(f"The model API answered with a redirect ({status}), which is not followed.")
    beginning = body[:_BEGINNING].lstrip()
    if not beginning.startswith(b"{"):
        raise UpstreamInvalid("The model API answered with something other than a JSON object.")
    if b'"error"' not in beginning or (answer := json_bytes.object_in(body)) is None:
        return
    if (message := reported_error(answer)) is not None:
        raise UpstreamInvalid(f"The model API answered with an error that calls itself a success: {message}")


def _check_error(answer: Answer) -> Answer:
    """`answer`, a 4xx or 5xx that nobody could better; UpstreamInvalid for a 5xx that is some server's own page."""
    if answer.status >= 500 and not answer.body[:_BEGINNING].lstrip().startswith(b"{"):
        raise UpstreamInvalid(f"The model API answered with status {answer.status}.")
    return answer


def _again_after(answer: Answer) -> Again:
    return again_after_status(answer.status, answer.body, should_retry=answer.headers.get("x-should-retry"))
