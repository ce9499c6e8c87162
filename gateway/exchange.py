"""The seam between an HTTP server and the pipeline: what comes in, and how it is answered.

Any server that can build an `Incoming` and offer a `Client` can stand in front of the pipeline;
the pipeline knows no other side of HTTP serving.
"""

from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any, Protocol, TypeVar

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.value import value

T = TypeVar("T")
Headers = CIMultiDict[str] | CIMultiDictProxy[str]
"""Case-insensitive, order-keeping, repeats allowed."""


@value
class Incoming:
    """One request as read from the wire: body complete, decoded and within its size limit."""

    request_id: str
    headers: Headers
    body: bytes
    received_s: float
    """Monotonic time at which the head had arrived."""
    derived: dict[Callable[..., Any], Any] = field(default_factory=dict)
    """What was worked out from `headers` alone; requests whose heads are the same bytes have it in common."""

    def once(self, work: Callable[[Headers], T]) -> T:
        """`work(headers)`, done for the first of all requests with the same head: programs send one head for all.

        `work` must be a plain function of the headers, and its result is nobody's to change.
        """
        try:
            result: T = self.derived[work]
        except KeyError:
            result = self.derived[work] = work(self.headers)
        return result


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

    @property
    def push(self) -> Callable[[bytes], None] | None:
        """Sends a piece here and now; None where that cannot be had at the moment: `write` it then."""
        ...

    async def end(self) -> None:
        """Finish a streamed answer cleanly."""
        ...

    def abort(self) -> None:
        """Cut the connection: what was begun cannot be finished, and must not look as if it were."""
        ...


class Gone:
    """A client that has left."""

    push = None

    async def answer(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        raise ConnectionResetError("the client is gone")

    async def begin(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        raise ConnectionResetError("the client is gone")

    async def write(self, data: bytes) -> None:
        raise ConnectionResetError("the client is gone")

    async def end(self) -> None:
        raise ConnectionResetError("the client is gone")

    def abort(self) -> None:
        pass
