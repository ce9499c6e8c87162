"""The seam between an HTTP server and the pipeline: what comes in, and how it is answered.

Any server that can build an `Incoming` and offer a `Client` can stand in front of the pipeline;
the pipeline knows no other side of HTTP serving.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from multidict import CIMultiDict, CIMultiDictProxy

Headers = CIMultiDict[str] | CIMultiDictProxy[str]
"""Case-insensitive, order-keeping, repeats allowed."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request as read from the wire: body complete, decoded and within its size limit."""

    request_id: str
    headers: Headers
    body: bytes
    received_s: float
    """Monotonic time at which the head had arrived."""


class Client(Protocol):
    """The one who asked. Every method raises `ConnectionError` when it is gone."""

    async def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Send one whole answer."""
        ...

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Start a streamed answer."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a piece of it; returns when the client has room for more."""
        ...

    async def end(self) -> None:
        """Finish a streamed answer cleanly."""
        ...

    def abort(self) -> None:
        """Cut the connection: what was begun cannot be finished, and must not look as if it were."""
        ...
