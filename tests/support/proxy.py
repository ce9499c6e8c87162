"""A forward proxy on a real port: CONNECT tunnels and absolute-form requests, all of which end at one upstream."""

import asyncio
import ssl
from contextlib import suppress

from tests.support.loopback import LoopbackServer


class ForwardProxy(LoopbackServer):
    """Leads whatever is asked for to 127.0.0.1:`port`, unless `refusal` is set: then that is all it says."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, refusal: bytes = b"") -> None:
        self.heads: list[bytes] = []
        """Every request head it was sent, in the order they came."""
        super().__init__(tls=tls)
        self._upstream_port = port
        self._refusal = refusal

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # one side has left; the other is told by closing
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            if self._refusal:
                writer.write(self._refusal)
                await writer.drain()
            else:
                await self._lead_through(head, reader, writer)

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
