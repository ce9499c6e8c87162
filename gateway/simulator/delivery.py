"""How a reply reaches the client: at the pace asked for, and with the trouble asked for."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import orjson
from aiohttp import web

from gateway.simulator import faults as trouble
from gateway.simulator.faults import Faults
from gateway.simulator.reply import Event, Reply


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the simulated model is; 0 means at once."""

    first_token_s: float = 0.0
    tokens_per_second: float = 0.0

    def due_s(self, tokens: int) -> float:
        """Seconds after the first token by which `tokens` more have been generated."""
        return tokens / self.tokens_per_second if self.tokens_per_second else 0.0


async def deliver(
    request: web.Request, reply: Reply, faults: Faults, pace: Pace, error_event: bytes
) -> web.StreamResponse:
    await asyncio.sleep(faults.delay + pace.first_token_s)
    if faults.reset:
        return hang_up(request)
    if reply.events is not None:
        return await _stream(request, reply.events, faults, pace, error_event)
    await asyncio.sleep(pace.due_s(reply.tokens))
    return await _whole(request, orjson.dumps(reply.body), faults)


async def _stream(
    request: web.Request, events: Sequence[Event], faults: Faults, pace: Pace, error_event: bytes
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    response.headers["Cache-Control"] = "no-cache"
    await response.prepare(request)
    clock = asyncio.get_running_loop().time
    began = clock()
    tokens = 0
    for number, event in enumerate(events):
        tokens += event.tokens
        wait = began + pace.due_s(tokens) - clock()
        if wait > 0:
            await asyncio.sleep(wait)
        if number == faults.error:
            await response.write(error_event)
            return response
        if number == faults.stall:
            await asyncio.sleep(trouble.MAX_SECONDS)
        if number in (faults.cut, faults.stall):
            return hang_up(request, response)
        await response.write(event.data)
    return response


async def _whole(request: web.Request, body: bytes, faults: Faults) -> web.StreamResponse:
    if faults.error is not None:
        raise trouble.stream_error()
    if faults.cut is None and faults.stall is None:
        return web.Response(body=body, content_type="application/json")
    response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(body))})
    await response.prepare(request)
    if faults.stall is not None:
        await asyncio.sleep(trouble.MAX_SECONDS)
    else:
        await response.write(body[: len(body) // 2])
    return hang_up(request, response)


def hang_up(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection under an answer that has not ended: what was written still leaves, nothing else does."""
    if request.transport is not None:
        if response is None:
            request.transport.abort()
        else:
            request.transport.close()
    return response or web.Response()
