"""A call that several clients wait for, and those of them who leave."""

import asyncio

from gateway.cache.flight import Flight


async def test_an_opener_that_leaves_in_the_moment_the_call_is_done_stops_what_comes_of_it() -> None:
    flight: Flight[str, None] = Flight("f", lambda _: None)
    stopped = []

    async def call() -> str:
        return "a stream"

    async def open_it() -> None:
        stream = await flight.fly(call())
        flight.carry(stream, _nothing, lambda: stopped.append(stream))
        await flight.outstay(lambda: bool(stopped))

    opener = asyncio.create_task(open_it())
    await asyncio.sleep(0)  # it flies
    await asyncio.sleep(0)  # the call is done, and the opener has not been told
    opener.cancel()
    async with asyncio.timeout(5):
        await asyncio.gather(opener, return_exceptions=True)
    assert flight.is_opener_gone
    assert stopped == ["a stream"]


async def _nothing() -> None:
    pass
