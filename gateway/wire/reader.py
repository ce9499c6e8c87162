"""Bodies → requests. One that comes again is not read again: what a cache serves is mostly that.

A body is remembered when it comes for the second time; of those that came once only the hash is kept,
for most never come again. With the request goes what others derived from it (`Request.derived`): its
tokens, its cache key.
"""

import asyncio
from typing import Any

from gateway.values import Request
from gateway.wire.body import parse_object, parsed, refuse_many_nodes
from gateway.wire.endpoint import Endpoint
from gateway.wire.repeats import as_written

AT_ONCE_BYTES = 1 << 20
"""Read in one step: 5 ms, or of the dearest JSON that `max_json_nodes` allows by default 50."""
_PAUSE_S = 0.001
"""Between two steps of a larger one. One turn of the event loop would help nobody: a request takes several."""
_MOST_BYTES = 16 << 10
"""Of a body: longer ones take up room for many, and reading is not what they cost most."""
_KEPT_BYTES = 2 << 20
"""Of all remembered bodies. Parsed, with their keys and counts, they take some five times that."""
_SEEN = 8192
"""Hashes, of the last half of these bodies at least."""


class Reader:
    """Reads the requests of one configuration."""

    def __init__(self, max_nodes: int) -> None:
        """A body may have `max_nodes` brackets, commas and colons."""
        self._max_nodes = max_nodes
        self._known: dict[tuple[str, bytes], Request] = {}
        self._known_bytes = 0
        self._seen: set[int] = set()
        self._seen_before: set[int] = set()

    def read(self, endpoint: Endpoint, body: bytes) -> Request:
        """`body` as a request to `endpoint`; BadRequest says what is wrong with it."""
        if len(body) > _MOST_BYTES:
            return self._parse(endpoint, body)
        name = (endpoint.name, body)
        known = self._known.get(name)
        if known is not None:
            return known
        request = self._parse(endpoint, body)
        if self._is_second(hash(name)):
            self._keep(name, request)
        return request

    async def read_in_steps(self, endpoint: Endpoint, body: bytes, fields: dict[str, Any]) -> Request:
        """As `read`, of a large body whose `fields` are known: others have their turn between the steps.

        None can leave the event loop: they hold the interpreter lock.
        """
        if len(body) <= AT_ONCE_BYTES:
            return self.read(endpoint, body)
        written = as_written(fields)
        await asyncio.sleep(_PAUSE_S)
        endpoint.refuse_repeats(body, fields, written=written)
        await asyncio.sleep(_PAUSE_S)
        return endpoint.parse_unrepeated(body, fields)

    async def fields_in_steps(self, body: bytes) -> dict[str, Any]:
        """As `fields`, with the same manners."""
        if len(body) <= AT_ONCE_BYTES:
            return self.fields(body)
        refuse_many_nodes(body, self._max_nodes)
        await asyncio.sleep(_PAUSE_S)
        fields = parsed(body)
        await asyncio.sleep(_PAUSE_S)
        return fields

    async def step_after(self, body: bytes) -> None:
        """Let others have their turn after something was done with all of `body`, if that is large."""
        if len(body) > AT_ONCE_BYTES:
            await asyncio.sleep(_PAUSE_S)

    async def read_made(self, endpoint: Endpoint, body: bytes) -> Request:
        """As `read`, of a body that was made here, however large it has become."""
        if len(body) <= AT_ONCE_BYTES:
            return self.read(endpoint, body)
        return await self.read_in_steps(endpoint, body, await self.fields_in_steps(body))

    def fields(self, body: bytes) -> dict[str, Any]:
        """What stands in `body`, for one who makes another of it; BadRequest where that is no JSON object."""
        return parse_object(body, max_nodes=self._max_nodes)

    def _parse(self, endpoint: Endpoint, body: bytes) -> Request:
        return endpoint.parse(body, self.fields(body))

    def _is_second(self, number: int) -> bool:
        if number in self._seen or number in self._seen_before:
            return True
        if len(self._seen) >= _SEEN // 2:
            self._seen_before, self._seen = self._seen, set()
        self._seen.add(number)
        return False

    def _keep(self, name: tuple[str, bytes], request: Request) -> None:
        """The one that was kept first goes first."""
        self._known[name] = request
        self._known_bytes += len(name[1])
        while self._known_bytes > _KEPT_BYTES:
            _, body = oldest = next(iter(self._known))
            del self._known[oldest]
            self._known_bytes -= len(body)
