"""A transport without a socket: the test decides what arrives, in which pieces, and sees what was sent."""

from __future__ import annotations  # memoryview[Any] is for the type checker: before 3.14 nothing can be made of it

import asyncio
from collections.abc import Iterable
from typing import Any


class FakeTransport(asyncio.Transport):
    """Connected to `protocol` at once. Like a real one it reports its end in a later turn of the loop."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self.sent = b""
        self.unsent = 0
        """What `get_write_buffer_size` says."""
        self.is_reading_paused = False
        self._protocol = protocol
        self._is_closing = False
        protocol.connection_made(self)

    def receive(self, *pieces: bytes) -> None:
        """Each of `pieces` as one read, as long as the connection is open."""
        for piece in pieces:
            if piece and not self._is_closing:
                self._protocol.data_received(piece)

    def receive_eof(self) -> None:
        if not self._is_closing:
            self._protocol.eof_received()
            self.abort()

    def lose(self, error: Exception | None) -> None:
        """As when the peer resets the connection."""
        if not self._is_closing:
            self._is_closing = True
            self._protocol.connection_lost(error)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.sent += data

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.sent += b"".join(list_of_data)

    def abort(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    close = abort

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False

    def get_write_buffer_size(self) -> int:
        return self.unsent
