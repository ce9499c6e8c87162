"""A forward proxy on a real port: CONNECT tunnels and absolute-form requests, all of which end at one upstream."""

import asyncio
import ssl
from types import TracebackType
from typing import Self


class ForwardProxy:
    """Leads whatever is asked for to 127.0.0.1:`port`, unless `refusal` is set: then that is all it says."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        """Every request head it was sent, in the order they came."""
        self._upstream_port = port
        self._tls = tls
        self._refusal = refusal
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
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
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self._refusal:
                writer.write(self._refusal)
                await writer.drain()
            else:
                await self._lead_through(head, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # one side has left; the other is told by closing
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _lead_through(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        try:
            if head.startswith(b"CONNECT "):
                writer.write(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
            else:
                up_writer.write(head)
            await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
        finally:
            up_writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError
