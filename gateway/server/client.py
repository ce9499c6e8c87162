"""aiohttp's side of the seam: how an aiohttp request is answered."""

import asyncio
from collections.abc import Awaitable, Iterable

from aiohttp import web
from multidict import CIMultiDict

Pairs = Iterable[tuple[str, str]]

SERVER_HEADER = ("Server", "llm-gateway")
"""In place of aiohttp's own, which tells versions to everybody."""


class AiohttpClient:
    """The `Client` behind one aiohttp request. A client that reads nothing for `write_timeout_s` counts as gone."""

    push = None

    def __init__(self, request: web.Request, *, write_timeout_s: float) -> None:
        self._request = request
        self._write_timeout_s = write_timeout_s
        self.response: web.StreamResponse | None = None

    async def answer(self, status: int, headers: Pairs, body: bytes) -> None:
        response = web.Response(status=status, headers=CIMultiDict(headers), body=body)
        self.response = response
        await self._bounded(response.prepare(self._request))
        await self._bounded(response.write_eof())

    async def begin(self, status: int, headers: Pairs) -> None:
        self.response = web.StreamResponse(status=status, headers=CIMultiDict(headers))
        await self._bounded(self.response.prepare(self._request))

    async def write(self, data: bytes) -> None:
        assert self.response is not None, "begin() comes first"
        await self._bounded(self.response.write(data))

    async def end(self) -> None:
        assert self.response is not None, "begin() comes first"
        await self._bounded(self.response.write_eof())

    def abort(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    async def _bounded(self, write: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self._write_timeout_s):
                await write
        except TimeoutError:
            self.abort()
            raise ConnectionResetError("the client did not read") from None
