"""Request byte streams, plain and damaged, through both lanes at once: the answers must be the same.

    python -m tests.fuzz.requests [--count N] [--seed S]

First every request of a corpus of good, odd and hostile ones, cut in two at each of its bytes; then
random damage to one to three of them in a row, cut at random. Both lanes are the real ones up to the
pipeline, in whose place an echo says what it was asked, so that a request that is read in two ways, or
that gets another's answer, shows. After each case nothing may be left: no task, no request in flight,
no connection. It ends with exit code 1 and the case at the first difference.
"""

import asyncio
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import eq
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import orjson
from aiohttp import web

from gateway.app import Gateway, Use
from gateway.clock import SystemClock
from gateway.config.process import Server
from gateway.exchange import Client, Incoming
from gateway.passthrough import Forward
from gateway.server.lane import Lane
from gateway.server.live import Live
from gateway.server.load import InFlight
from gateway.server.routes import traffic_app
from gateway.server.strict import StrictHandler
from gateway.wire.endpoint import Endpoint
from tests.fuzz.cases import Case, command, cuts_everywhere, run_each
from tests.fuzz.corpus import CORPUS, damaged
from tests.fuzz.wire import Answer, MemoryTransport, answers, quiet

JSON = [("Content-Type", "application/json")]
PLACES = 3
"""Requests that may be in flight at once: the cap is part of what is tested."""


class Echo:
    """In place of pipeline and pass-through: answers with what it was asked, sometimes as a stream."""

    async def serve(self, endpoint: Endpoint, incoming: Incoming, client: Client) -> None:
        await self._answer(client, endpoint.path, incoming.headers, incoming.body)

    async def serve_forward(self, forward: Forward, client: Client) -> None:
        body = b"".join([part async for part in forward.body]) if forward.body is not None else b""
        await self._answer(client, f"{forward.method} {forward.path}", forward.headers, body)

    async def _answer(self, client: Client, path: str, headers: Any, body: bytes) -> None:
        said = {
            "path": path,
            "headers": sorted((name.lower(), value) for name, value in headers.items()),
            "body": hashlib.sha256(body).hexdigest(),
        }
        document = orjson.dumps(said, default=str) if _is_text(said) else b'"surrogates"'
        for _ in range(len(body) % 3):
            await asyncio.sleep(0)
        with suppress(ConnectionError):
            if b'"stream"' not in body:
                await client.answer(200, JSON, document)
                return
            await client.begin(200, JSON)
            for start in range(0, len(document), 100):
                await client.write(document[start : start + 100])
            await client.end()


def _is_text(said: object) -> bool:
    try:
        orjson.dumps(said)
    except TypeError:
        return False
    return True


class Lanes:
    """Both, before an echo."""

    def __init__(self) -> None:
        self.counts = {name: InFlight(PLACES) for name in ("fast", "aiohttp")}

    async def start(self) -> None:
        server = Server(max_body_mb=0.01)
        echo = Echo()
        gateway = SimpleNamespace(
            config=SimpleNamespace(server=server, auth="required"),
            use=Use(),
            clock=SystemClock(),
            pipeline=echo,
            passthrough=SimpleNamespace(serve=echo.serve_forward, serve_websocket=_no_websockets),
            catalog=SimpleNamespace(models=_nothing, model=_nothing),
        )
        live = Live(cast(Gateway, gateway))
        runner = web.AppRunner(traffic_app(live, self.counts["aiohttp"]), handler_cancellation=True, access_log=None)
        await runner.setup()
        assert runner.server is not None
        self.server = runner.server
        options = {"keepalive_timeout": server.keep_alive_s, "auto_decompress": False, "access_log": None}
        self.by_aiohttp = partial(StrictHandler, runner.server, head_timeout_s=server.header_timeout_s, **options)
        self.lane = Lane(live, self.counts["fast"], self.by_aiohttp)

    def check_empty(self) -> None:
        left = {name: count.count for name, count in self.counts.items() if count.count}
        assert not left, f"requests in flight that are over: {left}"
        assert not self.lane.connections, "the lane keeps connections that are closed"
        assert not self.server.connections, "aiohttp keeps connections that are closed"
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, f"tasks that nobody waits for: {tasks}"


async def _nothing(*_: object) -> list[object]:
    return []


async def _no_websockets(forward: Forward, client: Client, tunnel: object) -> None:
    await client.answer(426, JSON, b"{}")


async def run_case(lanes: Lanes, case: Case) -> list[Answer]:
    """The answers to `case`; AssertionError or ValueError when the lanes differ or leave something behind."""
    rng = Random(case.seed)
    both = [MemoryTransport(rng=Random(case.seed), stalls=rng.choice((0.0, 0.2))) for _ in range(2)]
    both[0].connect(lanes.lane())
    both[1].connect(lanes.by_aiohttp())
    for piece in case.pieces():
        for transport in both:
            transport.feed(piece)
        for _ in range(rng.randrange(3)):
            await asyncio.sleep(0)
    is_hasty = rng.random() < 0.1  # a client that leaves without waiting: whatever it got, nothing may be left
    if not is_hasty:
        await quiet(*both)
        for transport in both:  # of half a head aiohttp may see at once what the lane sees when it is whole
            transport.feed(b"\r\n\r\n")
        await quiet(*both)
    for transport in both:
        transport.hang_up()
    await quiet(*both)
    lanes.check_empty()
    fast, slow = (list(answers(bytes(transport.written))) for transport in both)
    handed_over_at = both[0].reconnected_at
    own = fast if handed_over_at is None else list(answers(bytes(both[0].written[:handed_over_at])))
    if not is_hasty and (found := difference(case, fast, slow, handed_over_after=len(own))) is not None:
        raise AssertionError(found)
    return fast


def difference(case: Case, fast: Sequence[Answer], slow: Sequence[Answer], *, handed_over_after: int) -> str | None:
    """What one lane says and the other does not.

    Four things are aiohttp's own, and befall only clients that do not wait for their answers. Where a good
    request and one that its parser refuses come in one piece, it forgets the good one. It takes it amiss when
    bytes follow a request that closes the connection. And which of its answers still leaves before a refusal
    is a matter of how the bytes came; so from a hand-over on, a refusal on one side may stand for the rest.
    And where it has declined an upgrade before all of that request was there, what follows may wait for ever,
    which here is until the connection has been idle for too long.
    """
    ours, theirs = ([_told(answer) for answer in one] for one in (fast, slow))
    if ours == theirs:
        return None
    is_refused = bool(theirs) and theirs[-1][0] == 400 and theirs[:-1] == ours[: len(theirs) - 1]
    is_touchy = is_refused and b"Data after" in slow[-1].body and bool(ours) and ours[-1][-1] == "close"
    is_forgetful = is_refused and ours[-1:] == theirs[-1:]
    n = handed_over_after
    is_chance = ours[:n] == theirs[:n] and 400 in {told[0] for told in ours[n:] + theirs[n:]}
    is_waiting = b"upgrade" in case.data.lower() and all(map(eq, ours, theirs))
    return None if is_touchy or is_forgetful or is_chance or is_waiting else f"fast:    {ours}\naiohttp: {theirs}"


def _told(answer: Answer) -> tuple[object, ...]:
    """What a client would act upon. Of two faults in a request either may be named; both end the connection."""
    names = ("content-type", "x-should-retry", "retry-after", "connection")
    told = (answer.status, answer.body, answer.is_whole, *map(answer.headers.get, names))
    return (400, answer.is_whole, *told[3:5]) if answer.status == 400 else told


# ------------------------------------------------------------------ which cases


def at_random(seed: int, count: int) -> Iterator[Case]:
    rng = Random(seed)
    for _ in range(count):
        data = damaged(rng)
        number = rng.choice((0, 0, 1, 1, 2, 5))
        cuts = tuple(rng.randrange(len(data) + 1) for _ in range(number))
        yield Case(data, cuts, rng.randrange(1 << 32))


async def run(cases: Iterable[Case], total: int | None = None) -> int:
    lanes = Lanes()
    await lanes.start()
    done = await run_each(cases, partial(run_case, lanes), total=total)
    await lanes.lane.drain(0)
    return done


if __name__ == "__main__":
    command(
        __doc__,
        run,
        first=list(cuts_everywhere(CORPUS)),
        at_random=at_random,
        count=130_000,
        well="no difference, nothing left behind",
    )
