"""The addresses of one host: looked up together, remembered for a moment, tried in turn."""

import asyncio
import socket
from collections.abc import Sequence
from typing import cast

from aiohappyeyeballs import AddrInfoType

_KEEP_S = 10.0
"""As long as a load balancer may go on answering for a server that is gone from its records."""


class Resolver:
    """Asks the system (hosts file, search domains and all) in a thread of the loop."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._found: Sequence[AddrInfoType] = ()
        self._found_at = 0.0
        self._lookup: asyncio.Task[Sequence[AddrInfoType]] | None = None

    async def addresses(self) -> Sequence[AddrInfoType]:
        """At least one, each call beginning with another, so that connections spread. Raises OSError."""
        loop = asyncio.get_running_loop()
        found = self._found
        if not found or loop.time() - self._found_at > _KEEP_S:
            if self._lookup is None:  # one for all who ask meanwhile, whoever of them leaves
                self._lookup = loop.create_task(self._look_up(), name="look up an upstream's address")
                self._lookup.add_done_callback(self._looked_up)
            found = await asyncio.shield(self._lookup)
        self._found = (*found[1:], found[0])
        return found

    def forget(self) -> None:
        """None of them could be reached."""
        self._found = ()

    def close(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()

    async def _look_up(self) -> Sequence[AddrInfoType]:
        loop = asyncio.get_running_loop()
        return cast(Sequence[AddrInfoType], await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM))

    def _looked_up(self, lookup: asyncio.Task[Sequence[AddrInfoType]]) -> None:
        self._lookup = None
        if not lookup.cancelled() and lookup.exception() is None:
            self._found = lookup.result()
            self._found_at = asyncio.get_running_loop().time()
