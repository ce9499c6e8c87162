"""A live stream and its readers, over a real connection: what is pushed on arrival and what a reader's task pulls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from multidict import CIMultiDict

from gateway.config.model import Upstream
from gateway.upstream.call import EventStream, Outgoing, Upstreams
from gateway.upstream.client import UpstreamClient
from gateway.upstream.collect import Collector
from gateway.upstream.relay import Relay
from gateway.values import Target
from gateway.wire.chat import Chat
from tests.support.upstream import ScriptedUpstream, Stream, event

ERROR = {"error": {"message": "overloaded", "type": "server_error"}}
USAGE = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}


def text(word: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": word}}]}


class Reader:
    """A client that notes how it was sent what."""

    def __init__(self, *, is_ready: bool = True) -> None:
        self.is_ready = is_ready
        self.pushed: list[bytes] = []
        self.all: list[bytes] = []
        self._news = asyncio.Event()

    @property
    def push(self) -> Callable[[bytes], None] | None:
        return self._push if self.is_ready else None

    def _push(self, data: bytes) -> None:
        self.pushed.append(data)
        self._note(data)

    def _note(self, data: bytes) -> None:
        self.all.append(data)
        self._news.set()

    async def has(self, pieces: int) -> None:
        while len(self.all) < pieces:
            self._news.clear()
            await self._news.wait()

    async def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        raise AssertionError("a stream is no whole answer")

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        raise AssertionError("the relay writes events only")

    async def write(self, data: bytes) -> None:
        self._note(data)

    async def end(self) -> None:
        raise AssertionError("the relay writes events only")

    def abort(self) -> None:
        raise AssertionError("this reader is not slow")


@asynccontextmanager
async def relayed(script: Stream) -> AsyncIterator[Relay]:
    async with (
        ScriptedUpstream(script) as upstream,
        UpstreamClient("up", Upstream(base_url=upstream.base_url), environ={}) as client,
    ):
        endpoint = Chat()
        outgoing = Outgoing(endpoint, CIMultiDict(), lambda *_: b"{}", is_stream=True)
        stream = await Upstreams({"up": client}).call((Target("up", "m"),), outgoing, [])
        assert isinstance(stream, EventStream)
        relay = Relay(stream, Collector(endpoint, hide_usage=False))
        try:
            yield relay
        finally:
            relay.close()


async def test_what_arrives_while_the_only_reader_waits_is_pushed_to_it() -> None:
    first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
    reader = Reader()
    script = Stream([event(text("a")), first, event(text("b")), second, event(text("c")), third, b"data: [DONE]\n\n"])
    async with relayed(script) as relay, asyncio.timeout(10):
        reading = asyncio.create_task(relay.to(reader, hides_usage=False))
        for pieces, gate in ((1, first), (2, second), (3, third)):
            await reader.has(pieces)
            gate.set()
        await reading
    assert reader.all == [event(text("a")), event(text("b")), event(text("c")), b"data: [DONE]\n\n"]
    assert reader.pushed[:2] == reader.all[1:3]
    assert relay.collector.finish(want_body=False).is_complete


async def test_a_reader_that_is_not_ready_gets_every_block_from_its_own_task() -> None:
    gate = asyncio.Event()
    reader = Reader(is_ready=False)
    script = Stream([event(text("a")), gate, event(text("b")), b"data: [DONE]\n\n"])
    async with relayed(script) as relay, asyncio.timeout(10):
        reading = asyncio.create_task(relay.to(reader, hides_usage=False))
        await reader.has(1)
        gate.set()
        await reading
    assert b"".join(reader.all) == event(text("a")) + event(text("b")) + b"data: [DONE]\n\n"
    assert reader.pushed == []


async def test_two_readers_of_a_stream_get_all_of_it() -> None:
    gate, last = asyncio.Event(), asyncio.Event()
    early, late = Reader(), Reader()
    script = Stream([event(text("a")), gate, event(text("b")), last, b"data: [DONE]\n\n"])
    async with relayed(script) as relay, asyncio.timeout(10):
        one = asyncio.create_task(relay.to(early, hides_usage=False))
        await early.has(1)
        two = asyncio.create_task(relay.to(late, hides_usage=False))
        await late.has(1)
        gate.set()
        await early.has(2)
        await late.has(2)
        last.set()
        await asyncio.gather(one, two)
    whole = event(text("a")) + event(text("b")) + b"data: [DONE]\n\n"
    assert (b"".join(early.all), b"".join(late.all)) == (whole, whole)
    assert relay.error is None


async def test_half_an_event_waits_for_its_other_half() -> None:
    gate, other = asyncio.Event(), asyncio.Event()
    reader = Reader()
    whole = event(text("word"))
    script = Stream([event(text("a")), gate, whole[:20], other, whole[20:], b"data: [DONE]\n\n"])
    async with relayed(script) as relay, asyncio.timeout(10):
        reading = asyncio.create_task(relay.to(reader, hides_usage=False))
        await reader.has(1)
        gate.set()
        other.set()
        await reading
    assert b"".join(reader.all) == event(text("a")) + whole + b"data: [DONE]\n\n"


@pytest.mark.parametrize("is_ready", [True, False])
async def test_nothing_follows_an_error(is_ready: bool) -> None:
    gate = asyncio.Event()
    reader = Reader(is_ready=is_ready)
    script = Stream([event(text("a")), gate, event(ERROR), asyncio.Event()])
    async with relayed(script) as relay, asyncio.timeout(10):
        reading = asyncio.create_task(relay.to(reader, hides_usage=False))
        await reader.has(1)
        gate.set()
        await reading
        assert reader.all[-1] == event(ERROR)
        assert relay.error is not None


async def test_usage_is_pushed_only_to_whom_asked_for_it() -> None:
    gate, last = asyncio.Event(), asyncio.Event()
    reader = Reader()
    script = Stream([event(text("a")), gate, event(USAGE), last, b"data: [DONE]\n\n"])
    async with relayed(script) as relay, asyncio.timeout(10):
        reading = asyncio.create_task(relay.to(reader, hides_usage=True))
        await reader.has(1)
        gate.set()
        last.set()
        await reading
    assert b"".join(reader.all) == event(text("a")) + b"data: [DONE]\n\n"
