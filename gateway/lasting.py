"""What a process keeps from one configuration to the next, and what gateways of two of them share meanwhile.

A reload builds a second gateway beside the one that serves. Counters go on, learned lengths stay
learned, and whatever both configurations ask for alike (a store, an upstream with its connections) is
one thing with two users, closed when the last of them is done.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.admission.breaker import Breaker
from gateway.clock import Clock, SystemClock
from gateway.config.process import Log
from gateway.telemetry.logs import AccessLog
from gateway.telemetry.metrics import Metrics
from gateway.tokens.count import TokenCounter
from gateway.tokens.encodings import Encodings
from gateway.tokens.lengths import Lengths
from gateway.upstream.health import Health

T = TypeVar("T")


@dataclass(slots=True)
class _Shared:
    key: object
    value: Any
    leave: Callable[[], Any]
    users: int = 0


class Lasting:
    """As long as the process; an async context manager that owns the access log and the counting threads."""

    def __init__(
        self, encodings: Encodings, *, log: Log | None = None, log_fd: int = 2, clock: Clock | None = None
    ) -> None:
        """Access lines go to the file descriptor `log_fd`, 2 being stderr."""
        self.clock = clock or SystemClock()
        self.started_at = self.clock.wall()
        self.encodings = encodings
        self.counter = TokenCounter(encodings)
        self.lengths = Lengths()
        self.metrics = Metrics(lambda _: "other")
        log = log or Log()
        self.access_log = AccessLog(log_fd, is_on=log.access, redact=log.redact)
        self.health: Health | None = None
        """Of the upstreams of the gateway in force."""
        self.cost_breaker: Breaker | None = None
        """Of the gateway in force."""
        self._shared: list[_Shared] = []

    async def __aenter__(self) -> Self:
        await self.access_log.__aenter__()
        self.metrics.gauge("gateway_log_lines_dropped_total", lambda: {(): self.access_log.dropped})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.counter.close()
        await self.access_log.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def shared(self, key: object, make: Callable[[], AbstractAsyncContextManager[T]]) -> AsyncIterator[T]:
        """What `make` makes, the same one for all who ask with an equal `key` while anybody has it."""
        one = next((one for one in self._shared if one.key == key), None)
        if one is None:
            context = make()
            value = await context.__aenter__()

            async def leave() -> None:
                await context.__aexit__(None, None, None)

            one = _Shared(key, value, leave)
            self._shared.append(one)
        one.users += 1
        try:
            yield one.value
        finally:
            one.users -= 1
            if not one.users:
                self._shared.remove(one)
                await one.leave()
