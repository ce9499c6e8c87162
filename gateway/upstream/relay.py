"""Passing a live stream on: upstream → client, with the collector looking at what goes by.

Nothing is awaited between a block's arrival and its departure but the write itself, so a client
that reads slowly slows the upstream down.
"""

from gateway.errors import UpstreamCut, UpstreamError
from gateway.exchange import Client
from gateway.upstream.call import EventStream
from gateway.upstream.collect import Collector


async def relay(stream: EventStream, client: Client, collector: Collector) -> UpstreamError | None:
    """Relay `stream` to its end, after `client.begin`; the error, if the upstream failed midway.

    An error that the upstream itself reported as an event has been passed on by then.
    """
    try:
        while not collector.is_over and (block := await stream.next_block()):
            if visible := collector.feed(block):
                await client.write(visible)
    except UpstreamError as error:
        return error
    return UpstreamCut("The model API reported an error in its stream.") if collector.has_error else None
