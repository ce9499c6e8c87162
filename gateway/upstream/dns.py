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
        """At least one, each call beginning with another, so that connections spread. Raises OSError.

        When looking up fails, the last known ones must do.
        """
        known = self._found
        if not known or asyncio.get_running_loop().time() - self._found_at > _KEEP_S:
            try:
                found = await asyncio.shield(self._current_lookup())
                known = self._found or found  # those who waited for the same answer take turns too
            except OSError:
                if not known:
                    raise
        self._found = (*known[1:], known[0])
        return known

    def forget(self) -> None:
        """None of them could be reached."""
        self._found = ()

    def close(self) -> None:
        if self._lookup is not None:
            self._lookup.cancel()

    def _current_lookup(self) -> asyncio.Task[Sequence[AddrInfoType]]:
        """One for all who ask meanwhile, whoever of them leaves."""
        if self._lookup is None:
            self._lookup = asyncio.create_task(self._look_up(), name="look up an upstream's address")
            self._lookup.add_done_callback(self._looked_up)
        return self._lookup

    async def _look_up(self) -> Sequence[AddrInfoType]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        self._found = cast(Sequence[AddrInfoType], found)
        self._found_at = loop.time()
        return self._found

    def _looked_up(self, lookup: asyncio.Task[Sequence[AddrInfoType]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # nobody may be left to take it
