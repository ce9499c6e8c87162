"""Replaying a stream at the pace it came with."""

import asyncio
from collections.abc import Sequence

from gateway.exchange import Client

_AT_ONCE_MS = 20
"""Events due within this go out together."""


async def write_paced(client: Client, events: Sequence[bytes], pace: Sequence[int]) -> None:
    """Write `events` so that each part of them leaves when `pace` says that it had come (milliseconds from now).

    Raises ConnectionError when the client is gone; who is cancelled stops at once.
    """
    loop = asyncio.get_running_loop()
    began, waiting = loop.time(), b""
    for number, event in enumerate(events):
        left_s = began + due_ms(pace, number, len(events)) / 1000 - loop.time()
        if left_s * 1000 > _AT_ONCE_MS:
            if waiting:
                await client.write(waiting)
                waiting = b""
            await asyncio.sleep(left_s)
        waiting += event
    await client.write(waiting)


def due_ms(pace: Sequence[int], number: int, count: int) -> float:
    """When event `number` of `count` is due: evenly between the times of the part that it falls into."""
    place = number * len(pace) / count
    part = min(int(place), len(pace) - 1)
    before = pace[part - 1] if part else 0
    return before + (pace[part] - before) * (place - part)
