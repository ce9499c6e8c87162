"""A server of our own on a free loopback port, until its `async with` ends."""

import asyncio
import ssl
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class LoopbackServer(ABC):
    """Each connection has a task of its own; those that are left at the end are cancelled."""

    port: int

    def __init__(self, *, tls: ssl.SSLContext | None = None, max_head_bytes: int = 65_536) -> None:
        self._tls = tls
        self._max_head_bytes = max_head_bytes
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning; it is closed afterwards."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", 0, ssl=self._tls, limit=self._max_head_bytes
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._talk(reader, writer)
        finally:
            writer.close()
            self._tasks.discard(task)
